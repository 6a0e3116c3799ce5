//! Batch normalisation over (B, H, W), with the residual sum and the ReLU that may follow fused in.

mod kernels;
pub(crate) mod reference;

use crate::cuda::{self, BatchNormOperands, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::op::{Activation, Function, Op};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{DType, Result, Tensor, bail};
use kernels::{Input, Planes, Saved, Statistics};
use std::sync::{Arc, Mutex};

impl Activation {
    fn function(self) -> Option<Function> {
        match self {
            Self::Identity => None,
            Self::Relu => Some(Function::Relu),
            Self::Relu6 => Some(Function::Relu6),
            Self::Silu => Some(Function::Silu),
            Self::HardSwish => Some(Function::HardSwish),
        }
    }
}

/// Statistics of one batch, for the running averages.
#[derive(Debug, Clone)]
pub struct BatchStats {
    /// Mean of every channel, `(C)`.
    pub mean: Tensor,
    /// *Unbiased* variance of every channel, `(C)`: what PyTorch averages into `running_var` (it
    /// normalises by the biased one). With one value a channel it is infinite.
    pub var: Tensor,
}

/// Batch normalisation by the batch's own mean and biased variance, as
/// `torch.nn.functional.batch_norm(training=True)`, then `+ residual`, then the activation
/// (behind a residual ReLU or none).
///
/// Each channel becomes `(x - mean) / sqrt(var + eps) * weight + bias`.
///
/// # Shapes
/// `x (B, C, H, W)`, `weight (C)`, `bias (C)`, `residual` as `x` → `(B, C, H, W)`
///
/// # Errors
/// If the shapes do not fit, a channel has a single value (as in PyTorch), or the dtypes differ or
/// are neither f32 nor f64.
pub fn batch_norm_train(
    x: &Tracked,
    weight: &Tracked,
    bias: &Tracked,
    residual: Option<&Tracked>,
    eps: f64,
    activation: Activation,
) -> Result<(Tracked, BatchStats)> {
    let (b, c, h, w) = check_shapes(x, residual, &[weight.value(), bias.value()], activation)?;
    let count = b * h * w;
    if count < 2 {
        bail!(
            "batch_norm: one value a channel in {:?}, expected more when training",
            x.dims()
        );
    }
    let unbias = count as f64 / (count - 1) as f64;
    if let Some(gpu) = Gpu::of(x) {
        let operands = BatchNormOperands {
            x,
            weight,
            bias,
            residual,
            function: activation.function(),
        };
        let (y, [mean, var]) = cuda::batch_norm_train(gpu, operands, eps)?;
        return Ok((y, BatchStats { mean, var }));
    }
    if !x.is_on_cpu() {
        let stats = Mutex::new(None);
        let y = compose_as("batch_norm", &operands(x, weight, bias, residual), |t| {
            let (y, found) = reference::batch_norm_train(
                &t[0],
                &t[1],
                &t[2],
                t.get(3),
                eps,
                activation,
                unbias,
            )?;
            *stats.lock().unwrap_or_else(|e| e.into_inner()) = Some(found);
            Ok(y)
        })?;
        return match stats.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(stats) => Ok((y, stats)),
            None => bail!("batch_norm: no statistics"),
        };
    }
    let op = BatchNorm::new(x, weight, bias, residual, activation)?;
    let (y, moments) = with_float!(x.value().dtype(), "batch_norm", T => {
        let (y, moments) = op.with_input::<T, _>(|input| {
            timed("batch_norm", Pass::Forward, || kernels::forward_train(input, eps))
        })?;
        (tensor(y, x.dims())?, moments)
    });
    let per_channel = |f: &dyn Fn(&(f64, f64)) -> f64| {
        let values: Vec<f64> = moments.iter().map(f).collect();
        Tensor::from_vec(values, c, x.value().device())?.to_dtype(x.value().dtype())
    };
    let stats = BatchStats {
        mean: per_channel(&|m| m.0)?,
        var: per_channel(&|m| m.1 * unbias)?,
    };
    let statistics = moments.iter().map(|&(mean, var)| Statistics {
        mean,
        inv_std: 1.0 / (var + eps).sqrt(),
    });
    let statistics = statistics.collect();
    Ok((op.record("batch_norm", y, statistics, true), stats))
}

