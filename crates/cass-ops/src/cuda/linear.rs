//! Affine maps: Candle's products, and one pass that adds bias and residual.

use super::elementwise::{Added, affine};
use super::launch::Gpu;
use super::sums;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::Result;

/// See [`crate::nn::linear_add`]; the result has this shape.
pub(crate) fn linear_add(
    gpu: Gpu,
    x: &Tracked,
    weight: &Tracked,
    bias: Option<&Tracked>,
    residual: Option<&Tracked>,
    shape: &[usize],
) -> Result<Tracked> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let bias = bias.map(Tracked::contiguous).transpose()?;
    let residual = residual.map(Tracked::contiguous).transpose()?;
    let (n, k) = weight.value().dims2()?;
    let rows = x.value().elem_count() / k.max(1);
    let y = timed("linear", Pass::Forward, || {
        let y = x.value().reshape((rows, k))?.matmul(&weight.value().t()?)?;
        let y = y.reshape(shape)?;
        if bias.is_none() && residual.is_none() {
            return Ok(y);
        }
        let added = Added {
            bias: bias.as_ref().map(Tracked::value),
            residual: residual.as_ref().map(Tracked::value),
            inner: 1,
            repeat: n,
            ..Added::default()
        };
        affine(&gpu, &y, added)
    })?;
    let (saved_x, saved_weight) = (x.value().clone(), weight.value().clone());
    let needs = [x.is_tracked(), weight.is_tracked()];
    let [has_bias, has_residual] = [bias.is_some(), residual.is_some()];
    let mut inputs = vec![&x, &weight];
    inputs.extend(&bias);
    inputs.extend(&residual);
    Ok(Tracked::record("linear", y, &inputs, move |dy| {
        let whole = dy.contiguous()?;
        let dy = whole.reshape((rows, n))?;
        let [needs_x, needs_weight] = needs;
        let dx = needs_x.then(|| dy.matmul(&saved_weight)?.reshape(saved_x.shape()));
        let dw = needs_weight.then(|| dy.t()?.matmul(&saved_x.reshape((rows, k))?));
        let mut found = vec![
            dx.transpose()?.map(Gradient::fresh),
            dw.transpose()?.map(Gradient::fresh),
        ];
        if has_bias {
            let db = sums::of_columns(&gpu, &dy, None, [rows, n])?;
            found.push(Some(Gradient::fresh(db)));
        }
        if has_residual {
            found.push(Some(Gradient::shared(whole)));
        }
        Ok(found)
    }))
}
