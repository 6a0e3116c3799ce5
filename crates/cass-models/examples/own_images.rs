//! Features of your own images by a network of timm, as CSV: `file,f0,f1,...`.
//!
//! ```text
//! cargo run --release -p cass-models --example own_images -- resnet18 weights.safetensors *.png > features.csv
//! ```
//!
//! `hub` in place of the file takes timm's weights from the Hugging Face Hub, `random` fresh ones.

use candle_core::{Device, Tensor};
use cass_models::hub::{Hub, HubId};
use cass_models::prelude::*;
use image::imageops::FilterType;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "resnet18".into());
    let weights = args.next().unwrap_or_else(|| "random".into());
    let info = find(&name)?;
    let side = info.input_size;
    let model = Model::new(
        &name,
        &ModelOptions {
            input_size: side,
            ..Default::default()
        },
    )?;
    match weights.as_str() {
        "random" => {}
        "hub" => {
            let file = Hub::from_env()?.get(&HubId::of(info), &mut |_| {})?;
            eprintln!("{}", model.load(&file.path)?);
        }
        file => eprintln!("{}", model.load(Path::new(file))?),
    }
    let model = model.frozen()?;
    for file in args {
        let image =
            image::open(&file)?.resize_exact(side as u32, side as u32, FilterType::CatmullRom);
        let pixels = image.to_rgb32f().into_raw();
        let pixels = Tensor::from_vec(pixels, (side, side, 3), &Device::Cpu)?.permute((2, 0, 1))?; // (3, S, S)
        let [mean, std] = [info.normalization.mean, info.normalization.std]
            .map(|values| Tensor::new(&values.map(|v| v as f32), &Device::Cpu)?.reshape((3, 1, 1)));
        let pixels = pixels.broadcast_sub(&mean?)?.broadcast_div(&std?)?;
        let features = model.features(&pixels.unsqueeze(0)?, Mode::Eval)?; // (1, D)
        let values = features.value().flatten_all()?.to_vec1::<f32>()?;
        let values: Vec<String> = values.iter().map(f32::to_string).collect();
        println!("{file},{}", values.join(","));
    }
    Ok(())
}
