//! Pooling, plane by plane.

use super::arguments::{AvgPool, AvgPoolGradient, MaxPool, MaxPoolGradient, Pooled};
use super::launch::{Gpu, expect_small, over_planes};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{DType, Result};

/// Sizes of a pooling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pooling {
    /// Height and width of a plane.
    pub(crate) from: [usize; 2],
    /// Those of a plane of results.
    pub(crate) to: [usize; 2],
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Pooling {
    fn of(&self, planes: usize) -> Pooled {
        Pooled {
            planes: planes as u64,
            h: self.from[0] as u64,
            w: self.from[1] as u64,
            oh: self.to[0] as u64,
            ow: self.to[1] as u64,
            kernel: self.kernel as u64,
            stride: self.stride as u64,
        }
    }
}

/// See [`crate::nn::max_pool2d`].
pub(crate) fn max_pool2d(gpu: Gpu, x: &Tracked, p: Pooling) -> Result<Tracked> {
    expect_small(p.from)?;
    let x = x.contiguous()?;
    let (b, c, ..) = x.value().dims4()?;
    let ([h, w], [oh, ow]) = (p.from, p.to);
    let (y, places) = timed("max_pool2d", Pass::Forward, || {
        let y = gpu.empty((b, c, oh, ow))?;
        let places = gpu.empty_of(DType::U32, (b, c, oh, ow))?;
        let args = MaxPool {
            x: gpu.read(x.value())?,
            y: gpu.write(&y)?,
            places: gpu.memory(&places, DType::U32)?.into(),
            sizes: p.of(b * c),
            padding: p.padding as u64,
        };
        gpu.launch("max_pool_forward", over_planes(b * c, oh * ow), &args)?;
        Ok::<_, candle_core::Error>((y, places))
    })?;
    Ok(Tracked::record("max_pool2d", y, &[&x], move |dy| {
        let (dy, dx) = (dy.contiguous()?, gpu.empty((b, c, h, w))?);
        let args = MaxPoolGradient {
            dy: gpu.read(&dy)?,
            places: gpu.memory(&places, DType::U32)?.into(),
            dx: gpu.write(&dx)?,
            sizes: p.of(b * c),
            padding: p.padding as u64,
        };
        gpu.launch("max_pool_backward", over_planes(b * c, h * w), &args)?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}

/// See [`crate::nn::avg_pool2d`].
pub(crate) fn avg_pool2d(gpu: Gpu, x: &Tracked, p: Pooling) -> Result<Tracked> {
    expect_small(p.from)?;
    let x = x.contiguous()?;
    let (b, c, ..) = x.value().dims4()?;
    let ([h, w], [oh, ow]) = (p.from, p.to);
    let y = timed("avg_pool2d", Pass::Forward, || {
        let y = gpu.empty((b, c, oh, ow))?;
        let args = AvgPool {
            x: gpu.read(x.value())?,
            y: gpu.write(&y)?,
            sizes: p.of(b * c),
        };
        gpu.launch("avg_pool_forward", over_planes(b * c, oh * ow), &args)?;
        Ok::<_, candle_core::Error>(y)
    })?;
    Ok(Tracked::record("avg_pool2d", y, &[&x], move |dy| {
        let (dy, dx) = (dy.contiguous()?, gpu.empty((b, c, h, w))?);
        let args = AvgPoolGradient {
            dy: gpu.read(&dy)?,
            dx: gpu.write(&dx)?,
            sizes: p.of(b * c),
        };
        gpu.launch("avg_pool_backward", over_planes(b * c, h * w), &args)?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}
