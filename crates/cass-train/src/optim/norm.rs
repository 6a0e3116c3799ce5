//! The norm of many tensors at once.

use candle_core::{DType, Result, Storage, Tensor};
use cass_ops::update;
use rayon::prelude::*;

/// Values a sum; sums are added in their order, so that the number of threads changes no digit.
const CHUNK: usize = 1 << 16;

/// The L2 norm over all values of all tensors; sums in f64, on a GPU those of slices in the tensors' own precision.
pub(super) fn of(tensors: &[Tensor]) -> Result<f64> {
    if tensors.first().is_some_and(update::takes) {
        let contiguous = tensors.iter().map(Tensor::contiguous);
        let contiguous = contiguous.collect::<Result<Vec<_>>>()?;
        if let Some(sum) = update::squares(&contiguous)? {
            return Ok(sum.to_scalar::<f64>()?.sqrt());
        }
    }
    let squares = tensors.iter().map(squares).collect::<Result<Vec<_>>>()?;
    // What is on a device is read together: the host waits once, not once for each tensor.
    let there = squares.iter().filter_map(|squares| match squares {
        Squares::There(sum) => Some(sum),
        Squares::Here(_) => None,
    });
    let there: Vec<&Tensor> = there.collect();
    let mut there = match there.is_empty() {
        true => Vec::new(),
        false => Tensor::stack(&there, 0)?.to_vec1::<f64>()?,
    }
    .into_iter();
    let sums = squares.iter().map(|squares| match squares {
        Squares::Here(sum) => *sum,
        Squares::There(_) => there.next().unwrap_or(f64::NAN),
    });
    Ok(sums.sum::<f64>().sqrt())
}

/// The sum of a tensor's squares: a number, or a scalar on the tensor's device.
enum Squares {
    Here(f64),
    There(Tensor),
}

fn squares(tensor: &Tensor) -> Result<Squares> {
    if tensor.device().is_cpu() && tensor.dtype() == DType::F32 {
        let (storage, layout) = tensor.storage_and_layout();
        if let (Storage::Cpu(data), Some((from, to))) = (&*storage, layout.contiguous_offsets()) {
            let values = &data.as_slice::<f32>()?[from..to];
            let sum = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            let sums: Vec<f64> = values.par_chunks(CHUNK).map(sum).collect();
            return Ok(Squares::Here(sums.iter().sum()));
        }
    }
    let wide = match tensor.dtype() {
        DType::F64 => tensor.clone(),
        _ => tensor.to_dtype(DType::F32)?,
    };
    let sum = wide.sqr()?.sum_all()?.to_dtype(DType::F64)?;
    Ok(Squares::There(sum))
}
