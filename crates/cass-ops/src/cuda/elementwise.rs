//! Functions of every element by itself, factors, biases and transpositions.

use super::arguments::{Affine, SwapMiddle, Unary, UnaryGradient};
use super::launch::{Gpu, over};
use super::sums;
use crate::op::Function;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked};
use candle_core::{Result, Tensor};

/// A function of every element.
pub(crate) fn function(gpu: Gpu, function: Function, x: &Tracked) -> Result<Tracked> {
    let (x, name) = (x.contiguous()?, function.name());
    let (count, kind) = (x.value().elem_count(), function as u64);
    let y = timed(name, Pass::Forward, || {
        let y = gpu.empty(x.dims())?;
        let args = Unary {
            x: gpu.read(x.value())?,
            y: gpu.write(&y)?,
            count: count as u64,
            kind,
        };
        gpu.launch("unary_forward", over(count), &args)?;
        Ok::<_, candle_core::Error>(y)
    })?;
    let saved = x.value().clone();
    Ok(Tracked::record(name, y, &[&x], move |dy| {
        let (dy, dx) = (dy.contiguous()?, gpu.empty(saved.dims())?);
        let args = UnaryGradient {
            x: gpu.read(&saved)?,
            dy: gpu.read(&dy)?,
            dx: gpu.write(&dx)?,
            count: count as u64,
            kind,
        };
        gpu.launch("unary_backward", over(count), &args)?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}

/// What is done to every value: factors and biases repeat, value `i` has number `i / inner % repeat`.
#[derive(Clone, Copy, Default)]
pub(super) struct Added<'a> {
    pub(super) gamma: Option<&'a Tensor>,
    pub(super) bias: Option<&'a Tensor>,
    pub(super) residual: Option<&'a Tensor>,
    pub(super) inner: usize,
    pub(super) repeat: usize,
}

/// `x * gamma + bias + residual`
pub(super) fn affine(gpu: &Gpu, x: &Tensor, added: Added) -> Result<Tensor> {
    let y = gpu.empty(x.dims())?;
    let count = x.elem_count();
    let args = Affine {
        x: gpu.read(x)?,
        gamma: gpu.read_some(added.gamma)?,
        bias: gpu.read_some(added.bias)?,
        residual: gpu.read_some(added.residual)?,
        y: gpu.write(&y)?,
        count: count as u64,
        inner: added.inner.max(1) as u64,
        repeat: added.repeat.max(1) as u64,
    };
    gpu.launch("affine", over(count), &args)?;
    Ok(y)
}

/// `residual + x * gamma` of rows.
pub(crate) fn scale_add(
    gpu: Gpu,
    x: &Tracked,
    gamma: &Tracked,
    residual: &Tracked,
) -> Result<Tracked> {
    let (x, gamma, residual) = (x.contiguous()?, gamma.contiguous()?, residual.contiguous()?);
    let d = gamma.value().elem_count();
    let y = timed("scale_add", Pass::Forward, || {
        let added = Added {
            gamma: Some(gamma.value()),
            residual: Some(residual.value()),
            inner: 1,
            repeat: d,
            ..Added::default()
        };
        affine(&gpu, x.value(), added)
    })?;
    let (saved, factors) = (x.value().clone(), gamma.value().clone());
    let inputs = [&x, &gamma, &residual];
    Ok(Tracked::record("scale_add", y, &inputs, move |dy| {
        let dy = dy.contiguous()?;
        let added = Added {
            gamma: Some(&factors),
            inner: 1,
            repeat: d,
            ..Added::default()
        };
        let dx = affine(&gpu, &dy, added)?;
        let rows = saved.elem_count() / d;
        let dgamma = sums::of_columns(&gpu, &saved, Some(&dy), [rows, d])?;
        Ok(vec![
            Some(Gradient::fresh(dx)),
            Some(Gradient::fresh(dgamma)),
            Some(Gradient::shared(dy)),
        ])
    }))
}

/// Every plane of `x (B, C, H, W)` times its gate of `(B, C)`.
pub(crate) fn gate_planes(gpu: Gpu, x: &Tracked, gate: &Tracked) -> Result<Tracked> {
    let (x, gate) = (x.contiguous()?, gate.contiguous()?);
    let (b, c, h, w) = x.value().dims4()?;
    fn by(gate: &Tensor, inner: usize) -> Added<'_> {
        Added {
            gamma: Some(gate),
            inner,
            repeat: gate.elem_count(),
            ..Added::default()
        }
    }
    let y = timed("gate_planes", Pass::Forward, || {
        affine(&gpu, x.value(), by(gate.value(), h * w))
    })?;
    let (saved, saved_gate) = (x.value().clone(), gate.value().clone());
    Ok(Tracked::record("gate_planes", y, &[&x, &gate], move |dy| {
        let dy = dy.contiguous()?;
        let dx = affine(&gpu, &dy, by(&saved_gate, h * w))?;
        let dgate = sums::of_channels(&gpu, &saved, Some(&dy), [1, b * c, h * w])?;
        Ok(vec![
            Some(Gradient::fresh(dx)),
            Some(Gradient::fresh(dgate.reshape((b, c))?)),
        ])
    }))
}

/// Every plane of `x (B, C, H, W)` plus its channel's bias.
pub(crate) fn add_planes(gpu: Gpu, x: &Tracked, bias: &Tracked) -> Result<Tracked> {
    let (x, bias) = (x.contiguous()?, bias.contiguous()?);
    let (b, c, h, w) = x.value().dims4()?;
    let y = timed("add_planes", Pass::Forward, || {
        let added = Added {
            bias: Some(bias.value()),
            inner: h * w,
            repeat: c,
            ..Added::default()
        };
        affine(&gpu, x.value(), added)
    })?;
    Ok(Tracked::record("add_planes", y, &[&x, &bias], move |dy| {
        let dy = dy.contiguous()?;
        let dbias = sums::of_channels(&gpu, &dy, None, [b, c, h * w])?;
        Ok(vec![
            Some(Gradient::shared(dy)),
            Some(Gradient::fresh(dbias)),
        ])
    }))
}

/// `(batch, m, n)` → `(batch, n, m)` of that shape.
pub(crate) fn swap_middle(
    gpu: Gpu,
    x: &Tracked,
    [batch, m, n]: [usize; 3],
    shape: [usize; 4],
) -> Result<Tracked> {
    let x = x.contiguous()?;
    let y = timed("transpose", Pass::Forward, || {
        swapped(&gpu, x.value(), [batch, m, n, 1], &shape)
    })?;
    let before = x.value().shape().clone();
    Ok(Tracked::record("transpose", y, &[&x], move |dy| {
        let dx = swapped(&gpu, &dy.contiguous()?, [batch, n, m, 1], before.dims())?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}

/// `(B, M, N, D)` → `(B, N, M, D)` of that shape.
pub(super) fn swapped(
    gpu: &Gpu,
    x: &Tensor,
    [batch, m, n, depth]: [usize; 4],
    shape: &[usize],
) -> Result<Tensor> {
    let y = gpu.empty(shape)?;
    let args = SwapMiddle {
        x: gpu.read(x)?,
        y: gpu.write(&y)?,
        batch: batch as u64,
        m: m as u64,
        n: n as u64,
        depth: depth as u64,
    };
    gpu.launch("swap_middle", over(x.elem_count()), &args)?;
    Ok(y)
}
