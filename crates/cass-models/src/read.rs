//! Safetensors files from anywhere: read whole, within bounds, or refused in one line.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use std::{collections::HashMap, fs::File, io::Read, path::Path};

/// timm's folders hold the weights under this name.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";

/// The longest header: a hundred times that of the largest network here.
const LONGEST_HEADER: u64 = 16 << 20;
/// Bytes of a header's length.
const LENGTH: u64 = 8;

/// The bytes of a safetensors file and its tensors, on the CPU. Nothing above `limit` bytes is read.
pub(crate) fn read_file(file: &Path, limit: u64) -> Result<(Vec<u8>, HashMap<String, Tensor>)> {
    let read = || {
        let bytes = read_bytes(file, limit)?;
        let tensors = read_tensors(&bytes)?;
        Ok((bytes, tensors))
    };
    read().map_err(|reason| Error::Weights {
        file: file.to_path_buf(),
        reason,
    })
}

fn read_bytes(file: &Path, limit: u64) -> std::result::Result<Vec<u8>, String> {
    let say = |e: std::io::Error| e.to_string();
    // Before it is opened: a pipe would wait for a writer.
    if !std::fs::metadata(file).map_err(say)?.is_file() {
        return Err("not a regular file".into());
    }
    let opened = File::open(file).map_err(say)?;
    let size = opened.metadata().map_err(say)?.len();
    if size > limit {
        return Err(format!("{size} bytes, expected at most {limit}"));
    }
    let mut bytes = Vec::new();
    opened.take(limit).read_to_end(&mut bytes).map_err(say)?;
    Ok(bytes)
}

fn read_tensors(bytes: &[u8]) -> std::result::Result<HashMap<String, Tensor>, String> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02") {
        return Err("not safetensors but a file of torch.save: \
             safetensors.torch.save_file(model.state_dict(), FILE) writes the other"
            .into());
    }
    let header = bytes.first_chunk().map_or(0, |l| u64::from_le_bytes(*l));
    let available = (bytes.len() as u64).saturating_sub(LENGTH);
    if header > available.min(LONGEST_HEADER) {
        return Err(format!(
            "not safetensors: a header of {header} bytes in a file of {}",
            bytes.len()
        ));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not safetensors: {e}"))?;
    file.iter()
        .map(|(name, view)| {
            let dtype = DType::try_from(view.dtype()).map_err(|e| format!("{name}: {e}"))?;
            Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)
                .map(|tensor| (name.to_string(), tensor))
                .map_err(|e| format!("{name}: {e}"))
        })
        .collect()
}
