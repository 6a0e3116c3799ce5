//! One update of one parameter, and the buffers that it needs.

use super::kernels::{self, AdamKernel, MomentumKernel, SgdKernel};
use super::{AdamConfig, OptimizerConfig, SgdConfig, inplace, reference};
use crate::error::{Error, Result};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Tensor, Var};

/// A buffer of the parameter's shape and dtype: owned memory on a CPU, a tensor elsewhere.
pub(super) enum State {
    Host(CpuStorage),
    Device(Tensor),
}

/// One update of one parameter; `step` counts from 1.
pub(super) fn apply(
    config: &OptimizerConfig,
    step: u64,
    lr: f64,
    var: &Var,
    grad: &Tensor,
    state: &mut [State],
) -> Result<()> {
    match (config, state) {
        (OptimizerConfig::Adam(adam), [State::Host(m), State::Host(v)]) => {
            inplace::update(&adam_kernel(adam, step, lr), var, grad, [m, v])?;
        }
        (OptimizerConfig::Adam(adam), [State::Device(m), State::Device(v)]) => {
            reference::adam(&adam_kernel(adam, step, lr), var, grad, [m, v])?;
        }
        (OptimizerConfig::Sgd(sgd), []) if var.device().is_cpu() => {
            inplace::update(&sgd_kernel(sgd, lr), var, grad, [])?;
        }
        (OptimizerConfig::Sgd(sgd), []) => reference::sgd(&sgd_kernel(sgd, lr), var, grad)?,
        (OptimizerConfig::Sgd(sgd), [State::Host(buffer)]) => {
            inplace::update(&momentum_kernel(sgd, step, lr), var, grad, [buffer])?;
        }
        (OptimizerConfig::Sgd(sgd), [State::Device(buffer)]) => {
            reference::momentum(&momentum_kernel(sgd, step, lr), var, grad, buffer)?;
        }
        _ => unreachable!("state is made by State::zeros or State::from_tensor, one a name"),
    }
    Ok(())
}

impl AdamConfig {
    /// Updates a parameter by its gradient with learning rate `lr`: the step number `step`, from 1, of
    /// [`Optimizer`](super::Optimizer), over slices. `averages` are those of the gradient and of its square, zero before
    /// the first step.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn update(
        &self,
        step: u64,
        lr: f64,
        param: &mut [f32],
        grad: &[f32],
        averages: [&mut [f32]; 2],
    ) {
        let lengths = [grad.len(), averages[0].len(), averages[1].len()];
        assert_eq!(lengths, [param.len(); 3], "slices of one parameter");
        kernels::run(&adam_kernel(self, step, lr), param, grad, averages);
    }
}

pub(super) fn adam_kernel(config: &AdamConfig, step: u64, lr: f64) -> AdamKernel {
    let [beta1, beta2] = config.betas;
    let power = i32::try_from(step).unwrap_or(i32::MAX);
    AdamKernel {
        beta1,
        beta2,
        eps: config.eps,
        weight_decay: config.weight_decay,
        step_size: lr / (1.0 - beta1.powi(power)),
        bias_correction2_sqrt: (1.0 - beta2.powi(power)).sqrt(),
    }
}

pub(super) fn sgd_kernel(config: &SgdConfig, lr: f64) -> SgdKernel {
    SgdKernel {
        lr,
        weight_decay: config.weight_decay,
    }
}

pub(super) fn momentum_kernel(config: &SgdConfig, step: u64, lr: f64) -> MomentumKernel {
    MomentumKernel {
        sgd: sgd_kernel(config, lr),
        momentum: config.momentum,
        gain: if step == 1 {
            1.0
        } else {
            1.0 - config.dampening
        },
        nesterov: config.nesterov,
    }
}

impl State {
    pub(super) fn zeros(var: &Var) -> Result<Self> {
        Self::from_tensor(&var.zeros_like()?, var)
    }

    pub(super) fn from_tensor(tensor: &Tensor, var: &Var) -> Result<Self> {
        if !var.device().is_cpu() || cass_ops::update::takes(var) {
            return Ok(Self::Device(tensor.to_device(var.device())?.copy()?));
        }
        let tensor = tensor.contiguous()?.copy()?;
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            candle_core::Storage::Cpu(data) => Ok(Self::Host(data.try_clone(layout)?)),
            _ => Err(Error::State("a buffer on the CPU".into())),
        }
    }

    pub(super) fn tensor(&self, var: &Var) -> Result<Tensor> {
        match self {
            Self::Device(tensor) => Ok(tensor.copy()?),
            Self::Host(data) => {
                let storage = candle_core::Storage::Cpu(data.clone());
                let op = candle_core::op::BackpropOp::none();
                Ok(Tensor::from_storage(
                    storage,
                    var.shape().clone(),
                    op,
                    false,
                ))
            }
        }
    }
}
