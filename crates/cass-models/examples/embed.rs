//! Features of one image (or of noise) from a network, with or without a file of weights.
//!
//! `cargo run -p cass-models --example embed -- resnet18 [weights.safetensors]`

use candle_core::{DType, Device, Tensor};
use cass_models::{Mode, Model, ModelOptions};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "resnet18".into());
    let model = Model::new(&name, &ModelOptions::default())?;
    if let Some(file) = args.next() {
        println!("{}", model.load(Path::new(&file))?);
    }
    let images = Tensor::ones((1, 3, 224, 224), DType::F32, &Device::Cpu)?;
    let output = model.frozen()?.forward(&images, Mode::Eval)?;
    println!(
        "{name}: {:.3} M parameters, features {:?}, logits {:?}",
        model.params().parameter_count() as f64 / 1e6,
        output.features.dims(),
        output.logits.dims()
    );
    Ok(())
}
