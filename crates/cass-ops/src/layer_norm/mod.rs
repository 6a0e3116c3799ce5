//! Layer normalisation over the last dimension.

mod kernels;
pub(crate) mod reference;

use crate::element::{Read, slice, tensor, with_float};
use candle_core::{
    CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType, backend::BackendStorage,
};

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last dimension (biased variance), as
/// `torch.nn.functional.layer_norm`.
///
/// # Shapes
/// `x (..., D)`, `weight (D)`, `bias (D)` → `(..., D)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let d = weight.dims1()?;
    if x.dims().last() != Some(&d) || bias.dims() != [d] || d == 0 {
        candle_core::bail!(
            "layer_norm: x {:?}, weight {:?} and bias {:?} do not fit",
            x.dims(),
            weight.dims(),
            bias.dims()
        );
    }
    if !x.device().is_cpu() {
        return reference::layer_norm(x, weight, bias, eps);
    }
    x.contiguous()?.apply_op3(
        &weight.contiguous()?,
        &bias.contiguous()?,
        LayerNorm { eps },
    )
}

struct LayerNorm {
    eps: f64,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
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
        with_float!(x.dtype(), "layer_norm", T => {
            let (x, w, b) = (slice::<T>(x, xl)?, slice::<T>(w, wl)?, slice::<T>(b, bl)?);
            let y = kernels::forward(x, w, b, T::from_f64(self.eps));
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (xr, wr, dyr) = (Read::new(x)?, Read::new(w)?, Read::new(&dy)?);
        with_float!(x.dtype(), "layer_norm", T => {
            let (xs, ws, dys) = (xr.slice::<T>()?, wr.slice::<T>()?, dyr.slice::<T>()?);
            let (dx, dw, db) = kernels::backward(xs, ws, dys, T::from_f64(self.eps));
            Ok((
                Some(tensor(dx, x.dims())?),
                Some(tensor(dw, w.dims())?),
                Some(tensor(db, w.dims())?),
            ))
        })
    }
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
        let (x, w) = (check::input(0, &[2, 3])?, check::input(1, &[4])?);
        assert!(layer_norm(&x, &w, &w, 1e-6).is_err());
        Ok(())
    }
}
