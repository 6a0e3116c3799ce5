//! What a network makes of one grey image, with or without a file of weights: features, logits and
//! every intermediate output that can be asked for.
//!
//! `cargo run -p cass-models --example embed -- resnet18 [weights.safetensors]`

use candle_core::{DType, Device, Tensor};
use cass_models::intermediates::Taps;
use cass_models::registry::find;
use cass_models::{Mode, Model, ModelOptions};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "resnet18".into());
    let size = find(&name)?.input_size;
    let options = ModelOptions {
        input_size: size,
        ..Default::default()
    };
    let model = Model::new(&name, &options)?;
    if let Some(file) = args.next() {
        println!("{}", model.load(Path::new(&file))?);
    }
    let images = Tensor::zeros((1, 3, size, size), DType::F32, &Device::Cpu)?;
    let taps = Taps::new(model.intermediate_names());
    let output = model.frozen()?.forward_with(&images, Mode::Eval, &taps)?;
    println!(
        "{name}: {:.3} M parameters, features {:?}, logits {:?}",
        model.params().parameter_count() as f64 / 1e6,
        output.features.dims(),
        output.logits.dims()
    );
    for (name, x) in output.intermediates.iter() {
        println!("  {name} {:?}", x.dims());
    }
    Ok(())
}
