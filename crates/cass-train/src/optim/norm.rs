//! The norm of many tensors at once.

use candle_core::{DType, Result, Storage, Tensor};
use rayon::prelude::*;

/// Values a sum; sums are added in their order, so that the number of threads changes no digit.
const CHUNK: usize = 1 << 16;

/// The L2 norm over all values of all tensors; sums in f64.
pub(super) fn of(tensors: &[Tensor]) -> Result<f64> {
    let squares = tensors.iter().map(squares).collect::<Result<Vec<f64>>>()?;
    Ok(squares.iter().sum::<f64>().sqrt())
}

fn squares(tensor: &Tensor) -> Result<f64> {
    if tensor.device().is_cpu() && tensor.dtype() == DType::F32 {
        let (storage, layout) = tensor.storage_and_layout();
        if let (Storage::Cpu(data), Some((from, to))) = (&*storage, layout.contiguous_offsets()) {
            let values = &data.as_slice::<f32>()?[from..to];
            let sum = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            let sums: Vec<f64> = values.par_chunks(CHUNK).map(sum).collect();
            return Ok(sums.iter().sum());
        }
    }
    if tensor.dtype() == DType::F64 {
        return tensor.sqr()?.sum_all()?.to_scalar();
    }
    let sum = tensor.to_dtype(DType::F32)?.sqr()?.sum_all()?;
    Ok(f64::from(sum.to_scalar::<f32>()?))
}
