//! Updates of many tensors in one launch, their addresses in its argument.

use super::arguments::{
    Adam, Arguments, Blend, Input, MANY, Output, Sgd, Squares, SumSquares, Sums,
};
use super::launch::{BLOCK, Gpu};
use candle_core::{DType, Result, Tensor, bail};

/// Values that a block takes in one round, at the least.
const EACH: usize = BLOCK * 16;
/// The most blocks a tensor.
const BLOCKS: usize = 256;

/// One parameter of Adam: all of one shape and dtype, and contiguous.
#[derive(Debug, Clone, Copy)]
pub struct AdamTensors<'a> {
    /// What is updated.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// The average of the gradient, updated too.
    pub m: &'a Tensor,
    /// The average of its square, updated too.
    pub v: &'a Tensor,
    /// The learning rate over Adam's first bias correction.
    pub step_size: f64,
    /// The weight decay, added to the gradient.
    pub decay: f64,
}

/// What one step of Adam has for all parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Decay of both averages.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// The root of the second bias correction.
    pub bias_correction2_sqrt: f64,
    /// Factor of every gradient.
    pub grad_scale: f64,
}

/// One parameter of SGD.
#[derive(Debug, Clone, Copy)]
pub struct SgdTensors<'a> {
    /// What is updated.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// The average of the gradient where there is momentum, updated too.
    pub buffer: Option<&'a Tensor>,
    /// The learning rate.
    pub lr: f64,
    /// The weight decay, added to the gradient.
    pub decay: f64,
}

/// What one step of SGD has for all parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Factor of the buffer.
    pub momentum: f64,
    /// Factor of the gradient that goes into it.
    pub gain: f64,
    /// Nesterov's rule.
    pub nesterov: bool,
    /// Factor of every gradient.
    pub grad_scale: f64,
}

/// Takes a step of Adam in place, as `torch.optim.Adam`; `false` where these tensors have no kernels: nothing happened
/// then.
///
/// # Errors
/// If tensors do not fit each other.
pub fn adam(tensors: &[AdamTensors], step: &AdamStep) -> Result<bool> {
    let Some(gpu) = gpu_of(tensors.iter().map(|t| t.param)) else {
        return Ok(false);
    };
    for many in tensors.chunks(MANY) {
        let mut args = Adam {
            params: [Output::default(); MANY],
            grads: [Input::default(); MANY],
            m: [Output::default(); MANY],
            v: [Output::default(); MANY],
            counts: [0; MANY],
            step_size: [0.0; MANY],
            decay: [0.0; MANY],
            beta1: step.betas[0],
            beta2: step.betas[1],
            eps: step.eps,
            bias_correction2_sqrt: step.bias_correction2_sqrt,
            grad_scale: step.grad_scale,
        };
        for (i, t) in many.iter().enumerate() {
            expect_alike(t.param, [t.grad, t.m, t.v])?;
            args.params[i] = gpu.write(t.param)?;
            args.grads[i] = gpu.read(t.grad)?;
            args.m[i] = gpu.write(t.m)?;
            args.v[i] = gpu.write(t.v)?;
            args.counts[i] = t.param.elem_count() as u64;
            args.step_size[i] = t.step_size;
            args.decay[i] = t.decay;
        }
        launch(&gpu, "adam", &args.counts, many.len(), &args)?;
    }
    Ok(true)
}

/// Takes a step of SGD in place, as `torch.optim.SGD`; `false` where these tensors have no kernels.
///
/// # Errors
/// As [`adam`].
pub fn sgd(tensors: &[SgdTensors], step: &SgdStep) -> Result<bool> {
    let Some(gpu) = gpu_of(tensors.iter().map(|t| t.param)) else {
        return Ok(false);
    };
    for many in tensors.chunks(MANY) {
        let mut args = Sgd {
            params: [Output::default(); MANY],
            grads: [Input::default(); MANY],
            buffers: [Output::default(); MANY],
            counts: [0; MANY],
            lr: [0.0; MANY],
            decay: [0.0; MANY],
            momentum: step.momentum,
            gain: step.gain,
            nesterov: u64::from(step.nesterov),
            grad_scale: step.grad_scale,
        };
        for (i, t) in many.iter().enumerate() {
            expect_alike(t.param, [t.grad].into_iter().chain(t.buffer))?;
            args.params[i] = gpu.write(t.param)?;
            args.grads[i] = gpu.read(t.grad)?;
            args.buffers[i] = gpu.write_some(t.buffer)?;
            args.counts[i] = t.param.elem_count() as u64;
            args.lr[i] = t.lr;
            args.decay[i] = t.decay;
        }
        launch(&gpu, "sgd", &args.counts, many.len(), &args)?;
    }
    Ok(true)
}

