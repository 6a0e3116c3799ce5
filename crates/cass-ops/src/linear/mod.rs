//! `y = x Wᵀ + b`, and the residual sum that often follows.

mod kernels;
pub(crate) mod reference;

use crate::autocast::{casts, in_bf16};
use crate::cuda::{self, Gpu};
use crate::element::{Read, tensor, with_float};
use crate::interrupt;
use crate::op::Op;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Kept, Tracked, compose_as};
use candle_core::{Result, Tensor};

/// Affine map of the last dimension, as `torch.nn.functional.linear`.
///
/// # Shapes
/// `x (..., K)`, `weight (N, K)`, `bias (N)` → `(..., N)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn linear(x: &Tracked, weight: &Tracked, bias: Option<&Tracked>) -> Result<Tracked> {
    linear_add(x, weight, bias, None)
}

/// [`linear`]`(x, weight, bias) + residual` in one pass: the end of a Transformer's branch.
///
/// # Shapes
/// `x (..., K)`, `weight (N, K)`, `bias (N)`, `residual (..., N)` → `(..., N)`
///
/// # Errors
/// As [`linear`].
pub fn linear_add(
    x: &Tracked,
    weight: &Tracked,
    bias: Option<&Tracked>,
    residual: Option<&Tracked>,
) -> Result<Tracked> {
    let (n, k) = weight.value().dims2()?;
    let mut shape = x.dims().to_vec();
    let last = shape.pop();
    let rows: usize = shape.iter().product();
    shape.push(n);
    if last != Some(k)
        || bias.is_some_and(|b| b.dims() != [n])
        || residual.is_some_and(|r| r.dims() != shape)
    {
        candle_core::bail!(
            "linear: x {:?}, weight {:?}, bias {:?} and residual {:?} do not fit",
            x.dims(),
            weight.dims(),
            bias.map(Tracked::dims),
            residual.map(Tracked::dims)
        );
    }
    if casts(x.value()) {
        let mut y = in_bf16(x, weight, |x, weight| linear(x, weight, None))?;
        for added in bias.into_iter().chain(residual) {
            y = y.broadcast_add(added)?;
        }
        return Ok(y);
    }
    if let Some(gpu) = Gpu::storing(x) {
        return cuda::linear_add(gpu, x, weight, bias, residual, &shape);
    }
    let (has_bias, has_residual) = (bias.is_some(), residual.is_some());
    if !x.is_on_cpu() {
        let inputs: Vec<&Tracked> = [x, weight]
            .into_iter()
            .chain(bias)
            .chain(residual)
            .collect();
        return compose_as("linear", &inputs, |t| {
            let bias = has_bias.then(|| &t[2]);
            let y = reference::linear(&t[0], &t[1], bias)?;
            match has_residual {
                true => y + &t[t.len() - 1],
                false => Ok(y),
            }
        });
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let bias = bias.map(Tracked::contiguous).transpose()?;
    let residual = residual.map(Tracked::contiguous).transpose()?;
    let sizes = [rows, k, n];
    interrupt::check()?;
    let y = timed("linear", Pass::Forward, || {
        let (xr, wr) = (Read::new(x.value())?, Read::new(weight.value())?);
        let br = bias.as_ref().map(|b| Read::new(b.value())).transpose()?;
        let rr = residual
            .as_ref()
            .map(|r| Read::new(r.value()))
            .transpose()?;
        with_float!(x.value().dtype(), "linear", T => {
            let bias = br.as_ref().map(Read::slice::<T>).transpose()?;
            let residual = rr.as_ref().map(Read::slice::<T>).transpose()?;
            let (xs, ws) = (xr.slice::<T>()?, wr.slice::<T>()?);
            tensor(kernels::forward(xs, ws, bias, residual, sizes), &shape)
        })
    })?;
    let saved = Saved {
        x: weight.is_tracked().then(|| x.kept()),
        x_shape: x.dims().to_vec(),
        weight: weight.value().clone(),
        sizes,
        needs: [x.is_tracked(), has_bias],
    };
    let mut inputs = vec![&x, &weight];
    inputs.extend(&bias);
    inputs.extend(&residual);
    Ok(Tracked::record(
        Op::Linear { has_bias },
        y,
        &inputs,
        move |dy| {
            let mut found = saved.backward(dy)?;
            if has_residual {
                found.push(Some(Gradient::shared(dy.clone())));
            }
            Ok(found)
        },
    ))
}

struct Saved {
    /// For the gradient of the weight alone.
    x: Option<Kept>,
    x_shape: Vec<usize>,
    weight: Tensor,
    /// Rows of x, values of one, values of one of the result.
    sizes: [usize; 3],
    /// Whether x and bias want a gradient.
    needs: [bool; 2],
}

impl Saved {
    /// The gradients of x, of the weight and, where there is one, of the bias.
    fn backward(self, dy: &Tensor) -> Result<Vec<Option<Gradient>>> {
        let Self { weight, sizes, .. } = self;
        let dy = dy.contiguous()?;
        let (wr, dyr) = (Read::new(&weight)?, Read::new(&dy)?);
        let [needs_x, has_bias] = self.needs;
        with_float!(weight.dtype(), "linear", T => {
            let (ws, dys) = (wr.slice::<T>()?, dyr.slice::<T>()?);
            let dx = needs_x.then(|| tensor(kernels::grad_x(ws, dys, sizes), &self.x_shape));
            let dw = self.x.map(|x| {
                let x = x.value()?;
                let xr = Read::new(&x)?;
                tensor(kernels::grad_weight(xr.slice::<T>()?, dys, sizes), weight.dims())
            });
            let mut found = vec![
                dx.transpose()?.map(Gradient::fresh),
                dw.transpose()?.map(Gradient::fresh),
            ];
            if has_bias {
                let db = tensor(kernels::column_sums(dys, sizes[2]), &[sizes[2]])?;
                found.push(Some(Gradient::fresh(db)));
            }
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (rows, k, n) in [
            (1, 1, 1),
            (5, 7, 3),
            (37, 65, 33),
            (300, 20, 140),
            (3, 9, 700),
        ] {
            Case::new("linear", &[&[rows, k], &[n, k], &[n]]).run(
                |t| linear(&t[0], &t[1], Some(&t[2])),
                |t| reference::linear(&t[0], &t[1], Some(&t[2])),
            )?;
            Case::new("linear_add", &[&[rows, k], &[n, k], &[n], &[rows, n]]).run(
                |t| linear_add(&t[0], &t[1], Some(&t[2]), Some(&t[3])),
                |t| reference::linear(&t[0], &t[1], Some(&t[2]))? + &t[3],
            )?;
        }
        Case::new("linear_add without bias", &[&[2, 3], &[4, 3], &[2, 4]]).run(
            |t| linear_add(&t[0], &t[1], None, Some(&t[2])),
            |t| reference::linear(&t[0], &t[1], None)? + &t[2],
        )?;
        Case::new("linear without bias", &[&[2, 3, 4], &[5, 4]]).run(
            |t| linear(&t[0], &t[1], None),
            |t| reference::linear(&t[0], &t[1], None),
        )
    }

    #[test]
    fn wrong_shapes_are_errors() -> Result<()> {
        let x = check::constant(0, &[2, 3])?;
        let w = check::constant(1, &[4, 5])?;
        assert!(linear(&x, &w, None).is_err());
        let w = check::constant(1, &[4, 3])?;
        assert!(linear(&x, &w, Some(&check::constant(2, &[3])?)).is_err());
        let residual = check::constant(2, &[2, 3])?;
        assert!(linear_add(&x, &w, None, Some(&residual)).is_err());
        Ok(())
    }
}