/// Batch normalisation with given statistics, which are constants to the gradient, as
/// `torch.nn.functional.batch_norm(training=False)`.
///
/// # Shapes
/// `x (B, C, H, W)`, `residual` as `x`, the others `(C)` → `(B, C, H, W)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn batch_norm_eval(
    x: &Tracked,
    weight: &Tracked,
    bias: &Tracked,
    residual: Option<&Tracked>,
    stats: (&Tensor, &Tensor),
    eps: f64,
    activation: Activation,
) -> Result<Tracked> {
    let (mean, var) = stats;
    check_shapes(
        x,
        residual,
        &[weight.value(), bias.value(), mean, var],
        activation,
    )?;
    if let Some(gpu) = Gpu::of(x) {
        let operands = BatchNormOperands {
            x,
            weight,
            bias,
            residual,
            function: activation.function(),
        };
        return cuda::batch_norm_eval(gpu, operands, stats, eps);
    }
    if !x.is_on_cpu() {
        return compose_as("batch_norm", &operands(x, weight, bias, residual), |t| {
            reference::batch_norm_eval(&t[0], &t[1], &t[2], t.get(3), stats, eps, activation)
        });
    }
    let numbers = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
    let statistics = numbers(mean)?.into_iter().zip(numbers(var)?);
    let statistics = statistics.map(|(mean, var)| Statistics {
        mean,
        inv_std: 1.0 / (var + eps).sqrt(),
    });
    let statistics: Vec<_> = statistics.collect();
    let op = BatchNorm::new(x, weight, bias, residual, activation)?;
    let y = op.normalised(&statistics)?;
    let traced = Op::BatchNorm {
        mean: mean.clone(),
        var: var.clone(),
        eps,
        activation,
    };
    Ok(op.record(traced, y, statistics, false))
}

fn operands<'a>(
    x: &'a Tracked,
    weight: &'a Tracked,
    bias: &'a Tracked,
    residual: Option<&'a Tracked>,
) -> Vec<&'a Tracked> {
    [x, weight, bias].into_iter().chain(residual).collect()
}

fn check_shapes(
    x: &Tracked,
    residual: Option<&Tracked>,
    channels: &[&Tensor],
    activation: Activation,
) -> Result<(usize, usize, usize, usize)> {
    let (b, c, h, w) = x.value().dims4()?;
    if residual.is_some() && !matches!(activation, Activation::Identity | Activation::Relu) {
        bail!("batch_norm: {activation:?} does not follow the sum with a residual");
    }
    if let Some(residual) = residual.filter(|r| r.dims() != x.dims()) {
        bail!(
            "batch_norm: {:?} does not add to {:?}",
            residual.dims(),
            x.dims()
        );
    }
    match channels.iter().find(|t| t.dims() != [c]) {
        Some(t) => bail!("batch_norm: {:?} does not fit {c} channels", t.dims()),
        None => Ok((b, c, h, w)),
    }
}

/// The operands, contiguous.
struct BatchNorm {
    x: Tracked,
    weight: Tracked,
    bias: Tracked,
    residual: Option<Tracked>,
    activation: Activation,
    planes: Planes,
}

impl BatchNorm {
    fn new(
        x: &Tracked,
        weight: &Tracked,
        bias: &Tracked,
        residual: Option<&Tracked>,
        activation: Activation,
    ) -> Result<Self> {
        let (batch, channels, h, w) = x.value().dims4()?;
        Ok(Self {
            x: x.contiguous()?,
            weight: weight.contiguous()?,
            bias: bias.contiguous()?,
            residual: residual.map(Tracked::contiguous).transpose()?,
            activation,
            planes: Planes {
                batch,
                channels,
                size: h * w,
            },
        })
    }

    fn with_input<T: Element, R>(&self, f: impl FnOnce(Input<T>) -> R) -> Result<R> {
        let (x, weight) = (Read::new(self.x.value())?, Read::new(self.weight.value())?);
        let bias = Read::new(self.bias.value())?;
        let residual = self.residual.as_ref().map(|r| Read::new(r.value()));
        let residual = residual.transpose()?;
        Ok(f(Input {
            x: x.slice()?,
            weight: weight.slice()?,
            bias: bias.slice()?,
            residual: residual.as_ref().map(Read::slice).transpose()?,
            activation: self.activation,
            planes: self.planes,
        }))
    }

    fn record(
        mut self,
        op: impl Into<Op>,
        y: Tensor,
        statistics: Vec<Statistics>,
        training: bool,
    ) -> Tracked {
        let mut inputs = vec![self.x.clone(), self.weight.clone(), self.bias.clone()];
        inputs.extend(self.residual.clone());
        // The way back needs the sum, not what was added.
        let has_residual = self.residual.take().is_some();
        let needs_y = has_residual && self.activation == Activation::Relu;
        let saved_y = needs_y.then(|| y.clone());
        for operand in [&mut self.x, &mut self.weight, &mut self.bias] {
            *operand = Tracked::constant(operand.value());
        }
        let inputs: Vec<&Tracked> = inputs.iter().collect();
        let kept = Arc::new((self, statistics));
        let again = kept.clone();
        let y = Tracked::record(op, y, &inputs, move |dy| {
            let (operands, statistics) = &*kept;
            operands.backward(saved_y.as_ref(), statistics, training, dy)
        });
        // What was added is not kept.
        if has_residual {
            return y;
        }
        y.or_again(move || {
            let (operands, statistics) = &*again;
            operands.normalised(statistics)
        })
    }

    /// The result by statistics that are known.
    fn normalised(&self, statistics: &[Statistics]) -> Result<Tensor> {
        let x = self.x.value();
        with_float!(x.dtype(), "batch_norm", T => {
            let y = self.with_input::<T, _>(|input| kernels::forward_eval(input, statistics))?;
            tensor(y, x.dims())
        })
    }

