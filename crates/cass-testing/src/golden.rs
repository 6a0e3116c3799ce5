//! Values that other implementations computed, next to the scripts that made them.

use candle_core::{Device, Result, Tensor, safetensors};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;

/// A folder of `fixtures/golden`.
pub fn golden_folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden"
    ))
    .join(name)
}

/// Tensors of a safetensors file under `fixtures/golden`, `ops/conv2d.safetensors` for instance.
///
/// # Errors
/// If the file cannot be read.
pub fn golden(file: &str) -> Result<Tensors> {
    safetensors::load(golden_folder(file), &Device::Cpu)
}

/// Content of a JSON file under `fixtures/golden`.
///
/// # Panics
/// If the file cannot be read.
pub fn golden_json(file: &str) -> Value {
    let path = golden_folder(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
