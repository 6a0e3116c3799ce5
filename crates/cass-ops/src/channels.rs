//! Maps with their channels last and first.

use crate::cuda::{self, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::op::Op;
use crate::parallel::for_each_chunk;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use crate::transpose::transpose;
use candle_core::{Result, Tensor};

/// `(B, C, H, W)` → `(B, H, W, C)`, in rows after each other.
///
/// # Errors
/// If it is no batch of maps, or neither f32 nor f64.
pub fn channels_last(x: &Tracked) -> Result<Tracked> {
    let (b, c, h, w) = x.value().dims4()?;
    if let Some(gpu) = Gpu::of(x) {
        return cuda::swap_middle(gpu, x, [b, c, h * w], [b, h, w, c]);
    }
    if !x.is_on_cpu() {
        return compose_as("channels_last", &[x], |t| {
            t[0].permute((0, 2, 3, 1))?.contiguous()
        });
    }
    swap(x, [c, h * w], [b, h, w, c], [0, 2, 3, 1])
}

/// `(B, H, W, C)` → `(B, C, H, W)`, in rows after each other.
///
/// # Errors
/// If it is no batch of maps, or neither f32 nor f64.
pub fn channels_first(x: &Tracked) -> Result<Tracked> {
    let (b, h, w, c) = x.value().dims4()?;
    if let Some(gpu) = Gpu::of(x) {
        return cuda::swap_middle(gpu, x, [b, h * w, c], [b, c, h, w]);
    }
    if !x.is_on_cpu() {
        return compose_as("channels_first", &[x], |t| {
            t[0].permute((0, 3, 1, 2))?.contiguous()
        });
    }
    swap(x, [h * w, c], [b, c, h, w], [0, 3, 1, 2])
}

/// Transposes every image's matrix of `rows` and `cols`, which puts the dimensions in the order of `dims`.
fn swap(
    x: &Tracked,
    [rows, cols]: [usize; 2],
    shape: [usize; 4],
    dims: [usize; 4],
) -> Result<Tracked> {
    let x = x.contiguous()?;
    let y = timed("transpose", Pass::Forward, || {
        transposed(x.value(), [rows, cols], &shape)
    })?;
    let before = x.value().shape().clone();
    let op = Op::Permute(dims.to_vec());
    Ok(Tracked::record(op, y, &[&x], move |dy| {
        let dx = transposed(&dy.contiguous()?, [cols, rows], before.dims())?;
        Ok(vec![Some(Gradient::fresh(dx))])
    }))
}

fn transposed(x: &Tensor, [rows, cols]: [usize; 2], shape: &[usize]) -> Result<Tensor> {
    let read = Read::new(x)?;
    with_float!(x.dtype(), "transpose", T => {
        let from = read.slice::<T>()?;
        let mut to = vec![<T as Element>::ZERO; from.len()];
        let image = (rows * cols).max(1);
        for_each_chunk(&mut to, image, |i, to| {
            transpose(&from[i * image..][..to.len()], rows, cols, cols, to);
        });
        tensor(to, shape)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Case;

    #[test]
    fn both_ways_equal_candles_and_finite_differences() -> Result<()> {
        for shape in [[2, 3, 4, 5], [1, 33, 17, 9], [3, 1, 1, 2]] {
            Case::new("channels_last", &[&shape]).run(
                |t| channels_last(&t[0]),
                |t| t[0].permute((0, 2, 3, 1))?.contiguous(),
            )?;
            Case::new("channels_first", &[&shape]).run(
                |t| channels_first(&t[0]),
                |t| t[0].permute((0, 3, 1, 2))?.contiguous(),
            )?;
        }
        Ok(())
    }
}
