//! Layer normalisation over the last dimension.

mod kernels;
pub(crate) mod reference;

use crate::cuda::{self, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::op::Op;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, Tensor};

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last dimension (biased variance), as
/// `torch.nn.functional.layer_norm`.
///
/// # Shapes
/// `x (..., D)`, `weight (D)`, `bias (D)` → `(..., D)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn layer_norm(x: &Tracked, weight: &Tracked, bias: &Tracked, eps: f64) -> Result<Tracked> {
    let d = weight.value().dims1()?;
    if x.dims().last() != Some(&d) || bias.dims() != [d] || d == 0 {
        candle_core::bail!(
            "layer_norm: x {:?}, weight {:?} and bias {:?} do not fit",
            x.dims(),
            weight.dims(),
            bias.dims()
        );
    }
    if let Some(gpu) = Gpu::of(x) {
        return cuda::layer_norm(gpu, x, weight, bias, eps);
    }
    if !x.is_on_cpu() {
        return compose_as("layer_norm", &[x, weight, bias], |t| {
            reference::layer_norm(&t[0], &t[1], &t[2], eps)
        });
    }
    let (x, weight, bias) = (x.contiguous()?, weight.contiguous()?, bias.contiguous()?);
    let inputs = [&x, &weight, &bias].map(|input| input.value().clone());
    let y = timed("layer_norm", Pass::Forward, || forward(&inputs, eps))?;
    let [saved_x, saved_weight, _] = inputs.clone();
    let op = Op::LayerNorm { eps };
    let y = Tracked::record(op, y, &[&x, &weight, &bias], move |dy| {
        backward(&saved_x, &saved_weight, eps, dy)
    });
    Ok(y.or_again(move || forward(&inputs, eps)))
}

fn forward([x, weight, bias]: &[Tensor; 3], eps: f64) -> Result<Tensor> {
    let (xr, wr, br) = (Read::new(x)?, Read::new(weight)?, Read::new(bias)?);
    with_float!(x.dtype(), "layer_norm", T => {
        let (xs, ws, bs) = (xr.slice::<T>()?, wr.slice()?, br.slice()?);
        tensor(kernels::forward(xs, ws, bs, T::of(eps)), x.dims())
    })
}

fn backward(x: &Tensor, weight: &Tensor, eps: f64, dy: &Tensor) -> Result<Vec<Option<Gradient>>> {
    let dy = dy.contiguous()?;
    let (xr, wr, dyr) = (Read::new(x)?, Read::new(weight)?, Read::new(&dy)?);
    with_float!(x.dtype(), "layer_norm", T => {
        let (xs, ws, dys) = (xr.slice::<T>()?, wr.slice::<T>()?, dyr.slice::<T>()?);
        let (dx, dw, db) = kernels::backward(xs, ws, dys, T::of(eps));
        Ok(vec![
            Some(Gradient::fresh(tensor(dx, x.dims())?)),
            Some(Gradient::fresh(tensor(dw, weight.dims())?)),
            Some(Gradient::fresh(tensor(db, weight.dims())?)),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for shape in [&[1, 5][..], &[3, 7, 33], &[200, 192]] {
            let d = shape[shape.len() - 1];
            Case::new("layer_norm", &[shape, &[d], &[d]])
                .with(0, |x| x.affine(3.0, 1.5))
                .run(
                    |t| layer_norm(&t[0], &t[1], &t[2], 1e-6),
                    |t| reference::layer_norm(&t[0], &t[1], &t[2], 1e-6),
                )?;
        }
        Ok(())
    }

    #[test]
    fn wrong_shapes_are_errors() -> Result<()> {
        let (x, w) = (check::constant(0, &[2, 3])?, check::constant(1, &[4])?);
        assert!(layer_norm(&x, &w, &w, 1e-6).is_err());
        Ok(())
    }
}
