use super::{Activation, BatchStats};
use crate::activation::{Elementwise, HardSwish, Relu, Relu6, Silu};
use candle_core::{Result, Tensor};

/// The plain twin, and the path on other devices. `unbias` turns the biased variance unbiased.
pub(crate) fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: Option<&Tensor>,
    eps: f64,
    activation: Activation,
    unbias: f64,
) -> Result<(Tensor, BatchStats)> {
    let mean = x.mean_keepdim((0, 2, 3))?;
    let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim((0, 2, 3))?;
    let y = activate(
        normalise(x, weight, bias, &mean, &var, eps)?,
        residual,
        activation,
    )?;
    let stats = BatchStats {
        mean: mean.detach().flatten_all()?,
        var: (var.detach().flatten_all()? * unbias)?,
    };
    Ok((y, stats))
}

/// The plain twin, and the path on other devices.
pub(crate) fn batch_norm_eval(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: Option<&Tensor>,
    (mean, var): (&Tensor, &Tensor),
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    let channels = |t: &Tensor| t.reshape((1, (), 1, 1));
    let (mean, var) = (channels(mean)?, channels(var)?);
    activate(
        normalise(x, weight, bias, &mean, &var, eps)?,
        residual,
        activation,
    )
}

fn normalise(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    x.broadcast_sub(mean)?
        .broadcast_div(&(var + eps)?.sqrt()?)?
        .broadcast_mul(&weight.reshape((1, (), 1, 1))?)?
        .broadcast_add(&bias.reshape((1, (), 1, 1))?)
}

fn activate(y: Tensor, residual: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    let y = match residual {
        Some(residual) => (y + residual)?,
        None => y,
    };
    match activation {
        Activation::Identity => Ok(y),
        Activation::Relu => Relu::reference(&y),
        Activation::Relu6 => Relu6::reference(&y),
        Activation::Silu => Silu::reference(&y),
        Activation::HardSwish => HardSwish::reference(&y),
    }
}
