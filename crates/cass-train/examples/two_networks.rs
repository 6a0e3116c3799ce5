//! Two networks of different kinds learn to agree on images without labels.
//!
//! `cargo run --release -p cass-train --example two_networks`

use candle_core::{Device, Tensor};
use cass_models::{Model, ModelOptions};
use cass_rng::Rng;
use cass_train::methods::{CassConfig, CassStep, StepOptions};
use cass_train::{Recipe, Step};

const SIZE: usize = 32;
const BATCH: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = CassConfig::default();
    let recipe = Recipe::paper(config.clone());
    let options = ModelOptions {
        num_classes: 16,
        input_size: SIZE,
        ..Default::default()
    };
    let cnn = Model::new("resnet18", &options)?;
    let vit = Model::new("vit_tiny_patch16_224", &options)?;
    let arms = [
        ("cnn", cnn, &recipe.arms["cnn"]),
        ("vit", vit, &recipe.arms["vit"]),
    ];
    let mut step = CassStep::new(arms, &config, &StepOptions::default())?;

    for number in 0..12 {
        let mut rng = Rng::new(0, "images", [number, 0], 0);
        let pixels = (0..BATCH * 3 * SIZE * SIZE)
            .map(|_| rng.normal() as f32)
            .collect();
        let images = Tensor::from_vec(pixels, (BATCH, 3, SIZE, SIZE), &Device::Cpu)?;
        let report = step.step(&[images])?;
        println!(
            "step {number:2}  loss {:.4}  lr {:.1e}",
            report.loss, report.lr["cnn"]
        );
    }
    Ok(())
}
