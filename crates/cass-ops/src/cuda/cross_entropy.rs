//! Cross-entropy of one distribution under another: a block a row.

use super::arguments::{SoftCrossEntropy, SumAll};
use super::launch::Gpu;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{Result, Tensor};

/// See [`crate::nn::soft_cross_entropy`]. The loss and its gradient stay on the GPU: nothing waits for them here.
pub(crate) fn soft_cross_entropy(
    gpu: Gpu,
    target: &Tensor,
    center: &Tensor,
    logits: &Tracked,
    [target_temp, temp, eps]: [f64; 3],
) -> Result<Tracked> {
    let (target, center) = (target.contiguous()?, center.contiguous()?);
    let logits = logits.contiguous()?;
    let (rows, width) = logits.value().dims2()?;
    let (loss, gradient) = timed("soft_cross_entropy", Pass::Forward, || {
        let losses = gpu.empty(rows)?;
        let gradient = logits.is_tracked().then(|| gpu.empty((rows, width)));
        let gradient = gradient.transpose()?;
        let args = SoftCrossEntropy {
            target: gpu.read(&target)?,
            center: gpu.read(&center)?,
            logits: gpu.read(logits.value())?,
            loss: gpu.write(&losses)?,
            gradient: gpu.write_some(gradient.as_ref())?,
            rows: rows as u64,
            width: width as u64,
            target_temp,
            temp,
            eps,
        };
        gpu.launch("soft_cross_entropy", [rows, 1], &args)?;
        let loss = gpu.empty(())?;
        let args = SumAll {
            x: gpu.read(&losses)?,
            total: gpu.write(&loss)?,
            count: rows as u64,
            scale: 1.0 / rows as f64,
        };
        gpu.launch("sum_all", [1, 1], &args)?;
        Ok::<_, candle_core::Error>((loss, gradient))
    })?;
    let inputs = [&logits];
    Ok(Tracked::record(
        "soft_cross_entropy",
        loss,
        &inputs,
        move |dy| {
            let dx = gradient.map(|gradient| gradient.broadcast_mul(dy));
            Ok(vec![dx.transpose()?.map(Gradient::fresh)])
        },
    ))
}
