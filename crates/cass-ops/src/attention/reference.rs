use super::Sizes;
use crate::autocast::matmul;
use candle_core::{D, Result, Tensor};

/// What is added to the scores before the softmax: the bias `(heads, N, N)`, and the mask
/// `(windows, N, N)`.
pub(crate) type Added<'a> = (&'a Tensor, Option<&'a Tensor>);

/// The plain twin, and the path on other devices and under [`autocast`](crate::scope::autocast()).
pub(crate) fn attention(qkv: &Tensor, s: &Sizes, added: Option<Added>) -> Result<Tensor> {
    let [q, k, v] = split(qkv, s)?;
    matmul(&weights_of(&q, &k, s, added)?, &v)?
        .transpose(1, 2)?
        .reshape((s.b, s.n, s.width()))
}

/// The weights alone, `(B, heads, N, N)`.
pub(crate) fn weights(qkv: &Tensor, s: &Sizes, added: Option<Added>) -> Result<Tensor> {
    let [q, k, _] = split(qkv, s)?;
    weights_of(&q, &k, s, added)
}

/// q, k and v, `(B, heads, N, D)` each.
fn split(qkv: &Tensor, s: &Sizes) -> Result<[Tensor; 3]> {
    let qkv = qkv
        .reshape((s.b, s.n, 3, s.heads, s.d))?
        .permute((2, 0, 3, 1, 4))? // (3, B, heads, N, D)
        .contiguous()?;
    Ok([qkv.get(0)?, qkv.get(1)?, qkv.get(2)?])
}

fn weights_of(q: &Tensor, k: &Tensor, s: &Sizes, added: Option<Added>) -> Result<Tensor> {
    let mut scores = matmul(&(q * s.scale())?, &k.t()?)?; // (B, heads, N, N)
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
    candle_nn::ops::softmax(&scores, D::Minus1)
}
