//! Layers under timm's names, over the ops of `cass-ops`.

use crate::init::Init;
use crate::params::Builder;
use candle_core::{DType, Result, Var};
use cass_ops::Tracked;
use cass_ops::nn::{Activation, BatchStats, Conv2dConfig, MaxPool2dConfig};
use cass_ops::scope::is_recomputing;

/// How batch normalisation behaves in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Normalise by the batch, and move the running statistics a tenth of the way towards it.
    Train,
    /// Normalise by the batch, and let the running statistics be the equal average over all
    /// batches since they were reset (`momentum=None`, as `torch.optim.swa_utils.update_bn` sets).
    Average,
    /// Normalise by the running statistics.
    Eval,
}

/// `torch.nn.Linear` with bias.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `(O, I)`, or `(O, I, 1, 1)` of a convolution of single pixels.
    weight: Tracked,
    bias: Tracked,
}

impl Linear {
    pub(crate) fn new(i: usize, o: usize, [weight, bias]: [Init; 2], vb: &Builder) -> Result<Self> {
        Ok(Self {
            weight: vb.parameter("weight", &[o, i], weight)?,
            bias: vb.parameter("bias", &[o], bias)?,
        })
    }

    /// A 1x1 convolution with bias that sees one pixel an image, whose weight is `(O, I, 1, 1)`.
    pub(crate) fn pointwise(
        i: usize,
        o: usize,
        [weight, bias]: [Init; 2],
        vb: &Builder,
    ) -> Result<Self> {
        Ok(Self {
            weight: vb.parameter("weight", &[o, i, 1, 1], weight)?,
            bias: vb.parameter("bias", &[o], bias)?,
        })
    }

    /// `(..., I)` → `(..., O)`
    pub(crate) fn forward(&self, x: &Tracked) -> Result<Tracked> {
        let weight = match *self.weight.dims() {
            [o, i, _, _] => &self.weight.reshape((o, i))?,
            _ => &self.weight,
        };
        cass_ops::nn::linear(x, weight, Some(&self.bias))
    }

    /// `(..., I)` → `(..., O)`, with `residual (..., O)` added
    pub(crate) fn forward_add(&self, x: &Tracked, residual: &Tracked) -> Result<Tracked> {
        cass_ops::nn::linear_add(x, &self.weight, Some(&self.bias), Some(residual))
    }
}

/// `torch.nn.Conv2d`.
#[derive(Debug)]
pub(crate) struct Conv2d {
    weight: Tracked,
    bias: Option<Tracked>,
    config: Conv2dConfig,
    padding: Padding,
}

/// What is around the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As many zeros on every side.
    Even,
    /// TensorFlow's "SAME": as many as the windows need, one more below and on the right where they
    /// are odd.
    Same,
}

impl Conv2d {
    /// Square kernel without bias, padded so that stride 1 keeps the size.
    pub(crate) fn same(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        init: Init,
        vb: &Builder,
    ) -> Result<Self> {
        Self::in_groups(channels, 1, kernel, stride, init, vb)
    }

    /// The same with a kernel a channel.
    pub(crate) fn depthwise(
        channels: usize,
        kernel: usize,
        stride: usize,
        init: Init,
        vb: &Builder,
    ) -> Result<Self> {
        Self::in_groups([channels; 2], channels, kernel, stride, init, vb)
    }

    /// The same in `groups` of channels, each with kernels of its own.
    pub(crate) fn in_groups(
        [i, o]: [usize; 2],
        groups: usize,
        kernel: usize,
        stride: usize,
        init: Init,
        vb: &Builder,
    ) -> Result<Self> {
        Ok(Self {
            weight: vb.parameter("weight", &[o, i / groups, kernel, kernel], init)?,
            bias: None,
            config: Conv2dConfig {
                stride,
                padding: kernel / 2,
                groups,
            },
            padding: Padding::Even,
        })
    }

    /// With a bias, which begins as `init`.
    pub(crate) fn with_bias(self, init: Init, vb: &Builder) -> Result<Self> {
        let bias = vb.parameter("bias", &self.weight.dims()[..1], init)?;
        Ok(Self {
            bias: Some(bias),
            ..self
        })
    }

