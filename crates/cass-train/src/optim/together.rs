//! A step over all parameters in a few launches, where a GPU's kernels take them.

use super::update::{State, adam_kernel, momentum_kernel};
use super::{OptimizerConfig, Slot};
use crate::error::Result;
use candle_core::{Tensor, Var};
use cass_ops::update::{self, AdamStep, AdamTensors, SgdStep, SgdTensors};

/// Updates every parameter, its gradient times `grad_scale`; `false` where there are no such kernels: nothing happened then.
pub(super) fn apply(
    config: &OptimizerConfig,
    step: u64,
    lr: f64,
    slots: &[Slot],
    grads: &[Tensor],
    grad_scale: f64,
) -> Result<bool> {
    if !slots.first().is_some_and(|slot| update::takes(&slot.var)) {
        return Ok(false);
    }
    let grads = grads.iter().map(Tensor::contiguous);
    let grads: Vec<Tensor> = grads.collect::<candle_core::Result<_>>()?;
    let decay = |slot: &Slot, decay: f64| if slot.rate.decays { decay } else { 0.0 };
    match config {
        OptimizerConfig::Adam(adam) => {
            let kernel = adam_kernel(adam, step, lr);
            let all = AdamStep {
                betas: [kernel.beta1, kernel.beta2],
                eps: kernel.eps,
                bias_correction2_sqrt: kernel.bias_correction2_sqrt,
                grad_scale,
            };
            let mut tensors = Vec::with_capacity(slots.len());
            for (slot, grad) in slots.iter().zip(&grads) {
                let [State::Device(m), State::Device(v)] = &slot.state[..] else {
                    return Ok(false);
                };
                tensors.push(AdamTensors {
                    param: slot.var.as_tensor(),
                    grad,
                    m,
                    v,
                    step_size: adam_kernel(adam, step, lr * slot.rate.scale).step_size,
                    decay: decay(slot, kernel.weight_decay),
                });
            }
            Ok(update::adam(&tensors, &all)?)
        }
        OptimizerConfig::Sgd(sgd) => {
            let kernel = momentum_kernel(sgd, step, lr);
            let all = SgdStep {
                momentum: kernel.momentum,
                gain: kernel.gain,
                nesterov: kernel.nesterov,
                grad_scale,
            };
            let mut tensors = Vec::with_capacity(slots.len());
            for (slot, grad) in slots.iter().zip(&grads) {
                let buffer = match &slot.state[..] {
                    [] => None,
                    [State::Device(buffer)] => Some(buffer),
                    _ => return Ok(false),
                };
                tensors.push(SgdTensors {
                    param: slot.var.as_tensor(),
                    grad,
                    buffer,
                    lr: lr * slot.rate.scale,
                    decay: decay(slot, sgd.weight_decay),
                });
            }
            Ok(update::sgd(&tensors, &all)?)
        }
    }
}

/// [`blend`](super::blend) of many; `false` where there are no such kernels.
pub(super) fn blend(pairs: &[(Var, Tensor)], keep: f64) -> Result<bool> {
    if !pairs
        .first()
        .is_some_and(|(target, _)| update::takes(target))
    {
        return Ok(false);
    }
    let sources = pairs.iter().map(|(_, source)| source.contiguous());
    let sources: Vec<Tensor> = sources.collect::<candle_core::Result<_>>()?;
    let targets = pairs.iter().map(|(target, _)| target.as_tensor());
    let pairs: Vec<_> = targets.zip(&sources).collect();
    Ok(update::blend(&pairs, keep)?)
}
