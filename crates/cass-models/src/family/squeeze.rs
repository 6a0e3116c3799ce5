use crate::init::Init;
use crate::layers::Linear;
use crate::params::Builder;
use candle_core::Result;
use cass_ops::Tracked;
use cass_ops::nn::Activation;

/// A gate a channel, from the means of all.
#[derive(Debug)]
pub(super) struct SqueezeExcite {
    reduce: Linear,
    activation: Activation,
    expand: Linear,
    gate: fn(&Tracked) -> Result<Tracked>,
}

impl SqueezeExcite {
    /// Of `channels`, squeezed to the second number of them, by layers of these names.
    pub(super) fn new(
        [channels, squeezed]: [usize; 2],
        [reduce, expand]: [&str; 2],
        activation: Activation,
        vb: &Builder,
    ) -> Result<Self> {
        Ok(Self {
            reduce: pointwise(channels, squeezed, &vb.pp(reduce))?,
            activation,
            expand: pointwise(squeezed, channels, &vb.pp(expand))?,
            gate: cass_ops::nn::sigmoid,
        })
    }

    /// With hard sigmoids.
    pub(super) fn hard(self) -> Self {
        Self {
            gate: cass_ops::nn::hard_sigmoid,
            ..self
        }
    }

    /// `(B, C, H, W)` → the same
    pub(super) fn forward(&self, x: &Tracked) -> Result<Tracked> {
        let squeezed = activate(&self.reduce.forward(&x.mean_pixels()?)?, self.activation)?;
        cass_ops::nn::gate_planes(x, &(self.gate)(&self.expand.forward(&squeezed)?)?)
    }
}

/// A 1x1 convolution with bias of single pixels.
pub(super) fn pointwise(i: usize, o: usize, vb: &Builder) -> Result<Linear> {
    let init = [Init::kaiming_fan_out_of_group(o, 1, 1), Init::Zeros];
    Linear::pointwise(i, o, init, vb)
}

pub(super) fn activate(x: &Tracked, activation: Activation) -> Result<Tracked> {
    match activation {
        Activation::Identity => Ok(x.clone()),
        Activation::Relu => cass_ops::nn::relu(x),
        Activation::Relu6 => cass_ops::nn::relu6(x),
        Activation::Silu => cass_ops::nn::silu(x),
        Activation::HardSwish => cass_ops::nn::hard_swish(x),
    }
}