    fn backward(
        &self,
        y: Option<&Tensor>,
        statistics: &[Statistics],
        training: bool,
        dy: &Tensor,
    ) -> Result<Vec<Option<Gradient>>> {
        let dy = dy.contiguous()?;
        let (yr, dyr) = (y.map(Read::new).transpose()?, Read::new(&dy)?);
        with_float!(dy.dtype(), "batch_norm", T => {
            let (y, dys) = (yr.as_ref().map(Read::slice).transpose()?, dyr.slice::<T>()?);
            let d = self.with_input::<T, _>(|input| {
                let saved = Saved { input, y, statistics, training };
                kernels::backward(saved, dys)
            })?;
            let c = [self.planes.channels];
            let residual = match d.residual {
                Some(residual) => Gradient::fresh(tensor(residual, dy.dims())?),
                None => Gradient::shared(dy.clone()),
            };
            Ok(vec![
                Some(Gradient::fresh(tensor(d.x, dy.dims())?)),
                Some(Gradient::fresh(tensor(d.weight, &c)?)),
                Some(Gradient::fresh(tensor(d.bias, &c)?)),
                Some(residual),
            ])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};

    const ALL: [Activation; 5] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Silu,
        Activation::HardSwish,
    ];

    /// Kinds of inputs: without a residual, and with one where the activation may follow that.
    fn with_residual(activation: Activation) -> usize {
        match activation {
            Activation::Identity | Activation::Relu => 2,
            _ => 1,
        }
    }

    #[test]
    fn training_equals_its_twin_and_finite_differences() -> Result<()> {
        for activation in ALL {
            for shape in [[2, 3, 4, 5], [1, 2, 2, 3], [4, 1, 9, 9], [2, 7, 33, 31]] {
                let c = [shape[1]];
                let inputs = [&[&shape[..], &c, &c][..], &[&shape, &c, &c, &shape]];
                for inputs in &inputs[..with_residual(activation)] {
                    Case::new(&format!("batch_norm {activation:?}"), inputs)
                        .with(0, |x| x.affine(2.0, 3.0))
                        .run(
                            |t| {
                                let (x, w, b) = (&t[0], &t[1], &t[2]);
                                Ok(batch_norm_train(x, w, b, t.get(3), 1e-5, activation)?.0)
                            },
                            |t| {
                                let (x, w, b) = (&t[0], &t[1], &t[2]);
                                let (y, _) = reference::batch_norm_train(
                                    x,
                                    w,
                                    b,
                                    t.get(3),
                                    1e-5,
                                    activation,
                                    1.0,
                                )?;
                                Ok(y)
                            },
                        )?;
                }
            }
        }
        Ok(())
    }

    #[test]
    fn evaluation_equals_its_twin_and_finite_differences() -> Result<()> {
        let (mean, var) = (check::input(7, &[3])?, check::input(8, &[3])?.sqr()?);
        for activation in ALL {
            let like = |t: &Tensor| {
                Ok::<_, candle_core::Error>((mean.to_dtype(t.dtype())?, var.to_dtype(t.dtype())?))
            };
            let shape: &[usize] = &[2, 3, 4, 5];
            let inputs = [&[shape, &[3], &[3]][..], &[shape, &[3], &[3], shape]];
            for inputs in &inputs[..with_residual(activation)] {
                Case::new(&format!("batch_norm eval {activation:?}"), inputs).run(
                    |t| {
                        let (x, w, b) = (&t[0], &t[1], &t[2]);
                        let (m, v) = like(x.value())?;
                        batch_norm_eval(x, w, b, t.get(3), (&m, &v), 1e-5, activation)
                    },
                    |t| {
                        let (x, w, b) = (&t[0], &t[1], &t[2]);
                        let (m, v) = like(x)?;
                        let stats = (&m, &v);
                        reference::batch_norm_eval(x, w, b, t.get(3), stats, 1e-5, activation)
                    },
                )?;
            }
        }
        Ok(())
    }

    #[test]
    fn statistics_are_mean_and_unbiased_variance() -> Result<()> {
        let x = Tensor::new(&[1f64, 2.0, 3.0, 6.0], &candle_core::Device::Cpu)?
            .reshape((2, 1, 1, 2))?;
        let one = Tensor::ones(1, DType::F64, x.device())?;
        let (x, one) = (Tracked::constant(&x), Tracked::constant(&one));
        let (_, stats) = batch_norm_train(&x, &one, &one, None, 0.0, Activation::Identity)?;
        assert_eq!(stats.mean.to_vec1::<f64>()?, [3.0]);
        assert!((stats.var.to_vec1::<f64>()?[0] - 14.0 / 3.0).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn a_single_value_a_channel_is_an_error() -> Result<()> {
        let (x, w) = (check::input(0, &[1, 3, 1, 1])?, check::input(1, &[3])?);
        let (x, w) = (Tracked::constant(&x), Tracked::constant(&w));
        assert!(batch_norm_train(&x, &w, &w, None, 1e-5, Activation::Identity).is_err());
        Ok(())
    }
}
