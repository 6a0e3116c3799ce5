//! A second implementation on the same keys: candle-transformers' ResNet, which runs in evaluation
//! mode alone, on the file that `Model::save` writes.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Func, Module, VarBuilder};
use candle_transformers::models::resnet;
use cass_models::{Mode, Model, ModelOptions};
use cass_rng::Rng;
use std::error::Error;

type Build = fn(usize, VarBuilder<'_>) -> candle_core::Result<Func<'_>>;

const CLASSES: usize = 7;
const SIZE: usize = 64;

fn agrees(name: &str, build: Build) -> Result<(), Box<dyn Error>> {
    let options = ModelOptions {
        num_classes: CLASSES,
        input_size: SIZE,
        ..Default::default()
    };
    let model = Model::new(name, &options)?;
    let mut rng = Rng::new(0, "witness", [0, 0], 0);
    // Norms and biases begin at 0 or 1, which would hide what they do.
    for (key, var) in model.params().all() {
        if var.rank() == 1 {
            let spread = |rng: &mut Rng| match 0.1 * rng.normal() as f32 {
                draw if key.ends_with("running_var") => draw.abs(),
                draw => draw,
            };
            let noise: Vec<f32> = (0..var.elem_count()).map(|_| spread(&mut rng)).collect();
            var.set(&(var.as_tensor() + Tensor::new(noise, &Device::Cpu)?)?)?;
        }
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.safetensors");
    model.save(&file, &[])?;
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu)?;
    let theirs = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);

    let pixels: Vec<f32> = (0..2 * 3 * SIZE * SIZE)
        .map(|_| rng.normal() as f32)
        .collect();
    let images = Tensor::from_vec(pixels, (2, 3, SIZE, SIZE), &Device::Cpu)?;
    let theirs = build(CLASSES, theirs)?.forward(&images)?;
    let ours = model.frozen()?.forward(&images, Mode::Eval)?.logits;
    let norm = |t: &Tensor| t.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>();
    let off = norm(&(ours.value() - &theirs)?)? / norm(&theirs)?;
    assert!(off <= 1e-5, "{name} is off by {off:.2e}");
    Ok(())
}

#[test]
fn resnet18_agrees() -> Result<(), Box<dyn Error>> {
    agrees("resnet18", resnet::resnet18)
}

#[test]
fn resnet34_agrees() -> Result<(), Box<dyn Error>> {
    agrees("resnet34", resnet::resnet34)
}

#[test]
fn resnet50_agrees() -> Result<(), Box<dyn Error>> {
    agrees("resnet50", resnet::resnet50)
}
