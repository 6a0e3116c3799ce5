//! Updates of many tensors at once, by kernels of a GPU: a handful of launches a step, whatever the number of parameters.

pub use crate::cuda::{AdamStep, AdamTensors, SgdStep, SgdTensors, adam, blend, sgd, squares};

use crate::cuda::Gpu;
use candle_core::Tensor;

/// Whether a GPU's kernels take this tensor.
pub fn takes(tensor: &Tensor) -> bool {
    Gpu::of_tensor(tensor).is_some()
}
