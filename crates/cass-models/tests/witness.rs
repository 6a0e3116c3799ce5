//! A second implementation on the same keys: candle-transformers' ResNet, which runs in evaluation
//! mode alone, on the file that `Model::save` writes.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Func, Module, VarBuilder};
use candle_transformers::models::resnet;
use cass_models::{Mode, Model, ModelOptions};
use cass_testing::{normal_images, stir};
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
    stir(&model)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.safetensors");
    model.save(&file, &[])?;
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu)?;
    let theirs = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);

    let images = normal_images(2, SIZE)?;
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
