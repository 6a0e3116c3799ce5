use super::Sizes;
use candle_core::{D, Result, Tensor};

/// The plain twin, and the path on other devices; `added` are the bias `(heads, N, N)` and the mask
/// `(windows, N, N)`.
pub(crate) fn attention(
    qkv: &Tensor,
    s: &Sizes,
    added: Option<(&Tensor, Option<&Tensor>)>,
) -> Result<Tensor> {
    let qkv = qkv
        .reshape((s.b, s.n, 3, s.heads, s.d))?
        .permute((2, 0, 3, 1, 4))? // (3, B, heads, N, D)
        .contiguous()?;
    let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
    let mut scores = (q * s.scale())?.matmul(&k.t()?)?; // (B, heads, N, N)
    if let Some((bias, mask)) = added {
        scores = scores.broadcast_add(bias)?;
        if let Some(mask) = mask {
            let windows = mask.dim(0)?;
            scores = scores
                .reshape((s.b / windows, windows, s.heads, s.n, s.n))?
                .broadcast_add(&mask.unsqueeze(1)?)?
                .reshape((s.b, s.heads, s.n, s.n))?;
        }
    }
    candle_nn::ops::softmax(&scores, D::Minus1)?
        .matmul(&v)?
        .transpose(1, 2)?
        .reshape((s.b, s.n, s.width()))
}
