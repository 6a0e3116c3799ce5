//! Convolutions: windows as columns for one batched product, and kernels of their own where each channel has its own weights.

use super::arguments::{
    Depthwise, DepthwiseGradient, DepthwiseWeight, Sliding, Windows, WindowsGradient,
};
use super::launch::{Gpu, expect_small, over_planes};
use super::sums;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{DType, Result, Tensor};

/// Every size of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Height and width of the input, of the kernel and of the result.
    pub(crate) from: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) to: [usize; 2],
    pub(crate) out_channels: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) groups: usize,
}

impl Shape {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn outputs(&self) -> usize {
        self.to[0] * self.to[1]
    }

    /// Values of a window in one group.
    fn depth(&self) -> usize {
        self.channels / self.groups * self.taps()
    }

    /// Whether the image is its own matrix of columns.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == 1 && self.padding == 0
    }

    fn sliding(&self) -> Sliding {
        Sliding {
            h: self.from[0] as u64,
            w: self.from[1] as u64,
            oh: self.to[0] as u64,
            ow: self.to[1] as u64,
            kh: self.kernel[0] as u64,
            kw: self.kernel[1] as u64,
            stride: self.stride as u64,
            padding: self.padding as u64,
        }
    }

    fn dims(&self) -> [usize; 4] {
        [self.batch, self.channels, self.from[0], self.from[1]]
    }

    fn out_dims(&self) -> [usize; 4] {
        [self.batch, self.out_channels, self.to[0], self.to[1]]
    }
}

/// A convolution whose products are Candle's.
pub(crate) fn convolution(gpu: Gpu, x: &Tracked, weight: &Tracked, s: Shape) -> Result<Tracked> {
    Convolution { gpu, s }.record(
        [x, weight],
        Convolution::forward,
        [Convolution::grad_x, Convolution::grad_weight],
    )
}

/// A convolution of every channel by itself.
pub(crate) fn depthwise(gpu: Gpu, x: &Tracked, weight: &Tracked, s: Shape) -> Result<Tracked> {
    Convolution { gpu, s }.record(
        [x, weight],
        Convolution::depthwise_forward,
        [
            Convolution::depthwise_grad_x,
            Convolution::depthwise_grad_weight,
        ],
    )
}

/// What is made of two of the image, the weights and the gradient of the result.
type Product = fn(&Convolution, &Tensor, &Tensor) -> Result<Tensor>;

struct Convolution {
    gpu: Gpu,
    s: Shape,
}

impl Convolution {
    /// The values by one way, and the gradients of image and weights by two, of which none is taken that nothing needs.
    fn record(
        self,
        operands: [&Tracked; 2],
        forward: Product,
        [grad_x, grad_weight]: [Product; 2],
    ) -> Result<Tracked> {
        expect_small(self.s.from)?;
        let [x, weight] = operands.map(Tracked::contiguous);
        let (x, weight) = (x?, weight?);
        let y = timed("conv2d", Pass::Forward, || {
            forward(&self, x.value(), weight.value())
        })?;
        let [needs_x, needs_weight] = [x.is_tracked(), weight.is_tracked()];
        let (saved_x, saved_weight) = (x.value().clone(), weight.value().clone());
        Ok(Tracked::record("conv2d", y, &[&x, &weight], move |dy| {
            let dy = dy.to_dtype(saved_x.dtype())?.contiguous()?;
            let dx = needs_x.then(|| grad_x(&self, &saved_weight, &dy));
            let dw = needs_weight
                .then(|| grad_weight(&self, &saved_x, &dy)?.reshape(saved_weight.shape()));
            Ok(vec![
                dx.transpose()?.map(Gradient::fresh),
                dw.transpose()?.map(Gradient::fresh),
            ])
        }))
    }

    fn forward(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let y = self.weights(weight)?.matmul(&self.columns(x)?)?;
        y.reshape(&self.s.out_dims())
    }

    /// The gradient of the result by groups, as the products take it.
    fn by_groups(&self, dy: &Tensor) -> Result<Tensor> {
        let s = &self.s;
        dy.reshape((s.batch * s.groups, s.out_channels / s.groups, s.outputs()))
    }

