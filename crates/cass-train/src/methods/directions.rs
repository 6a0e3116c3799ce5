//! Rows of length 1, and how far apart their directions are.

use candle_core::{D, Result, Tensor, bail};

/// `x / max(‖x‖₂, ε)` over the last dimension, as `torch.nn.functional.normalize`.
///
/// The maximum is taken of the squares: under a root, a zero would have an infinite gradient.
pub(super) fn normalize(x: &Tensor, eps: f64) -> Result<Tensor> {
    let squares = x.sqr()?.sum_keepdim(D::Minus1)?; // (B, 1)
    x.broadcast_div(&squares.maximum(eps * eps)?.sqrt()?)
}

/// The cosine of each row of `a (B, K)` with that of `b (B, K)`, `(B)`; of a zero vector 0.
pub(super) fn cosines(method: &str, a: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    if a.dims() != b.dims() || a.rank() != 2 {
        bail!(
            "{method} compares two (B, K) tensors, not {:?} and {:?}",
            a.dims(),
            b.dims()
        );
    }
    (normalize(a, eps)? * normalize(b, eps)?)?.sum(D::Minus1)
}
