//! Kernels for NVIDIA's GPUs, and the operations that they make up.
//!
//! The kernels (`kernels/*.cu`) are written in what C and CUDA share. NVRTC compiles them for the GPU at hand when the first
//! is called; in tests `cc` compiles the same text over an emulation of blocks, barriers and shuffles
//! (`kernels/emulate.h`), and the same launches run there. Matrix products are Candle's, cuBLAS on a GPU.
//!
//! A build without the feature `cuda` holds the launches, which never run, and no line of CUDA's.

mod arguments;
mod attention;
mod batch_norm;
mod convolution;
mod cross_entropy;
#[cfg(feature = "cuda")]
pub(crate) mod driver;
mod elementwise;
#[cfg(any(test, feature = "emulator"))]
pub(crate) mod emulator;
mod launch;
mod layer_norm;
mod linear;
mod optimizer;
mod pool;
mod source;
mod sums;
#[cfg(test)]
mod tests;

pub(crate) use attention::{AttentionOperands, attention};
pub(crate) use batch_norm::{Operands as BatchNormOperands, batch_norm_eval, batch_norm_train};
pub(crate) use convolution::{Shape as ConvolutionShape, convolution, depthwise};
pub(crate) use cross_entropy::soft_cross_entropy;
pub(crate) use elementwise::{add_planes, function, gate_planes, scale_add, swap_middle};
pub(crate) use launch::{Gpu, launches};
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::linear_add;
pub use optimizer::{AdamStep, AdamTensors, SgdStep, SgdTensors, adam, blend, sgd, squares};
pub(crate) use pool::{Pooling, avg_pool2d, max_pool2d};

/// The text that NVRTC compiles.
pub(crate) fn kernels() -> String {
    source::source(source::Dialect::Device)
}
