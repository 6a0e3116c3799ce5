//! Softmax attention from a packed projection, one head of one image at a time.

mod kernels;
pub(crate) mod reference;

use crate::element::{Read, slice, tensor, with_float};
use candle_core::{
    CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, backend::BackendStorage, bail,
};

/// `softmax(q kᵀ / √D) v` for every head, as timm's `Attention` between its `qkv` and `proj`.
///
/// The N × N weights exist for one head of one image a thread, and are computed again in the
/// backward pass: memory grows with N, not with its square times the batch.
///
/// # Shapes
/// `qkv (B, N, 3 · heads · D)`, in timm's order (q, k, v; then head; then D) →
/// `(B, N, heads · D)`
///
/// # Errors
/// If the last dimension does not divide by `3 · heads`, or `qkv` is neither f32 nor f64.
pub fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let sizes = Sizes::new(qkv.dims3()?, heads)?;
    if !qkv.device().is_cpu() {
        return reference::attention(qkv, &sizes);
    }
    qkv.contiguous()?.apply_op1(Attention { heads })
}

/// Batch, tokens, heads and width of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    b: usize,
    n: usize,
    heads: usize,
    d: usize,
}

impl Sizes {
    fn new((b, n, width): (usize, usize, usize), heads: usize) -> Result<Self> {
        if heads == 0 || width == 0 || width % (3 * heads) != 0 {
            bail!("attention: width {width} does not divide into q, k and v of {heads} heads");
        }
        let d = width / (3 * heads);
        Ok(Self { b, n, heads, d })
    }

    /// Width of q, of k, of v, and of the result.
    fn width(&self) -> usize {
        self.heads * self.d
    }

    fn scale(&self) -> f64 {
        (self.d as f64).sqrt().recip()
    }
}

struct Attention {
    heads: usize,
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let s = Sizes::new(layout.shape().dims3()?, self.heads)?;
        with_float!(qkv.dtype(), "attention", T => {
            let out = kernels::forward(&s, slice::<T>(qkv, layout)?);
            Ok((T::to_cpu_storage_owned(out), (s.b, s.n, s.width()).into()))
        })
    }

    fn bwd(&self, qkv: &Tensor, out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        let s = Sizes::new(qkv.dims3()?, self.heads)?;
        let dout = dout.contiguous()?;
        let (qkvr, outr, doutr) = (Read::new(qkv)?, Read::new(out)?, Read::new(&dout)?);
        with_float!(qkv.dtype(), "attention", T => {
            let dqkv = kernels::backward(&s, qkvr.slice::<T>()?, outr.slice()?, doutr.slice()?);
            Ok(Some(tensor(dqkv, qkv.dims())?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (b, n, heads, d) in [(1, 1, 1, 1), (2, 5, 3, 4), (1, 37, 2, 16), (3, 17, 1, 7)] {
            Case::new("attention", &[&[b, n, 3 * heads * d]]).run(
                |t| attention(&t[0], heads),
                |t| reference::attention(&t[0], &Sizes::new(t[0].dims3()?, heads)?),
            )?;
        }
        Ok(())
    }

    #[test]
    fn large_scores_do_not_overflow() -> Result<()> {
        let qkv = (check::input(0, &[1, 4, 12])? * 1e4)?.to_dtype(candle_core::DType::F32)?;
        let out = attention(&qkv, 2)?.flatten_all()?.to_vec1::<f32>()?;
        assert!(out.iter().all(|v| v.is_finite()), "{out:?}");
        Ok(())
    }

    #[test]
    fn widths_that_do_not_divide_are_errors() -> Result<()> {
        assert!(attention(&check::input(0, &[1, 4, 10])?, 2).is_err());
        assert!(attention(&check::input(0, &[1, 4, 12])?, 0).is_err());
        Ok(())
    }
}
