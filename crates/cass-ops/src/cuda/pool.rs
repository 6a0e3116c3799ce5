//! Pooling, plane by plane.

use super::arguments::{AvgPool, AvgPoolGradient, MaxPool, MaxPoolGradient};
use super::launch::{Gpu, over_planes};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{DType, Result, bail};

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
    fn expect_small(&self) -> Result<()> {
        let [h, w] = self.from;
        if h * w > i32::MAX as usize {
            bail!("a plane of {h} x {w} pixels: expected at most 2147483647");
        }
        Ok(())
    }
}

/// See [`crate::nn::max_pool2d`].
pub(crate) fn max_pool2d(gpu: Gpu, x: &Tracked, p: Pooling) -> Result<Tracked> {
    p.expect_small()?;
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
            planes: (b * c) as u64,
            h: h as u64,
            w: w as u64,
            oh: oh as u64,
            ow: ow as u64,
            kernel: p.kernel as u64,
            stride: p.stride as u64,
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
            planes: (b * c) as u64,
            h: h as u64,
            w: w as u64,
            oh: oh as u64,
            ow: ow as u64,
            kernel: p.kernel as u64,
            stride: p.stride as u64,
            padding: p.padding as u64,
        };
        gpu.launch("max_pool_backward", over_planes(b * c, h * w), &args)?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}

/// See [`crate::nn::avg_pool2d`].
pub(crate) fn avg_pool2d(gpu: Gpu, x: &Tracked, p: Pooling) -> Result<Tracked> {
    p.expect_small()?;
    let x = x.contiguous()?;
    let (b, c, ..) = x.value().dims4()?;
    let ([h, w], [oh, ow]) = (p.from, p.to);
    let y = timed("avg_pool2d", Pass::Forward, || {
        let y = gpu.empty((b, c, oh, ow))?;
        let args = AvgPool {
            x: gpu.read(x.value())?,
            y: gpu.write(&y)?,
            planes: (b * c) as u64,
            h: h as u64,
            w: w as u64,
            oh: oh as u64,
            ow: ow as u64,
            kernel: p.kernel as u64,
            stride: p.stride as u64,
        };
        gpu.launch("avg_pool_forward", over_planes(b * c, oh * ow), &args)?;
        Ok::<_, candle_core::Error>(y)
    })?;
    Ok(Tracked::record("avg_pool2d", y, &[&x], move |dy| {
        let (dy, dx) = (dy.contiguous()?, gpu.empty((b, c, h, w))?);
        let args = AvgPoolGradient {
            dy: gpu.read(&dy)?,
            dx: gpu.write(&dx)?,
            planes: (b * c) as u64,
            h: h as u64,
            w: w as u64,
            oh: oh as u64,
            ow: ow as u64,
            kernel: p.kernel as u64,
            stride: p.stride as u64,
        };
        gpu.launch("avg_pool_backward", over_planes(b * c, h * w), &args)?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}