    /// The windows, `(B · groups, depth, H' W')`.
    fn columns(&self, x: &Tensor) -> Result<Tensor> {
        let (gpu, s) = (&self.gpu, &self.s);
        let shape = (s.batch * s.groups, s.depth(), s.outputs());
        if s.is_pointwise() {
            return x.reshape(shape);
        }
        let columns = gpu.empty(shape)?;
        let planes = s.batch * s.channels;
        let args = Windows {
            x: gpu.read(x)?,
            y: gpu.write(&columns)?,
            planes: planes as u64,
            sizes: s.sliding(),
        };
        gpu.launch(
            "windows",
            over_planes(planes * s.taps(), s.outputs()),
            &args,
        )?;
        Ok(columns)
    }

    /// The weights of every image's group, `(B · groups, O / groups, depth)`, without a copy where there is one group.
    fn weights(&self, weight: &Tensor) -> Result<Tensor> {
        let s = &self.s;
        let (o, depth) = (s.out_channels / s.groups, s.depth());
        let weight = weight.reshape((1, s.groups, o, depth))?;
        if s.groups == 1 {
            return weight.squeeze(0)?.broadcast_as((s.batch, o, depth));
        }
        let weight = weight.broadcast_as((s.batch, s.groups, o, depth))?;
        weight.contiguous()?.reshape((s.batch * s.groups, o, depth))
    }

    fn grad_x(&self, weight: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (gpu, s) = (&self.gpu, &self.s);
        let dy = self.by_groups(dy)?;
        let dcolumns = self.weights(weight)?.transpose(1, 2)?.matmul(&dy)?;
        if s.is_pointwise() {
            return dcolumns.reshape(&s.dims());
        }
        let dx = gpu.empty(&s.dims())?;
        let planes = s.batch * s.channels;
        let args = WindowsGradient {
            dy: gpu.read(&dcolumns)?,
            dx: gpu.write(&dx)?,
            planes: planes as u64,
            sizes: s.sliding(),
        };
        let grid = over_planes(planes, s.from[0] * s.from[1]);
        gpu.launch("windows_backward", grid, &args)?;
        Ok(dx)
    }

    /// Each image's product, then their sum.
    fn grad_weight(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let s = &self.s;
        let parts = self
            .by_groups(dy)?
            .matmul(&self.columns(x)?.transpose(1, 2)?)?;
        let count = s.out_channels * s.depth();
        if self.gpu.dtype() == DType::BF16 {
            let sum = parts
                .to_dtype(DType::F32)?
                .reshape((s.batch, count))?
                .sum(0)?;
            return sum.to_dtype(DType::BF16);
        }
        sums::of_slices(&self.gpu, &parts, s.batch, count)
    }

    fn depthwise_forward(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (gpu, s) = (&self.gpu, &self.s);
        let y = gpu.empty(&s.out_dims())?;
        let args = Depthwise {
            x: gpu.read(x)?,
            weight: gpu.read(weight)?,
            y: gpu.write(&y)?,
            batch: s.batch as u64,
            channels: s.channels as u64,
            sizes: s.sliding(),
        };
        let grid = over_planes(s.batch * s.channels, s.outputs());
        gpu.launch("depthwise_forward", grid, &args)?;
        Ok(y)
    }

    fn depthwise_grad_x(&self, weight: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (gpu, s) = (&self.gpu, &self.s);
        let dx = gpu.empty(&s.dims())?;
        let args = DepthwiseGradient {
            dy: gpu.read(dy)?,
            weight: gpu.read(weight)?,
            dx: gpu.write(&dx)?,
            batch: s.batch as u64,
            channels: s.channels as u64,
            sizes: s.sliding(),
        };
        let grid = over_planes(s.batch * s.channels, s.from[0] * s.from[1]);
        gpu.launch("depthwise_backward", grid, &args)?;
        Ok(dx)
    }

    fn depthwise_grad_weight(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        /// Images of a partial sum.
        const IMAGES: usize = 4;
        let (gpu, s) = (&self.gpu, &self.s);
        // Parts of bf16 would be rounded each.
        let slice = match gpu.dtype() {
            DType::BF16 => s.batch,
            _ => IMAGES.max(s.batch.div_ceil(1024)),
        };
        let (slices, count) = (s.batch.div_ceil(slice), s.channels * s.taps());
        let parts = gpu.empty((slices, count))?;
        let args = DepthwiseWeight {
            x: gpu.read(x)?,
            dy: gpu.read(dy)?,
            parts: gpu.write(&parts)?,
            batch: s.batch as u64,
            channels: s.channels as u64,
            sizes: s.sliding(),
            slice: slice as u64,
        };
        gpu.launch("depthwise_weight", [count, slices], &args)?;
        sums::of_slices(gpu, &parts, slices, count)
    }
}
