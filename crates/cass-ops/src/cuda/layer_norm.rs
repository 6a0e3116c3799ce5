//! Layer normalisation: a warp a row.

use super::arguments::{LayerNorm, LayerNormColumns, LayerNormGradient};
use super::launch::{Gpu, over_columns, over_rows};
use super::sums;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{Result, Tensor};

/// See [`crate::nn::layer_norm`].
pub(crate) fn layer_norm(
    gpu: Gpu,
    x: &Tracked,
    weight: &Tracked,
    bias: &Tracked,
    eps: f64,
) -> Result<Tracked> {
    let (x, weight, bias) = (x.contiguous()?, weight.contiguous()?, bias.contiguous()?);
    let width = weight.value().elem_count();
    let rows = x.value().elem_count() / width;
    let (y, saved) = timed("layer_norm", Pass::Forward, || {
        let y = gpu.empty(x.dims())?;
        let (mean, inv_std) = (gpu.empty(rows)?, gpu.empty(rows)?);
        let args = LayerNorm {
            x: gpu.read(x.value())?,
            weight: gpu.read(weight.value())?,
            bias: gpu.read(bias.value())?,
            y: gpu.write(&y)?,
            mean: gpu.write(&mean)?,
            inv_std: gpu.write(&inv_std)?,
            rows: rows as u64,
            width: width as u64,
            eps,
        };
        gpu.launch("layer_norm_forward", over_rows(rows), &args)?;
        let saved = Saved {
            x: x.value().clone(),
            weight: weight.value().clone(),
            mean,
            inv_std,
            sizes: [rows, width],
        };
        Ok::<_, candle_core::Error>((y, saved))
    })?;
    let inputs = [&x, &weight, &bias];
    Ok(Tracked::record("layer_norm", y, &inputs, move |dy| {
        saved.backward(&gpu, dy)
    }))
}

struct Saved {
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    inv_std: Tensor,
    sizes: [usize; 2],
}

impl Saved {
    fn backward(&self, gpu: &Gpu, dy: &Tensor) -> Result<Vec<Option<Gradient>>> {
        let [rows, width] = self.sizes;
        let (dy, dx) = (dy.contiguous()?, gpu.empty(self.x.dims())?);
        let (x, mean, inv_std) = (
            gpu.read(&self.x)?,
            gpu.read(&self.mean)?,
            gpu.read(&self.inv_std)?,
        );
        let args = LayerNormGradient {
            x,
            weight: gpu.read(&self.weight)?,
            mean,
            inv_std,
            dy: gpu.read(&dy)?,
            dx: gpu.write(&dx)?,
            rows: rows as u64,
            width: width as u64,
        };
        gpu.launch("layer_norm_backward", over_rows(rows), &args)?;
        let [slice, slices] = sums::row_slices(rows);
        let parts = gpu.empty((slices, 2, width))?;
        let args = LayerNormColumns {
            x,
            mean,
            inv_std,
            dy: gpu.read(&dy)?,
            parts: gpu.write(&parts)?,
            rows: rows as u64,
            width: width as u64,
            slice: slice as u64,
        };
        gpu.launch("layer_norm_columns", over_columns(width, slices), &args)?;
        let both = sums::of_slices(gpu, &parts, slices, 2 * width)?;
        Ok(vec![
            Some(Gradient::fresh(dx)),
            Some(Gradient::shared(both.narrow(0, 0, width)?)),
            Some(Gradient::shared(both.narrow(0, width, width)?)),
        ])
    }
}
