//! The norm of many tensors at once.

use candle_core::{DType, Result, Storage, Tensor};
use cass_ops::{threads, update};
use std::sync::atomic::{AtomicU64, Ordering};

/// Values a sum; sums are added in their order, so that the number of threads changes no digit.
const CHUNK: usize = 1 << 14;

/// The L2 norm over all values of all tensors; sums in f64, on a GPU those of slices in the tensors' own precision.
pub(super) fn of(tensors: &[Tensor]) -> Result<f64> {
    if tensors.first().is_some_and(update::takes) {
        let contiguous = tensors.iter().map(Tensor::contiguous);
        let contiguous = contiguous.collect::<Result<Vec<_>>>()?;
        if let Some(sum) = update::squares(&contiguous)? {
            return Ok(sum.to_scalar::<f64>()?.sqrt());
        }
    }
    if let Some(sum) = on_cpu(tensors)? {
        return Ok(sum.sqrt());
    }
    // What is on a device is read together: the host waits once, not once for each tensor.
    let squares = tensors.iter().map(squares).collect::<Result<Vec<_>>>()?;
    let sums = match squares.is_empty() {
        true => Vec::new(),
        false => Tensor::stack(&squares, 0)?.to_vec1::<f64>()?,
    };
    Ok(sums.iter().sum::<f64>().sqrt())
}

/// The sum of all squares, where all tensors are f32 in a CPU's memory and without gaps.
fn on_cpu(tensors: &[Tensor]) -> Result<Option<f64>> {
    let read: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut chunks: Vec<&[f32]> = Vec::new();
    for (storage, layout) in &read {
        let (Storage::Cpu(data), Some((from, to))) = (&**storage, layout.contiguous_offsets())
        else {
            return Ok(None);
        };
        let Ok(values) = data.as_slice::<f32>() else {
            return Ok(None);
        };
        chunks.extend(values[from..to].chunks(CHUNK));
    }
    // The bits of each chunk's sum.
    let sums: Vec<AtomicU64> = chunks.iter().map(|_| AtomicU64::new(0)).collect();
    threads::for_each(chunks.len(), |i| {
        let sum = pulp::Arch::new().dispatch(
            #[inline(always)]
            || sum_of_squares(chunks[i]),
        );
        sums[i].store(sum.to_bits(), Ordering::Relaxed);
    });
    let sums = sums.into_iter().map(|sum| f64::from_bits(sum.into_inner()));
    Ok(Some(sums.sum()))
}

/// Sixteen sums side by side, which the compiler turns into lanes of vectors.
#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(x) * f64::from(x);
    }
    sums.iter().sum()
}

/// The sum of a tensor's squares, a scalar on its device.
fn squares(tensor: &Tensor) -> Result<Tensor> {
    let wide = match tensor.dtype() {
        DType::F64 => tensor.clone(),
        _ => tensor.to_dtype(DType::F32)?,
    };
    wide.sqr()?.sum_all()?.to_dtype(DType::F64)
}
