//! Small networks of every family against what timm computed (`fixtures/golden`).

mod autocast;
mod intermediates;
mod networks;
mod recompute;

use candle_core::{DType, Result};
use cass_models::{Model, ModelOptions};
use cass_testing::{Tensors, small_network};

/// `fixtures/golden/<folder>/<file>.safetensors`
fn golden(folder: &str, file: &str) -> Result<Tensors> {
    cass_testing::golden(&format!("{folder}/{file}.safetensors"))
}

/// The network of a folder with the weights that are there.
fn model(folder: &str, golden: &Tensors, dtype: DType) -> Result<Model> {
    let options = ModelOptions {
        num_classes: golden["logits"].dim(1)?,
        input_size: golden["input"].dim(2)?,
        dtype,
        ..Default::default()
    };
    let model = Model::from_config(folder, small_network(folder), &options)
        .map_err(candle_core::Error::wrap)?;
    for (key, var) in model.params().all() {
        var.set(&golden[&format!("weights.{key}")].to_dtype(var.dtype())?)?;
    }
    Ok(model)
}
