//! Files of weights from anywhere, safetensors or of `torch.save`: read whole, within bounds, or refused
//! in one line.

mod torch;

use crate::error::{Error, Result};
use crate::text::printable;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// timm's folders hold the weights under this name.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";

/// The longest header: a hundred times that of the largest network here.
const LONGEST_HEADER: u64 = 16 << 20;
/// Of a tensor.
const MOST_SIDES: usize = 8;
/// Bytes of a header's length.
const LENGTH: u64 = 8;

/// The bytes of a file and its tensors, on the CPU. Nothing above `limit` bytes is read.
pub(crate) fn read_file(file: &Path, limit: u64) -> Result<(Vec<u8>, HashMap<String, Tensor>)> {
    let read = || {
        let bytes = read_bytes(file, limit)?;
        let tensors = read_tensors(&bytes, limit)?;
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

fn read_tensors(bytes: &[u8], limit: u64) -> std::result::Result<HashMap<String, Tensor>, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        let say = |e| format!("not safetensors, and as a file of torch.save {e}");
        return torch::read(bytes, limit).map_err(say);
    }
    if bytes.starts_with(b"\x80\x02") || bytes.starts_with(b"\x89HDF") {
        let convert = torch::CONVERT;
        return Err(format!(
            "not safetensors but an older format of torch or Keras: {convert}"
        ));
    }
    let header = bytes.first_chunk().map_or(0, |l| u64::from_le_bytes(*l));
    let available = (bytes.len() as u64).saturating_sub(LENGTH);
    if header > available.min(LONGEST_HEADER) {
        return Err(format!(
            "not safetensors: a header of {header} bytes in a file of {}",
            bytes.len()
        ));
    }
    let say = |e: &dyn std::fmt::Display| printable(&e.to_string());
    let file =
        SafeTensors::deserialize(bytes).map_err(|e| format!("not safetensors: {}", say(&e)))?;
    file.iter()
        .map(|(name, view)| {
            if name != printable(name) {
                return Err(format!("{:?} is no name of a tensor", printable(name)));
            }
            let shape = view.shape();
            // Products of the other sides may be beyond any number.
            if shape.len() > MOST_SIDES || shape.contains(&0) {
                let sides = &shape[..shape.len().min(MOST_SIDES)];
                return Err(format!(
                    "{name} has {} sides, {sides:?}: expected at most {MOST_SIDES}, none of them 0",
                    shape.len()
                ));
            }
            let dtype =
                DType::try_from(view.dtype()).map_err(|e| format!("{name}: {}", say(&e)))?;
            Tensor::from_raw_buffer(view.data(), dtype, shape, &Device::Cpu)
                .map(|tensor| (name.to_string(), tensor))
                .map_err(|e| format!("{name}: {}", say(&e)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn with_header(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    /// Every bit flipped and every length: a refusal of one line, or tensors of the file's own size.
    #[test]
    fn a_damaged_file_is_refused_or_read_but_never_more() -> Outcome {
        let tensor = |shape: &[usize], dtype| Tensor::ones(shape, dtype, &Device::Cpu);
        let tensors = HashMap::from([
            ("a.weight", tensor(&[2, 3], DType::F32)?),
            ("b", tensor(&[5], DType::F16)?),
            ("n", tensor(&[], DType::I64)?),
        ]);
        let whole = safetensors::serialize(&tensors, None)?;
        assert_eq!(read_tensors(&whole, u64::MAX)?.len(), 3);
        let (mut refused, mut read) = (0, 0);
        let mut check = |bytes: &[u8]| match read_tensors(bytes, u64::MAX) {
            Ok(tensors) => {
                let size = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
                assert!(tensors.values().map(size).sum::<usize>() <= bytes.len());
                read += 1;
            }
            Err(text) => {
                assert!(!text.contains('\n') && text.len() < 500, "{text}");
                refused += 1;
            }
        };
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&bytes);
        }
        for length in 0..whole.len() {
            check(&whole[..length]);
        }
        assert!(
            refused > 500 && read > 300,
            "{refused} refused, {read} read"
        );
        Ok(())
    }

    #[test]
    fn shapes_and_names_that_no_network_has_are_refused() {
        let named = |name: &str, shape: &str, data: usize| {
            let header = format!(
                r#"{{"{name}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,{data}]}}}}"#
            );
            read_tensors(&with_header(&header, data), u64::MAX)
                .map(|_| ())
                .unwrap_err()
        };
        let text = named("x", "0,1099511627776,1099511627776", 0);
        assert!(text.starts_with("x has 3 sides, [0, "), "{text}");
        let ones = vec!["1"; 100_000].join(",");
        let text = named("x", &ones, 4);
        assert!(text.starts_with("x has 100000 sides, [1, 1, "), "{text}");
        let text = named("a\\nb", "1", 4);
        assert_eq!(text, "\"a\" is no name of a tensor");
        assert!(named(&"n".repeat(100_000), "1", 4).len() < 300);
        assert!(named("a\\nb", "2", 4).len() < 300);
    }
}
