//! Batch normalisation: moments of slices, their sum a channel, and one pass over the values.

use super::arguments::{
    Channels, InverseStd, Moments, Normalise, NormaliseGradient, NormaliseSums, Statistics,
};
use super::launch::{Gpu, one_each, over_planes};
use super::sums::{self, channel_slices};
use crate::op::Function;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{Result, Tensor};

/// What is normalised, `(B, C, H, W)`, and by what.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) x: &'a Tracked,
    pub(crate) weight: &'a Tracked,
    pub(crate) bias: &'a Tracked,
    pub(crate) residual: Option<&'a Tracked>,
    /// What follows, if anything.
    pub(crate) function: Option<Function>,
}

/// See [`crate::nn::batch_norm_train`]; gives mean and unbiased variance too.
pub(crate) fn batch_norm_train(
    gpu: Gpu,
    operands: Operands,
    eps: f64,
) -> Result<(Tracked, [Tensor; 2])> {
    let op = BatchNorm::new(gpu, operands)?;
    let (y, statistics, stats) = timed("batch_norm", Pass::Forward, || {
        let (statistics, stats) = op.moments(eps)?;
        Ok::<_, candle_core::Error>((op.apply(&statistics)?, statistics, stats))
    })?;
    Ok((op.record(y, statistics, true), stats))
}

/// See [`crate::nn::batch_norm_eval`].
pub(crate) fn batch_norm_eval(
    gpu: Gpu,
    operands: Operands,
    (mean, var): (&Tensor, &Tensor),
    eps: f64,
) -> Result<Tracked> {
    let op = BatchNorm::new(gpu, operands)?;
    let (y, statistics) = timed("batch_norm", Pass::Forward, || {
        let (gpu, [_, channels, _]) = (&op.gpu, op.sizes);
        let (var, inv_std) = (var.contiguous()?, gpu.empty(channels)?);
        let args = InverseStd {
            var: gpu.read(&var)?,
            inv_std: gpu.write(&inv_std)?,
            channels: channels as u64,
            eps,
        };
        gpu.launch("inverse_std", one_each(channels), &args)?;
        let mean = mean.contiguous()?;
        let statistics = ByChannel { mean, inv_std };
        Ok::<_, candle_core::Error>((op.apply(&statistics)?, statistics))
    })?;
    Ok(op.record(y, statistics, false))
}

/// What normalises each channel.
struct ByChannel {
    mean: Tensor,
    inv_std: Tensor,
}

/// The operands, contiguous.
struct BatchNorm {
    gpu: Gpu,
    x: Tracked,
    weight: Tracked,
    bias: Tracked,
    residual: Option<Tracked>,
    function: Option<Function>,
    /// Images, channels, pixels.
    sizes: [usize; 3],
}

impl BatchNorm {
    fn new(gpu: Gpu, operands: Operands) -> Result<Self> {
        let (b, c, h, w) = operands.x.value().dims4()?;
        Ok(Self {
            gpu,
            x: operands.x.contiguous()?,
            weight: operands.weight.contiguous()?,
            bias: operands.bias.contiguous()?,
            residual: operands.residual.map(Tracked::contiguous).transpose()?,
            function: operands.function,
            sizes: [b, c, h * w],
        })
    }

    /// The function's number for the kernels, 0 for none.
    fn kind(&self) -> u64 {
        self.function.map_or(0, |function| function as u64)
    }

    fn moments(&self, eps: f64) -> Result<(ByChannel, [Tensor; 2])> {
        let (gpu, [batch, channels, size]) = (&self.gpu, self.sizes);
        let [slice, slices] = channel_slices(self.sizes)?;
        let parts = gpu.empty((slices, channels, 2))?;
        let args = Moments {
            x: gpu.read(self.x.value())?,
            parts: gpu.write(&parts)?,
            over: Channels::of(self.sizes),
            slice: slice as u64,
        };
        gpu.launch("batch_norm_moments", [channels, slices], &args)?;
        let of_channels = || gpu.empty(channels);
        let (mean, unbiased, inv_std) = (of_channels()?, of_channels()?, of_channels()?);
        let args = Statistics {
            parts: gpu.read(&parts)?,
            mean: gpu.write(&mean)?,
            unbiased: gpu.write(&unbiased)?,
            inv_std: gpu.write(&inv_std)?,
            places: (batch * size) as u64,
            channels: channels as u64,
            slices: slices as u64,
            slice: slice as u64,
            eps,
        };
        gpu.launch("batch_norm_statistics", one_each(channels), &args)?;
        let stats = [mean.clone(), unbiased];
        Ok((ByChannel { mean, inv_std }, stats))
    }

