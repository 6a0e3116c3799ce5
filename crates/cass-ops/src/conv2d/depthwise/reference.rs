use crate::op::Conv2dConfig;
use candle_core::{Result, Tensor};

/// The plain twin, and the path on other devices: a sum over the kernel's taps of shifted planes.
/// Candle's own convolution in groups starts a kernel a channel.
pub(crate) fn conv2d(x: &Tensor, weight: &Tensor, config: &Conv2dConfig) -> Result<Tensor> {
    let (_, c, h, w) = x.dims4()?;
    let (_, _, kh, kw) = weight.dims4()?;
    let (oh, ow) = (config.out_size(h, kh)?, config.out_size(w, kw)?);
    let stride = config.stride;
    // Room for every tap's strides, so that rows and columns divide by them.
    let pad = |x: &Tensor, dim: usize, size: usize, kernel: usize, out: usize| {
        let wanted = (out - 1) * stride + kernel + stride;
        let behind = wanted.saturating_sub(size + config.padding);
        x.pad_with_zeros(dim, config.padding, behind)
    };
    let x = pad(&pad(x, 2, h, kh, oh)?, 3, w, kw, ow)?;
    // Every `stride`-th of the places from `first` on.
    let every = |x: &Tensor, dim: usize, first: usize, out: usize| -> Result<Tensor> {
        let x = x.narrow(dim, first, out * stride)?.contiguous()?;
        let mut shape = x.dims().to_vec();
        shape[dim] = out;
        shape.insert(dim + 1, stride);
        x.reshape(shape)?.narrow(dim + 1, 0, 1)?.squeeze(dim + 1)
    };
    let mut sum: Option<Tensor> = None;
    for ky in 0..kh {
        let rows = every(&x, 2, ky, oh)?;
        for kx in 0..kw {
            let tap = weight.narrow(2, ky, 1)?.narrow(3, kx, 1)?;
            let tap = tap.reshape((1, c, 1, 1))?;
            let term = every(&rows, 3, kx, ow)?.broadcast_mul(&tap)?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
    }
    match sum {
        Some(sum) => Ok(sum),
        None => candle_core::bail!("conv2d: a kernel of no taps"),
    }
}
