//! Projection heads: trained on top of the features that a loss would otherwise bend, and thrown away.

use crate::error::{Error, Result};
use crate::methods::directions::normalize;
use crate::optim::blend_all;
use candle_core::{DType, Device, Tensor, Var};
use cass_ops::nn::{Activation, batch_norm_train, gelu, linear, relu};
use cass_ops::{Tracked, compose};
use cass_rng::Rng;
use std::collections::HashMap;

/// ε of vit-pytorch's `L2Norm`.
const L2_EPS: f64 = 1e-6;
/// ε of `torch.nn.BatchNorm1d`.
const BATCH_NORM_EPS: f64 = 1e-5;

/// One module of a [`Projector`], as `torch.nn` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectorLayer {
    /// `Linear`.
    Linear {
        /// Width of what comes in.
        inputs: usize,
        /// Width of what goes out.
        outputs: usize,
        /// Whether something is added.
        bias: bool,
    },
    /// `BatchNorm1d` by the statistics of each batch: nothing reads running ones.
    BatchNorm {
        /// Width.
        width: usize,
        /// Whether it has a weight and a bias.
        affine: bool,
    },
    /// `ReLU`.
    Relu,
    /// `GELU`, the exact one.
    Gelu,
    /// Each row over its length, or over 1e-6 where it is shorter: vit-pytorch's `L2Norm`.
    L2Norm,
}

impl ProjectorLayer {
    /// The same without a bias in the last layer.
    pub(super) fn without_last_bias(mut layers: Vec<Self>) -> Vec<Self> {
        if let Some(Self::Linear { bias, .. }) = layers.last_mut() {
            *bias = false;
        }
        layers
    }

    /// Linear layers through these widths, each but the last followed by BatchNorm and ReLU; the bias of a layer
    /// before BatchNorm would change nothing and is left out.
    ///
    /// ```
    /// use cass_train::methods::ProjectorLayer;
    /// assert_eq!(ProjectorLayer::mlp(&[512, 1024, 128]).len(), 4);
    /// ```
    pub fn mlp(widths: &[usize]) -> Vec<Self> {
        let mut layers = Vec::new();
        let last = widths.len().saturating_sub(2);
        for (i, pair) in widths.windows(2).enumerate() {
            let &[inputs, outputs] = pair else { continue };
            let bias = i == last;
            layers.push(Self::Linear {
                inputs,
                outputs,
                bias,
            });
            if i < last {
                layers.extend([
                    Self::BatchNorm {
                        width: outputs,
                        affine: true,
                    },
                    Self::Relu,
                ]);
            }
        }
        layers
    }
}

/// What is trained of heads, each parameter under the name of its head.
pub(super) fn head_params<'a>(
    heads: impl IntoIterator<Item = (&'a str, &'a Projector)>,
) -> Vec<(String, Var)> {
    let params = heads.into_iter().flat_map(|(head, projector)| {
        let params = projector.trainable().into_iter();
        params.map(move |(name, var)| (format!("{head}.{name}"), var))
    });
    params.collect()
}

/// Modules one after another, as `torch.nn.Sequential`. Key names as vit-pytorch has them: `net.0.weight`, the
/// number being that of the module.
#[derive(Debug)]
pub struct Projector {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    kind: ProjectorLayer,
    /// Weight and bias, those that it has.
    parameters: Vec<(String, Var)>,
}

impl Projector {
    /// A projector in f32, initialised as torch initialises, from the seed, the number `which` it has among those
    /// of a method, and each parameter's place.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(layers: &[ProjectorLayer], seed: u64, which: u64, device: &Device) -> Result<Self> {
        let mut linears = 0;
        let layers = layers.iter().enumerate().map(|(place, &kind)| {
            let name = |part: &str| format!("net.{place}.{part}");
            let parameters = match kind {
                ProjectorLayer::Linear {
                    inputs,
                    outputs,
                    bias,
                } => {
                    let bound = 1.0 / (inputs as f64).sqrt();
                    let number = linears;
                    linears += 1;
                    let draw = |shape: &[usize], part: u64| -> Result<Var> {
                        let mut rng = Rng::new(seed, "project", [number, part], which);
                        let count = shape.iter().product();
                        let values: Vec<f32> = (0..count)
                            .map(|_| rng.uniform_in(-bound, bound) as f32)
                            .collect();
                        Ok(Var::from_vec(values, shape, device)?)
                    };
                    let mut parameters = vec![(name("weight"), draw(&[outputs, inputs], 0)?)];
                    if bias {
                        parameters.push((name("bias"), draw(&[outputs], 1)?));
                    }
                    parameters
                }
                ProjectorLayer::BatchNorm {
                    width,
                    affine: true,
                } => vec![
                    (name("weight"), Var::ones(width, DType::F32, device)?),
                    (name("bias"), Var::zeros(width, DType::F32, device)?),
                ],
                _ => Vec::new(),
            };
            Ok(Layer { kind, parameters })
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// What an optimiser updates, in order.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        let parameters = self.layers.iter().flat_map(|layer| &layer.parameters);
        parameters.cloned().collect()
    }

    /// Outputs of the projector; with `frozen`, without a graph of its own parameters.
    ///
    /// # Shapes
    /// `features (B, D)` → `(B, K)`
    ///
    /// # Errors
    /// If the width does not fit.
    pub fn forward(&self, features: &Tracked, frozen: bool) -> Result<Tracked> {
        let mut x = features.clone();
        for layer in &self.layers {
            let parameter = |i: usize| {
                let var = layer.parameters.get(i);
                var.map(|(_, var)| match frozen {
                    true => Tracked::constant(var),
                    false => Tracked::from(var),
                })
            };
            x = match layer.kind {
                ProjectorLayer::Linear { .. } => match parameter(0) {
                    Some(weight) => linear(&x, &weight, parameter(1).as_ref())?,
                    None => x,
                },
                ProjectorLayer::BatchNorm { width, .. } => {
                    batch_norm(&x, width, parameter(0), parameter(1))?
                }
                ProjectorLayer::Relu => relu(&x)?,
                ProjectorLayer::Gelu => gelu(&x)?,
                ProjectorLayer::L2Norm => compose(&[&x], |x| normalize(&x[0], L2_EPS))?,
            };
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
        let copy = |(name, var): &(String, Var)| {
            let value = copy(&var.as_detached_tensor())?.detach();
            Ok((name.clone(), Var::from_tensor(&value)?))
        };
        let layers = self.layers.iter().map(|layer| {
            Ok(Layer {
                kind: layer.kind,
                parameters: layer.parameters.iter().map(copy).collect::<Result<_>>()?,
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

    /// Takes the values of a state dict with these keys.
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

/// `torch.nn.BatchNorm1d` in training mode.
fn batch_norm(
    x: &Tracked,
    width: usize,
    weight: Option<Tracked>,
    bias: Option<Tracked>,
) -> Result<Tracked> {
    let (dtype, device) = (x.value().dtype(), x.value().device());
    let weight = match weight {
        Some(weight) => weight,
        None => Tracked::constant(&Tensor::ones(width, dtype, device)?),
    };
    let bias = match bias {
        Some(bias) => bias,
        None => Tracked::constant(&Tensor::zeros(width, dtype, device)?),
    };
    let rows = x.dims().first().copied().unwrap_or(0);
    let planes = compose(&[x], |x| x[0].reshape((rows, width, 1, 1)))?;
    let (y, _) = batch_norm_train(
        &planes,
        &weight,
        &bias,
        None,
        BATCH_NORM_EPS,
        Activation::Identity,
    )?;
    Ok(compose(&[&y], |y| y[0].reshape((rows, width)))?)
}