    /// Padded so.
    pub(crate) fn padded(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// `(B, I, H, W)` → `(B, O, H', W')`
    pub(crate) fn forward(&self, x: &Tracked) -> Result<Tracked> {
        let y = match self.padding {
            Padding::Even => cass_ops::nn::conv2d(x, &self.weight, &self.config)?,
            Padding::Same => self.forward_same(x)?,
        };
        match &self.bias {
            Some(bias) => cass_ops::nn::add_planes(&y, bias),
            None => Ok(y),
        }
    }

    fn forward_same(&self, x: &Tracked) -> Result<Tracked> {
        let kernel = self.weight.dims()[3];
        let missing = |size: usize| {
            let windows = size.div_ceil(self.config.stride);
            ((windows - 1) * self.config.stride + kernel).saturating_sub(size)
        };
        let (_, _, h, w) = x.value().dims4()?;
        let [above, beside] = [missing(h), missing(w)];
        // One that is even and the same along both directions needs no copy.
        let whole = above == beside && above % 2 == 0;
        let config = Conv2dConfig {
            padding: if whole { above / 2 } else { 0 },
            ..self.config
        };
        if whole {
            return cass_ops::nn::conv2d(x, &self.weight, &config);
        }
        let x = x.pad_with_zeros(2, above / 2, above - above / 2)?;
        let x = x.pad_with_zeros(3, beside / 2, beside - beside / 2)?;
        cass_ops::nn::conv2d(&x, &self.weight, &config)
    }
}

/// What follows the first convolution of a CNN.
pub(crate) const STEM_POOL: MaxPool2dConfig = MaxPool2dConfig {
    kernel_size: 3,
    stride: 2,
    padding: 1,
};

/// `torch.nn.BatchNorm2d`.
#[derive(Debug)]
pub(crate) struct BatchNorm2d {
    weight: Tracked,
    bias: Tracked,
    running_mean: Var,
    running_var: Var,
    num_batches_tracked: Var,
    activation: Activation,
    eps: f64,
}

impl BatchNorm2d {
    const MOMENTUM: f64 = 0.1;

    pub(crate) fn new(
        channels: usize,
        weight: Init,
        activation: Activation,
        vb: &Builder,
    ) -> Result<Self> {
        let c = &[channels];
        Ok(Self {
            weight: vb.parameter("weight", c, weight)?,
            bias: vb.parameter("bias", c, Init::Zeros)?,
            running_mean: vb.buffer("running_mean", c, Init::Zeros)?,
            running_var: vb.buffer("running_var", c, Init::Ones)?,
            num_batches_tracked: vb.counter("num_batches_tracked")?,
            activation,
            eps: 1e-5,
        })
    }

    /// With another summand to the variance than torch's 1e-5.
    pub(crate) fn with_eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// `(B, C, H, W)` → the same
    pub(crate) fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        self.forward_add(x, None, mode)
    }

    /// `(B, C, H, W)` → the same, with `residual (B, C, H, W)` added before the activation
    pub(crate) fn forward_add(
        &self,
        x: &Tracked,
        residual: Option<&Tracked>,
        mode: Mode,
    ) -> Result<Tracked> {
        let (weight, bias, activation) = (&self.weight, &self.bias, self.activation);
        if mode == Mode::Eval {
            let stats = (self.running_mean.as_tensor(), self.running_var.as_tensor());
            return cass_ops::nn::batch_norm_eval(
                x, weight, bias, residual, stats, self.eps, activation,
            );
        }
        let (y, stats) =
            cass_ops::nn::batch_norm_train(x, weight, bias, residual, self.eps, activation)?;
        if !is_recomputing() {
            self.follow(&stats, mode)?;
        }
        Ok(y)
    }

    fn follow(&self, batch: &BatchStats, mode: Mode) -> Result<()> {
        // Counted where it lies: reading it would have the host wait for a GPU at every layer.
        let seen = (self.num_batches_tracked.as_detached_tensor() + 1.0)?;
        self.num_batches_tracked.set(&seen)?;
        // For the same reason the share of an average is a tensor.
        let share = match mode {
            Mode::Average => Some(seen.to_dtype(DType::F64)?.recip()?),
            _ => None,
        };
        for (running, new) in [
            (&self.running_mean, &batch.mean),
            (&self.running_var, &batch.var),
        ] {
            let before = running.as_detached_tensor();
            let after = match &share {
                None => ((before * (1.0 - Self::MOMENTUM))? + (new * Self::MOMENTUM)?)?,
                Some(share) => {
                    let keep = (1.0 - share)?.to_dtype(new.dtype())?;
                    let share = share.to_dtype(new.dtype())?;
                    (before.broadcast_mul(&keep)? + new.broadcast_mul(&share)?)?
                }
            };
            running.set(&after)?;
        }
        Ok(())
    }
}

/// `torch.nn.LayerNorm` over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tracked,
    bias: Tracked,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(width: usize, eps: f64, vb: &Builder) -> Result<Self> {
        Ok(Self {
            weight: vb.parameter("weight", &[width], Init::Ones)?,
            bias: vb.parameter("bias", &[width], Init::Zeros)?,
            eps,
        })
    }

    /// `(..., D)` → the same
    pub(crate) fn forward(&self, x: &Tracked) -> Result<Tracked> {
        cass_ops::nn::layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}
