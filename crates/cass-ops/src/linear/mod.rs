//! `y = x Wᵀ + b`.

mod kernels;
pub(crate) mod reference;

use crate::element::{Read, slice, tensor, with_float};
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType,
    backend::BackendStorage,
};

/// Affine map of the last dimension, as `torch.nn.functional.linear`.
///
/// # Shapes
/// `x (..., K)`, `weight (N, K)`, `bias (N)` → `(..., N)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (n, k) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    let last = shape.pop();
    if last != Some(k) || bias.is_some_and(|b| b.dims() != [n]) {
        candle_core::bail!(
            "linear: x {:?}, weight {:?} and bias {:?} do not fit",
            x.dims(),
            weight.dims(),
            bias.map(Tensor::dims)
        );
    }
    if !x.device().is_cpu() {
        return reference::linear(x, weight, bias);
    }
    let rows: usize = shape.iter().product();
    let x = x.contiguous()?.reshape((rows, k))?;
    let weight = weight.contiguous()?;
    let y = match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, Linear)?,
        None => x.apply_op2(&weight, Linear)?,
    };
    shape.push(n);
    y.reshape(shape)
}

struct Linear;

impl Linear {
    fn forward(
        &self,
        (x, xl): (&CpuStorage, &Layout),
        (w, wl): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, k) = xl.shape().dims2()?;
        let n = wl.shape().dims2()?.0;
        with_float!(x.dtype(), "linear", T => {
            let bias = bias.map(|(b, bl)| slice::<T>(b, bl)).transpose()?;
            let y = kernels::forward(slice::<T>(x, xl)?, slice::<T>(w, wl)?, bias, [rows, k, n]);
            Ok((T::to_cpu_storage_owned(y), (rows, n).into()))
        })
    }

    fn backward(x: &Tensor, w: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Tensor, Tensor)> {
        let (rows, k) = x.dims2()?;
        let n = w.dims2()?.0;
        let dy = dy.contiguous()?;
        let (xr, wr, dyr) = (Read::new(x)?, Read::new(w)?, Read::new(&dy)?);
        with_float!(x.dtype(), "linear", T => {
            let (xs, ws, dys) = (xr.slice::<T>()?, wr.slice::<T>()?, dyr.slice::<T>()?);
            let dx = if x.track_op() {
                Some(tensor(kernels::grad_x(ws, dys, [rows, k, n]), &[rows, k])?)
            } else {
                None
            };
            let dw = tensor(kernels::grad_weight(xs, dys, [rows, k, n]), &[n, k])?;
            let db = tensor(kernels::column_sums(dys, n), &[n])?;
            Ok((dx, dw, db))
        })
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, xl), (w, wl), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw, _) = Self::backward(x, w, dy)?;
        Ok((dx, Some(dw)))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        self.forward((x, xl), (w, wl), Some((b, bl)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw, db) = Self::backward(x, w, dy)?;
        Ok((dx, Some(dw), Some(db)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (rows, k, n) in [(1, 1, 1), (5, 7, 3), (37, 65, 33)] {
            Case::new("linear", &[&[rows, k], &[n, k], &[n]]).run(
                |t| linear(&t[0], &t[1], Some(&t[2])),
                |t| reference::linear(&t[0], &t[1], Some(&t[2])),
            )?;
        }
        Case::new("linear without bias", &[&[2, 3, 4], &[5, 4]]).run(
            |t| linear(&t[0], &t[1], None),
            |t| reference::linear(&t[0], &t[1], None),
        )
    }

    #[test]
    fn wrong_shapes_are_errors() -> Result<()> {
        let x = check::input(0, &[2, 3])?;
        let w = check::input(1, &[4, 5])?;
        assert!(linear(&x, &w, None).is_err());
        let w = check::input(1, &[4, 3])?;
        assert!(linear(&x, &w, Some(&check::input(2, &[3])?)).is_err());
        Ok(())
    }
}