    fn apply(&self, statistics: &ByChannel) -> Result<Tensor> {
        let (gpu, [batch, channels, size]) = (&self.gpu, self.sizes);
        let y = gpu.empty(self.x.dims())?;
        let args = Normalise {
            x: gpu.read(self.x.value())?,
            mean: gpu.read(&statistics.mean)?,
            inv_std: gpu.read(&statistics.inv_std)?,
            weight: gpu.read(self.weight.value())?,
            bias: gpu.read(self.bias.value())?,
            residual: gpu.read_some(self.residual.as_ref().map(Tracked::value))?,
            y: gpu.write(&y)?,
            over: Channels::of(self.sizes),
            kind: self.kind(),
        };
        gpu.launch(
            "batch_norm_apply",
            over_planes(batch * channels, size),
            &args,
        )?;
        Ok(y)
    }

    fn record(mut self, y: Tensor, statistics: ByChannel, training: bool) -> Tracked {
        let mut inputs = vec![self.x.clone(), self.weight.clone(), self.bias.clone()];
        let has_residual = self.residual.is_some();
        inputs.extend(self.residual.take());
        // The way back needs the sum, not what was added.
        let saved_y = (has_residual && self.function == Some(Function::Relu)).then(|| y.clone());
        for operand in [&mut self.x, &mut self.weight, &mut self.bias] {
            *operand = Tracked::constant(operand.value());
        }
        let inputs: Vec<&Tracked> = inputs.iter().collect();
        Tracked::record("batch_norm", y, &inputs, move |dy| {
            let dy = dy.contiguous()?;
            let mut found = self.backward(&dy, saved_y.as_ref(), &statistics, training)?;
            if has_residual && saved_y.is_none() {
                found.push(Some(Gradient::shared(dy)));
            }
            Ok(found)
        })
    }

    /// Gradients of x, weight and bias, and of the residual where the result tells it.
    fn backward(
        &self,
        dy: &Tensor,
        y: Option<&Tensor>,
        statistics: &ByChannel,
        training: bool,
    ) -> Result<Vec<Option<Gradient>>> {
        let (gpu, [batch, channels, size]) = (&self.gpu, self.sizes);
        let [slice, slices] = channel_slices(self.sizes)?;
        let parts = gpu.empty((slices, 2, channels))?;
        let sums_args = NormaliseSums {
            x: gpu.read(self.x.value())?,
            y: gpu.read_some(y)?,
            dy: gpu.read(dy)?,
            mean: gpu.read(&statistics.mean)?,
            inv_std: gpu.read(&statistics.inv_std)?,
            weight: gpu.read(self.weight.value())?,
            bias: gpu.read(self.bias.value())?,
            parts: gpu.write(&parts)?,
            over: Channels::of(self.sizes),
            slice: slice as u64,
            kind: self.kind(),
        };
        gpu.launch("batch_norm_sums", [channels, slices], &sums_args)?;
        let both = sums::of_slices(gpu, &parts, slices, 2 * channels)?;
        let dx = gpu.empty(self.x.dims())?;
        let dresidual = y.map(|y| gpu.empty(y.dims())).transpose()?;
        let args = NormaliseGradient {
            x: sums_args.x,
            y: sums_args.y,
            dy: sums_args.dy,
            mean: sums_args.mean,
            inv_std: sums_args.inv_std,
            weight: sums_args.weight,
            bias: sums_args.bias,
            sums: gpu.read(&both)?,
            dx: gpu.write(&dx)?,
            dresidual: gpu.write_some(dresidual.as_ref())?,
            over: Channels::of(self.sizes),
            kind: self.kind(),
            training: u64::from(training),
        };
        gpu.launch(
            "batch_norm_backward",
            over_planes(batch * channels, size),
            &args,
        )?;
        let mut found = vec![
            Some(Gradient::fresh(dx)),
            Some(Gradient::shared(both.narrow(0, 0, channels)?)),
            Some(Gradient::shared(both.narrow(0, channels, channels)?)),
        ];
        found.extend(dresidual.map(|dresidual| Some(Gradient::fresh(dresidual))));
        Ok(found)
    }
}
