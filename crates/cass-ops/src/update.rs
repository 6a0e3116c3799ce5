//! Updates of many tensors at once, by kernels of a GPU: a handful of launches a step, whatever the number of parameters.

pub use crate::cuda::{AdamStep, AdamTensors, SgdStep, SgdTensors, adam, blend, sgd, squares};
