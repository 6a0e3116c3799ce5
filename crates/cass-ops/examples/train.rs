//! A network of one convolution and one attention learns to tell stripes from each other: a training
//! loop without any library around it.
//!
//! `cargo run -p cass-ops --example train`

use candle_core::{Device, Result, Tensor, Var};
use cass_ops::nn::{Conv2dConfig, attention, conv2d, gelu, linear};
use cass_ops::{Tracked, compose};
use cass_rng::Rng;

const SIZE: usize = 16;
const WIDTH: usize = 12;
const HEADS: usize = 3;
const RATE: f64 = 0.3;

fn main() -> Result<()> {
    let network = Network::new()?;
    let (images, labels) = stripes(64, 0)?;
    for step in 0..=40 {
        let loss = loss(&network.logits(&images)?, &labels)?;
        if step % 10 == 0 {
            println!(
                "step {step:2}: loss {:.4}",
                loss.value().to_scalar::<f32>()?
            );
        }
        let gradients = loss.backward()?;
        for variable in network.variables() {
            let gradient = gradients.get(variable).expect("every variable learns");
            variable.set(&(variable.as_tensor() - gradient * RATE)?)?;
        }
    }
    let (images, labels) = stripes(200, 1)?;
    let said = network.logits(&images)?.into_value().argmax(1)?;
    let right = said.eq(&labels)?.to_dtype(candle_core::DType::F32)?;
    let share = right.mean_all()?.to_scalar::<f32>()?;
    println!("new images: {:.1} % right", 100.0 * share);
    Ok(())
}

struct Network {
    patches: Var,
    qkv: Var,
    bias: Var,
    classifier: Var,
}

impl Network {
    fn new() -> Result<Self> {
        Ok(Self {
            patches: normal(0, 0.2, &[WIDTH, 1, 4, 4])?,
            qkv: normal(1, 0.3, &[3 * WIDTH, WIDTH])?,
            bias: normal(2, 0.0, &[3 * WIDTH])?,
            classifier: normal(3, 0.3, &[2, WIDTH])?,
        })
    }

    fn variables(&self) -> [&Var; 4] {
        [&self.patches, &self.qkv, &self.bias, &self.classifier]
    }

    /// `(B, 1, 16, 16)` → `(B, 2)`
    fn logits(&self, images: &Tensor) -> Result<Tracked> {
        let config = Conv2dConfig {
            stride: 4,
            padding: 0,
            groups: 1,
        };
        let [patches, qkv, bias, classifier] = self.variables().map(Tracked::from);
        let x = conv2d(&Tracked::constant(images), &patches, &config)?; // (B, 12, 4, 4)
        let tokens = gelu(&x)?.reshape((images.dim(0)?, WIDTH, 16))?;
        let tokens = tokens.permute(&[0, 2, 1])?; // (B, 16, 12)
        let y = attention(&linear(&tokens, &qkv, Some(&bias))?, HEADS)?; // (B, 16, 12)
        linear(&y.mean(1)?, &classifier, None)
    }
}

/// Cross-entropy, written with Candle's own operations.
fn loss(logits: &Tracked, labels: &Tensor) -> Result<Tracked> {
    compose(&[logits], |t| candle_nn::loss::cross_entropy(&t[0], labels))
}

fn normal(number: u64, deviation: f64, shape: &[usize]) -> Result<Var> {
    let mut rng = Rng::new(0, "weights", [number, 0], 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| (deviation * rng.normal()) as f32)
        .collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Images with noise and stripes across (0) or down (1), and which of the two they have.
fn stripes(count: usize, set: u64) -> Result<(Tensor, Tensor)> {
    let mut rng = Rng::new(0, "stripes", [set, 0], 0);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for image in 0..count {
        let (down, phase) = (image % 2 == 1, rng.below(4));
        labels.push(u32::from(down));
        for y in 0..SIZE {
            for x in 0..SIZE {
                let along = if down { x } else { y };
                let bright = (along + phase) / 2 % 2 == 0;
                let value = if bright { 1.0 } else { -1.0 } + 0.5 * rng.normal();
                pixels.push(value as f32);
            }
        }
    }
    let images = Tensor::from_vec(pixels, (count, 1, SIZE, SIZE), &Device::Cpu)?;
    Ok((images, Tensor::from_vec(labels, count, &Device::Cpu)?))
}
