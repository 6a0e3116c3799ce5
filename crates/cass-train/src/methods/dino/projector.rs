//! DINO's projection head.

use super::config::DinoConfig;
use crate::error::{Error, Result};
use crate::optim::blend_all;
use candle_core::{D, DType, Device, Tensor, Var};
use cass_ops::nn::{gelu, linear};
use cass_ops::{Tracked, compose};
use cass_rng::Rng;
use std::collections::HashMap;

/// ε of vit-pytorch's `L2Norm`.
const EPS: f64 = 1e-6;

/// vit-pytorch's `MLP`: linear layers with GELU after each but the last, whose input is normalised
/// to length 1. Key names as there: with four layers `net.0`, `net.2`, `net.4`, `net.7`.
#[derive(Debug)]
pub struct Projector {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    name: String,
    weight: Var,
    bias: Var,
}

impl Projector {
    /// A projector of `dim` features in f32, initialised as `torch.nn.Linear` is, from the seed and each
    /// parameter's name.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(dim: usize, config: &DinoConfig, seed: u64, device: &Device) -> Result<Self> {
        let hidden = config.projection_hidden_size;
        let last = config.projection_layers - 1;
        let layers = (0..config.projection_layers).map(|i| {
            let inputs = if i == 0 { dim } else { hidden };
            // A GELU after each hidden layer, and the normalisation, take a number of their own.
            let (outputs, place) = if i == last {
                (config.num_classes_k, 2 * i + 1)
            } else {
                (hidden, 2 * i)
            };
            let bound = 1.0 / (inputs as f64).sqrt();
            let draw = |shape: &[usize], part: u64| -> Result<Var> {
                let mut rng = Rng::new(seed, "project", [i as u64, part], 0);
                let count = shape.iter().product();
                let values: Vec<f32> = (0..count)
                    .map(|_| rng.uniform_in(-bound, bound) as f32)
                    .collect();
                Ok(Var::from_vec(values, shape, device)?)
            };
            Ok(Layer {
                name: format!("net.{place}"),
                weight: draw(&[outputs, inputs], 0)?,
                bias: draw(&[outputs], 1)?,
            })
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// What an optimiser updates, in order.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        let parts = |layer: &Layer| {
            [("weight", &layer.weight), ("bias", &layer.bias)]
                .map(|(part, var)| (format!("{}.{part}", layer.name), var.clone()))
        };
        self.layers.iter().flat_map(parts).collect()
    }

    /// Outputs of the projector; with `frozen`, without a graph.
    ///
    /// # Shapes
    /// `features (B, D)` → `(B, K)`
    ///
    /// # Errors
    /// If the width does not fit.
    pub fn forward(&self, features: &Tracked, frozen: bool) -> Result<Tracked> {
        let mut x = features.clone();
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let [weight, bias] = [&layer.weight, &layer.bias].map(|var| {
                if frozen {
                    Tracked::constant(var)
                } else {
                    Tracked::from(var)
                }
            });
            if i == last {
                x = compose(&[&x], |x| l2_norm(&x[0]))?;
            }
            x = linear(&x, &weight, Some(&bias))?;
            if i < last {
                x = gelu(&x)?;
            }
        }
        Ok(x)
    }

    /// Own storage, same values.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn deep_copy(&self) -> Result<Self> {
        self.map(|var| var.copy())
    }

    /// The same layers over variables that `copy` makes of this projector's.
    fn map(&self, copy: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Self> {
        let copy = |var: &Var| Var::from_tensor(&copy(&var.as_detached_tensor())?.detach());
        let layers = self.layers.iter().map(|layer| {
            Ok(Layer {
                name: layer.name.clone(),
                weight: copy(&layer.weight)?,
                bias: copy(&layer.bias)?,
            })
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// The same projector in another precision, with variables of its own.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.map(|var| var.to_dtype(dtype)?.copy())
    }

    /// Takes the values of a state dict with vit-pytorch's keys.
    ///
    /// # Errors
    /// Naming the first key that is missing or has another shape.
    pub fn load(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        for (name, var) in self.trainable() {
            match tensors.get(&name) {
                Some(tensor) if tensor.dims() == var.dims() => {
                    var.set(&tensor.to_device(var.device())?.to_dtype(var.dtype())?)?;
                }
                _ => {
                    let wanted = format!(
                        "the projector cannot be loaded: `{name}` is missing or not {:?}",
                        var.dims()
                    );
                    return Err(Error::Mismatch(wanted));
                }
            }
        }
        Ok(())
    }

    /// `self = keep * self + (1 - keep) * other`.
    pub(crate) fn blend(&self, other: &Self, keep: f64) -> Result<()> {
        let (targets, sources) = (self.trainable().into_iter(), other.trainable().into_iter());
        let pairs = targets.zip(sources);
        let pairs: Vec<_> = pairs
            .map(|((_, target), (_, source))| (target, source.as_tensor().clone()))
            .collect();
        blend_all(&pairs, keep)
    }
}

/// `x / max(‖x‖₂, ε)` per row; the maximum is taken of squares, as in CASS' loss.
fn l2_norm(x: &Tensor) -> candle_core::Result<Tensor> {
    let squares = x.sqr()?.sum_keepdim(D::Minus1)?; // (B, 1)
    x.broadcast_div(&squares.maximum(EPS * EPS)?.sqrt()?)
}
