use super::Sizes;
use candle_core::{D, Result, Tensor};

/// The plain twin, and the path on other devices.
pub(crate) fn attention(qkv: &Tensor, s: &Sizes) -> Result<Tensor> {
    let qkv = qkv
        .reshape((s.b, s.n, 3, s.heads, s.d))?
        .permute((2, 0, 3, 1, 4))? // (3, B, heads, N, D)
        .contiguous()?;
    let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
    let scores = (q * s.scale())?.matmul(&k.t()?)?; // (B, heads, N, N)
    candle_nn::ops::softmax(&scores, D::Minus1)?
        .matmul(&v)?
        .transpose(1, 2)?
        .reshape((s.b, s.n, s.width()))
}
