//! Batch normalisation over (B, H, W), with the ReLU that usually follows fused into it.

mod kernels;
pub(crate) mod reference;

use crate::element::{Element, Read, slice, tensor, with_float};
use candle_core::{
    CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType,
    backend::BackendStorage, bail,
};

/// What follows the normalisation in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(y, 0)`, slope 0 at 0.
    Relu,
}

/// Statistics of one batch, for the running averages.
#[derive(Debug, Clone)]
pub struct BatchStats {
    /// Mean a channel, `(C)`.
    pub mean: Tensor,
    /// *Unbiased* variance a channel, `(C)`: what PyTorch averages into `running_var` (it
    /// normalises by the biased one). With one value a channel it is infinite.
    pub var: Tensor,
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` a channel with the batch's own mean and biased
/// variance, as `torch.nn.functional.batch_norm(training=True)`.
///
/// # Shapes
/// `x (B, C, H, W)`, `weight (C)`, `bias (C)` → `(B, C, H, W)`
///
/// # Errors
/// If the shapes do not fit, a channel has a single value (as in PyTorch), or the dtypes differ or
/// are neither f32 nor f64.
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<(Tensor, BatchStats)> {
    let (b, _, h, w) = check_shapes(x, &[weight, bias])?;
    let count = b * h * w;
    if count < 2 {
        bail!(
            "batch_norm: one value a channel in {:?}, expected more when training",
            x.dims()
        );
    }
    let unbias = count as f64 / (count - 1) as f64;
    if !x.device().is_cpu() {
        return reference::batch_norm_train(x, weight, bias, eps, activation, unbias);
    }
    let x = x.contiguous()?;
    let (op, stats) = with_float!(x.dtype(), "batch_norm", T => {
        let read = Read::new(&x)?;
        let (mean, var) = kernels::moments(read.slice::<T>()?, x.dim(1)?, h * w);
        let stats = BatchStats {
            mean: per_channel::<T>(&mean, |m| m)?,
            var: per_channel::<T>(&var, |v| v * unbias)?,
        };
        (BatchNorm::new(mean, &var, eps, activation, true), stats)
    });
    let y = x.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    Ok((y, stats))
}

/// The same with given statistics, which are constants to the gradient:
/// `batch_norm(training=False)`.
///
/// # Shapes
/// `x (B, C, H, W)`, the others `(C)` → `(B, C, H, W)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn batch_norm_eval(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stats: (&Tensor, &Tensor),
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    let (mean, var) = stats;
    check_shapes(x, &[weight, bias, mean, var])?;
    if !x.device().is_cpu() {
        return reference::batch_norm_eval(x, weight, bias, stats, eps, activation);
    }
    let numbers = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
    let op = BatchNorm::new(numbers(mean)?, &numbers(var)?, eps, activation, false);
    x.contiguous()?
        .apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)
}

fn check_shapes(x: &Tensor, channels: &[&Tensor]) -> Result<(usize, usize, usize, usize)> {
    let (b, c, h, w) = x.dims4()?;
    match channels.iter().find(|t| t.dims() != [c]) {
        Some(t) => bail!("batch_norm: {:?} does not fit {c} channels", t.dims()),
        None => Ok((b, c, h, w)),
    }
}

fn per_channel<T: Element>(values: &[f64], f: impl Fn(f64) -> f64) -> Result<Tensor> {
    let data: Vec<T> = values.iter().map(|&v| T::from_f64(f(v))).collect();
    tensor(data, &[values.len()])
}

struct BatchNorm {
    mean: Vec<f64>,
    inv_std: Vec<f64>,
    activation: Activation,
    /// Whether the statistics are the batch's own and pass gradients on.
    training: bool,
}

impl BatchNorm {
    fn new(mean: Vec<f64>, var: &[f64], eps: f64, activation: Activation, training: bool) -> Self {
        Self {
            mean,
            inv_std: var.iter().map(|v| 1.0 / (v + eps).sqrt()).collect(),
            activation,
            training,
        }
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, _, h, width) = xl.shape().dims4()?;
        with_float!(x.dtype(), "batch_norm", T => {
            let (x, w, b) = (slice::<T>(x, xl)?, slice::<T>(w, wl)?, slice::<T>(b, bl)?);
            let y = kernels::forward(self, x, w, b, h * width);
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, c, h, width) = x.dims4()?;
        let dy = dy.contiguous()?;
        let (xr, wr, yr, dyr) = (Read::new(x)?, Read::new(w)?, Read::new(y)?, Read::new(&dy)?);
        with_float!(x.dtype(), "batch_norm", T => {
            let (xs, ws, ys, dys) = (xr.slice::<T>()?, wr.slice()?, yr.slice()?, dyr.slice()?);
            let (dx, dw, db) = kernels::backward(self, xs, ws, ys, dys, h * width);
            Ok((
                Some(tensor(dx, x.dims())?),
                Some(tensor(dw, &[c])?),
                Some(tensor(db, &[c])?),
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};

    #[test]
    fn training_equals_its_twin_and_finite_differences() -> Result<()> {
        for activation in [Activation::Identity, Activation::Relu] {
            for shape in [[2, 3, 4, 5], [1, 2, 2, 3], [3, 1, 9, 9], [2, 7, 33, 31]] {
                let c = [shape[1]];
                Case::new(&format!("batch_norm {activation:?}"), &[&shape, &c, &c])
                    .with(0, |x| x.affine(2.0, 3.0))
                    .run(
                        |t| Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-5, activation)?.0),
                        |t| {
                            let (y, _) = reference::batch_norm_train(
                                &t[0], &t[1], &t[2], 1e-5, activation, 1.0,
                            )?;
                            Ok(y)
                        },
                    )?;
            }
        }
        Ok(())
    }

    #[test]
    fn evaluation_equals_its_twin_and_finite_differences() -> Result<()> {
        let (mean, var) = (check::input(7, &[3])?, check::input(8, &[3])?.sqr()?);
        for activation in [Activation::Identity, Activation::Relu] {
            let like = |t: &Tensor| {
                Ok::<_, candle_core::Error>((mean.to_dtype(t.dtype())?, var.to_dtype(t.dtype())?))
            };
            Case::new(
                &format!("batch_norm eval {activation:?}"),
                &[&[2, 3, 4, 5], &[3], &[3]],
            )
            .run(
                |t| {
                    let (m, v) = like(&t[0])?;
                    batch_norm_eval(&t[0], &t[1], &t[2], (&m, &v), 1e-5, activation)
                },
                |t| {
                    let (m, v) = like(&t[0])?;
                    reference::batch_norm_eval(&t[0], &t[1], &t[2], (&m, &v), 1e-5, activation)
                },
            )?;
        }
        Ok(())
    }

    #[test]
    fn statistics_are_mean_and_unbiased_variance() -> Result<()> {
        let x = Tensor::new(&[1f64, 2.0, 3.0, 6.0], &candle_core::Device::Cpu)?
            .reshape((2, 1, 1, 2))?;
        let one = Tensor::ones(1, DType::F64, x.device())?;
        let (_, stats) = batch_norm_train(&x, &one, &one, 0.0, Activation::Identity)?;
        assert_eq!(stats.mean.to_vec1::<f64>()?, [3.0]);
        assert!((stats.var.to_vec1::<f64>()?[0] - 14.0 / 3.0).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn a_single_value_a_channel_is_an_error() -> Result<()> {
        let (x, w) = (check::input(0, &[1, 3, 1, 1])?, check::input(1, &[3])?);
        assert!(batch_norm_train(&x, &w, &w, 1e-5, Activation::Identity).is_err());
        Ok(())
    }
}
