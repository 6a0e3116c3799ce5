//! Attention: Candle's products over all heads, and the softmax between them in one pass. The weights are computed again on the
//! way back, so that none are kept.

use super::arguments::{JoinHeads, Softmax, SoftmaxGradient, SplitHeads};
use super::elementwise::swapped;
use super::launch::{Gpu, over, over_rows};
use super::sums;
use crate::autocast::product;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{Result, Tensor};

/// What is attended, and what is added to the scores.
pub(crate) struct AttentionOperands<'a> {
    /// `(B, N, 3 · heads · D)`
    pub(crate) qkv: &'a Tracked,
    /// `(heads, N, N)`
    pub(crate) bias: Option<&'a Tracked>,
    /// `(windows, N, N)`
    pub(crate) mask: Option<Tensor>,
    pub(crate) heads: usize,
    /// Whether the products are made in bf16.
    pub(crate) low: bool,
}

/// See [`crate::nn::attention`] and [`crate::nn::window_attention`].
pub(crate) fn attention(gpu: Gpu, operands: AttentionOperands) -> Result<Tracked> {
    let qkv = operands.qkv.contiguous()?;
    let bias = operands.bias.map(Tracked::contiguous).transpose()?;
    let (batch, tokens, width) = qkv.value().dims3()?;
    let op = Attention {
        gpu,
        bias: bias.as_ref().map(|bias| bias.value().clone()),
        mask: operands.mask.map(|mask| mask.contiguous()).transpose()?,
        batch,
        tokens,
        heads: operands.heads,
        depth: width / 3 / operands.heads,
        low: operands.low,
    };
    let (out, parts) = timed("attention", Pass::Forward, || {
        let [q, k, v] = op.split(qkv.value())?;
        let weights = op.weights(&q, &k)?;
        let out = product(&weights, &v, op.low)?; // (B, heads, N, D)
        let sizes = [batch, op.heads, tokens, op.depth];
        let out = swapped(&op.gpu, &out, sizes, &[batch, tokens, width / 3])?;
        Ok::<_, candle_core::Error>((out, [q, k, v]))
    })?;
    let inputs: Vec<&Tracked> = [&qkv].into_iter().chain(&bias).collect();
    Ok(Tracked::record("attention", out, &inputs, move |dout| {
        op.backward(&parts, &dout.contiguous()?)
    }))
}

struct Attention {
    gpu: Gpu,
    bias: Option<Tensor>,
    mask: Option<Tensor>,
    batch: usize,
    tokens: usize,
    heads: usize,
    depth: usize,
    low: bool,
}

impl Attention {
    fn scale(&self) -> f64 {
        (self.depth as f64).sqrt().recip()
    }

    fn by_heads(&self) -> [usize; 4] {
        [self.batch, self.heads, self.tokens, self.depth]
    }

    fn split(&self, qkv: &Tensor) -> Result<[Tensor; 3]> {
        let (gpu, shape) = (&self.gpu, self.by_heads());
        let [q, k, v] = [gpu.empty(&shape)?, gpu.empty(&shape)?, gpu.empty(&shape)?];
        let args = SplitHeads {
            qkv: gpu.read(qkv)?,
            q: gpu.write(&q)?,
            k: gpu.write(&k)?,
            v: gpu.write(&v)?,
            batch: self.batch as u64,
            tokens: self.tokens as u64,
            heads: self.heads as u64,
            depth: self.depth as u64,
        };
        gpu.launch("split_heads", over(qkv.elem_count()), &args)?;
        Ok([q, k, v])
    }

    /// `(B, heads, N, N)`
    fn weights(&self, q: &Tensor, k: &Tensor) -> Result<Tensor> {
        let gpu = &self.gpu;
        let scores = product(q, &k.t()?, self.low)?;
        let weights = gpu.empty(scores.dims())?;
        let rows = self.batch * self.heads * self.tokens;
        let windows = self.mask.as_ref().map_or(Ok(1), |mask| mask.dim(0))?;
        let args = Softmax {
            x: gpu.read(&scores)?,
            bias: gpu.read_some(self.bias.as_ref())?,
            mask: gpu.read_some(self.mask.as_ref())?,
            y: gpu.write(&weights)?,
            rows: rows as u64,
            width: self.tokens as u64,
            heads: self.heads as u64,
            windows: windows as u64,
            scale: self.scale(),
        };
        gpu.launch("softmax_forward", over_rows(rows), &args)?;
        Ok(weights)
    }

    fn backward(&self, [q, k, v]: &[Tensor; 3], dout: &Tensor) -> Result<Vec<Option<Gradient>>> {
        let (gpu, low) = (&self.gpu, self.low);
        let swap = [self.batch, self.tokens, self.heads, self.depth];
        let dout = swapped(gpu, dout, swap, &self.by_heads())?;
        let weights = self.weights(q, k)?;
        let dv = product(&weights.t()?, &dout, low)?;
        let dweights = product(&dout, &v.t()?, low)?;
        let dscores = gpu.empty(weights.dims())?;
        let rows = self.batch * self.heads * self.tokens;
        let args = SoftmaxGradient {
            y: gpu.read(&weights)?,
            dy: gpu.read(&dweights)?,
            dx: gpu.write(&dscores)?,
            rows: rows as u64,
            width: self.tokens as u64,
        };
        gpu.launch("softmax_backward", over_rows(rows), &args)?;
        drop((weights, dweights));
        let dq = product(&dscores, k, low)?;
        let dk = product(&dscores.t()?, q, low)?;
        let mut found = vec![Some(Gradient::fresh(self.join(&[dq, dk, dv])?))];
        if let Some(bias) = &self.bias {
            let dbias = sums::of_slices(gpu, &dscores, self.batch, bias.elem_count())?;
            found.push(Some(Gradient::shared(dbias.reshape(bias.shape())?)));
        }
        Ok(found)
    }

    /// The gradient of the packed projection; scores were scaled after their product.
    fn join(&self, [dq, dk, dv]: &[Tensor; 3]) -> Result<Tensor> {
        let gpu = &self.gpu;
        let dqkv = gpu.empty((self.batch, self.tokens, 3 * self.heads * self.depth))?;
        let args = JoinHeads {
            q: gpu.read(dq)?,
            k: gpu.read(dk)?,
            v: gpu.read(dv)?,
            qkv: gpu.write(&dqkv)?,
            batch: self.batch as u64,
            tokens: self.tokens as u64,
            heads: self.heads as u64,
            depth: self.depth as u64,
            scale: self.scale(),
        };
        gpu.launch("join_heads", over(dqkv.elem_count()), &args)?;
        Ok(dqkv)
    }
}
