use crate::error::{Error, Result};
use crate::model::Model;
use std::collections::HashMap;
use std::path::Path;

impl Model {
    /// All variables as a safetensors file under timm's key names, with `metadata` and the
    /// architecture in the header.
    ///
    /// # Errors
    /// If they cannot be brought from their device.
    pub fn to_safetensors(&self, metadata: &[(&str, String)]) -> Result<Vec<u8>> {
        let tensors = self.params().tensors()?;
        let mut header: HashMap<String, String> = metadata
            .iter()
            .map(|(k, v)| (k.to_string(), v.clone()))
            .collect();
        header.insert("architecture".into(), self.name().into());
        header.insert("input_size".into(), self.options().input_size.to_string());
        header.insert("num_classes".into(), self.num_classes().to_string());
        let bytes = safetensors::serialize(&tensors, Some(header))
            .map_err(|e| e.to_string())
            .and_then(|bytes| with_sorted_header(&bytes))
            .map_err(candle_core::Error::msg)?;
        Ok(bytes)
    }

    /// Writes [`Model::to_safetensors`]. The file appears whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, file: &Path, metadata: &[(&str, String)]) -> Result<()> {
        cass_run::write_whole(file, &self.to_safetensors(metadata)?).map_err(|source| {
            Error::Write {
                file: file.to_path_buf(),
                source,
            }
        })
    }
}

/// The same file with its header's keys in order: the crate writes the metadata in a random one,
/// and the same weights should be the same bytes.
fn with_sorted_header(file: &[u8]) -> std::result::Result<Vec<u8>, String> {
    const LENGTH: usize = 8;
    let length = file
        .first_chunk::<LENGTH>()
        .map_or(0, |l| u64::from_le_bytes(*l)) as usize;
    let (header, data) = file[LENGTH..].split_at(length);
    let header: serde_json::Value = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    Ok([
        &(header.len() as u64).to_le_bytes(),
        header.as_slice(),
        data,
    ]
    .concat())
}