/// `target = keep * target + (1 - keep) * source` in place, of pairs of target and source; `false` where these tensors
/// have no kernels.
///
/// # Errors
/// As [`adam`].
pub fn blend(pairs: &[(&Tensor, &Tensor)], keep: f64) -> Result<bool> {
    let Some(gpu) = gpu_of(pairs.iter().map(|pair| pair.0)) else {
        return Ok(false);
    };
    for many in pairs.chunks(MANY) {
        let mut args = Blend {
            targets: [Output::default(); MANY],
            sources: [Input::default(); MANY],
            counts: [0; MANY],
            keep,
        };
        for (i, &(target, source)) in many.iter().enumerate() {
            expect_alike(target, [source])?;
            args.targets[i] = gpu.write(target)?;
            args.sources[i] = gpu.read(source)?;
            args.counts[i] = target.elem_count() as u64;
        }
        launch(&gpu, "blend", &args.counts, many.len(), &args)?;
    }
    Ok(true)
}

/// The sum of all squares of all tensors, one f64 on their device, which nothing has waited for; none where these tensors
/// have no kernels. Values are summed in their own dtype within slices of 64 Ki, slices in f64.
///
/// # Errors
/// If tensors differ in dtype or are not contiguous.
pub fn squares(tensors: &[Tensor]) -> Result<Option<Tensor>> {
    const SLICE: usize = 1 << 16;
    let Some(gpu) = gpu_of(tensors.iter()) else {
        return Ok(None);
    };
    let counts = tensors.iter().map(Tensor::elem_count);
    let slices = counts.max().unwrap_or(0).div_ceil(SLICE).max(1);
    let parts = gpu.empty_of(DType::F64, (tensors.len(), slices))?;
    let sums = Sums::from(gpu.memory(&parts, DType::F64)?);
    for (chunk, many) in tensors.chunks(MANY).enumerate() {
        let mut args = Squares {
            grads: [Input::default(); MANY],
            counts: [0; MANY],
            parts: sums,
            first: (chunk * MANY) as u64,
            slice: SLICE as u64,
            slices: slices as u64,
        };
        for (i, tensor) in many.iter().enumerate() {
            args.grads[i] = gpu.read(tensor)?;
            args.counts[i] = tensor.elem_count() as u64;
        }
        gpu.launch("squares", [slices, many.len()], &args)?;
    }
    let total = gpu.empty_of(DType::F64, ())?;
    let args = SumSquares {
        parts: sums,
        total: gpu.memory(&total, DType::F64)?.into(),
        count: parts.elem_count() as u64,
    };
    gpu.launch("sum_squares", [1, 1], &args)?;
    Ok(Some(total))
}

/// The GPU of all tensors, if they are on one and of one dtype.
fn gpu_of<'a>(mut tensors: impl Iterator<Item = &'a Tensor>) -> Option<Gpu> {
    let first = tensors.next()?;
    let alike = tensors
        .all(|t| t.dtype() == first.dtype() && t.device().location() == first.device().location());
    Gpu::of_tensor(first).filter(|_| alike)
}

fn expect_alike<'a>(first: &Tensor, others: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
    for other in others {
        if other.dims() != first.dims() {
            bail!("an update of {:?} by {:?}", first.dims(), other.dims());
        }
    }
    Ok(())
}

/// Blocks by the largest of the tensors, a row of them for each.
fn launch<A: Arguments>(
    gpu: &Gpu,
    kernel: &str,
    counts: &[u64; MANY],
    many: usize,
    args: &A,
) -> Result<()> {
    let most = counts.iter().copied().max().unwrap_or(0) as usize;
    let blocks = most.div_ceil(EACH).min(BLOCKS);
    gpu.launch(kernel, [blocks, many], args)
}
