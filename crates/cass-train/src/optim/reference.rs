//! The kernels' plain twins as tensor operations: what runs on other devices than the CPU.

use super::kernels::{AdamKernel, MomentumKernel, SgdKernel};
use candle_core::{Result, Tensor, Var};

pub(super) fn adam(
    k: &AdamKernel,
    var: &Var,
    grad: &Tensor,
    [m, v]: [&mut Tensor; 2],
) -> Result<()> {
    let param = var.as_detached_tensor();
    let grad = decayed(grad, &param, k.weight_decay)?;
    *m = (&*m + ((&grad - &*m)? * (1.0 - k.beta1))?)?;
    *v = ((&*v * k.beta2)? + (grad.sqr()? * (1.0 - k.beta2))?)?;
    let denominator = ((v.sqrt()? / k.bias_correction2_sqrt)? + k.eps)?;
    var.set(&(param - ((&*m * k.step_size)? / denominator)?)?)
}

pub(super) fn sgd(k: &SgdKernel, var: &Var, grad: &Tensor) -> Result<()> {
    let param = var.as_detached_tensor();
    let grad = decayed(grad, &param, k.weight_decay)?;
    var.set(&(param - (grad * k.lr)?)?)
}

pub(super) fn momentum(
    k: &MomentumKernel,
    var: &Var,
    grad: &Tensor,
    buffer: &mut Tensor,
) -> Result<()> {
    let param = var.as_detached_tensor();
    let grad = decayed(grad, &param, k.sgd.weight_decay)?;
    *buffer = ((&*buffer * k.momentum)? + (&grad * k.gain)?)?;
    let update = if k.nesterov {
        (grad + (&*buffer * k.momentum)?)?
    } else {
        buffer.clone()
    };
    var.set(&(param - (update * k.sgd.lr)?)?)
}

fn decayed(grad: &Tensor, param: &Tensor, weight_decay: f64) -> Result<Tensor> {
    if weight_decay == 0.0 {
        return Ok(grad.clone());
    }
    grad + (param * weight_decay)?
}
