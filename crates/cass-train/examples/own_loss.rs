//! A training loop with a loss of one's own, written in Candle's operations: a network learns to give two views of an
//! image the same features and different images different ones.
//!
//! `cargo run --release -p cass-train --example own_loss`

use candle_core::{D, Device, Result, Tensor};
use cass_models::prelude::*;
use cass_ops::compose;
use cass_rng::Rng;
use cass_train::optim::{AdamConfig, Optimizer, OptimizerConfig};

const SIZE: usize = 32;
const BATCH: usize = 8;

/// Mean over the images of `-log softmax` of the similarity of their own two views (van den Oord et al. 2018).
fn info_nce(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let unit = |x: &Tensor| x.broadcast_div(&(x.sqr()?.sum_keepdim(D::Minus1)? + 1e-6)?.sqrt()?);
    let similar = (unit(a)?.matmul(&unit(b)?.t()?)? / 0.1)?; // (B, B)
    let own =
        (Tensor::eye(BATCH, similar.dtype(), similar.device())? * &similar)?.sum(D::Minus1)?; // (B)
    (similar.exp()?.sum(D::Minus1)?.log()? - own)?.mean_all()
}

/// `(B, 3, S, S)`: each image is a colour, with noise of its own.
fn views(step: u64, view: u64) -> Result<Tensor> {
    let mut colours = Rng::new(0, "images", [step, 0], 0);
    let mut noise = Rng::new(0, "views", [step, view], 0);
    let planes = (0..BATCH * 3).flat_map(|_| vec![colours.normal(); SIZE * SIZE]);
    let pixels: Vec<f32> = planes
        .map(|value| (value + 0.3 * noise.normal()) as f32)
        .collect();
    Tensor::from_vec(pixels, (BATCH, 3, SIZE, SIZE), &Device::Cpu)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let options = ModelOptions {
        num_classes: 4,
        input_size: SIZE,
        ..Default::default()
    };
    let model = Model::new("resnet18", &options)?;
    let adam = OptimizerConfig::Adam(AdamConfig::default());
    // The classifier takes no part.
    let mut optimizer = Optimizer::new(&adam, model.backbone_params())?;
    for step in 0..10 {
        let a = model.forward(&views(step, 0)?, Mode::Train)?.features;
        let b = model.forward(&views(step, 1)?, Mode::Train)?.features;
        let loss = compose(&[&a, &b], |t| info_nce(&t[0], &t[1]))?;
        println!("step {step}: loss {:.3}", loss.value().to_scalar::<f32>()?);
        optimizer.step(&loss.backward()?, 1e-3)?;
    }
    Ok(())
}
