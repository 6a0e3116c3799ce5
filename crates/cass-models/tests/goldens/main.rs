//! Small networks of every family against what timm computed (`fixtures/golden`).

mod autocast;
mod intermediates;
mod networks;
mod recompute;
#[path = "../small/mod.rs"]
mod small;

use candle_core::{DType, Device, Result, Tensor, safetensors};
use cass_models::{Model, ModelOptions};
use small::small;
use std::collections::HashMap;

type Tensors = HashMap<String, Tensor>;

/// `fixtures/golden/<folder>/<file>.safetensors`
fn golden(folder: &str, file: &str) -> Result<Tensors> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
    let path = format!("{root}/{folder}/{file}.safetensors");
    safetensors::load(path, &Device::Cpu)
}

/// ‖a - b‖₂ / ‖b‖₂
fn error(a: &Tensor, b: &Tensor) -> Result<f64> {
    let norm = |t: Tensor| t.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>();
    let (a, b) = (a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?);
    Ok(norm((&a - &b)?)? / norm(b)?)
}

/// The network of a folder with the weights that are there.
fn model(folder: &str, golden: &Tensors, dtype: DType) -> Result<Model> {
    let options = ModelOptions {
        num_classes: golden["logits"].dim(1)?,
        input_size: golden["input"].dim(2)?,
        dtype,
        ..Default::default()
    };
    let model =
        Model::from_config(folder, small(folder), &options).map_err(candle_core::Error::wrap)?;
    for (key, var) in model.params().all() {
        var.set(&golden[&format!("weights.{key}")].to_dtype(var.dtype())?)?;
    }
    Ok(model)
}
