use super::Conv2dConfig;
use candle_core::{Result, Tensor};

/// The plain twin, and the path on other devices: Candle's convolution.
///
/// Candle's backward fails where height and width leave different remainders under the stride, so
/// the input is padded here to a size that leaves none; the extra rows and columns are never read.
pub(crate) fn conv2d(x: &Tensor, weight: &Tensor, config: &Conv2dConfig) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let (_, _, kh, kw) = weight.dims4()?;
    let (oh, ow) = (config.out_size(h, kh)?, config.out_size(w, kw)?);
    let x = fit(x, 2, (oh - 1) * config.stride + kh, config.padding)?;
    let x = fit(&x, 3, (ow - 1) * config.stride + kw, config.padding)?;
    x.contiguous()?
        .conv2d(weight, 0, config.stride, 1, config.groups)
}

/// Pads by `padding` zeros in front, then cuts or pads the end so that the size is `size`.
fn fit(x: &Tensor, dim: usize, size: usize, padding: usize) -> Result<Tensor> {
    let behind = (size).saturating_sub(x.dim(dim)? + padding);
    x.pad_with_zeros(dim, padding, behind)?.narrow(dim, 0, size)
}
