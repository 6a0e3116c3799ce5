//! Differentiable vision ops for Candle that train: PyTorch's values, PyTorch's gradients, fast on
//! a CPU.
//!
//! Candle 0.11 drops the gradient of its fused LayerNorm and softmax silently, has none for the
//! 3/2 max-pool of every ResNet and slope 1 for `relu` at 0. These ops have PyTorch's gradients,
//! compared with finite differences in f64 and PyTorch's own values, and work in one pass over
//! contiguous memory with the vector instructions found at run time.
//!
//! ```
//! use candle_core::{DType, Device, Var};
//! use cass_ops::nn::{batch_norm_train, conv2d};
//! use cass_ops::prelude::*;
//!
//! # fn main() -> candle_core::Result<()> {
//! let (f32, cpu) = (DType::F32, &Device::Cpu);
//! let x = Tracked::from(&Var::randn(0f32, 1., (2, 3, 9, 9), cpu)?);
//! let kernel = Var::randn(0f32, 0.1, (8, 3, 3, 3), cpu)?;
//! let (weight, bias) = (Var::ones(8, f32, cpu)?, Var::zeros(8, f32, cpu)?);
//! let (weight, bias) = (Tracked::from(&weight), Tracked::from(&bias));
//!
//! let config = Conv2dConfig { stride: 2, padding: 1, groups: 1 };
//! let y = conv2d(&x, &Tracked::from(&kernel), &config)?; // (2, 8, 5, 5)
//! let (y, stats) = batch_norm_train(&y, &weight, &bias, None, 1e-5, Activation::Relu)?;
//! let dy = y.value().ones_like()?;
//! let grads = y.backward_from(&dy)?;
//! assert_eq!(stats.mean.dims(), [8]);
//! assert_eq!(grads.get(&kernel).map(|g| g.dims()), Some(kernel.dims()));
//! # Ok(()) }
//! ```
//!
//! A [`Tracked`] tensor remembers how it was computed: gradients are taken through it by
//! [`Tracked::backward`], which frees what each operation saved as it goes. [`compose`] brings in
//! anything written in Candle's own operations, a loss for instance; [`Tracked::watch`] keeps the
//! gradient of a tensor that is no variable.
//!
//! [`autocast`](scope::autocast) has products made in bf16.
//!
//! [`trace`] tells which operations a computation consists of.
//!
//! Each op is a plain twin in Candle's own operations, which is also its path on other devices,
//! kernels over slices for a CPU, and kernels for a GPU (feature `cuda`); tests hold all equal, those for a GPU under an
//! emulation. This crate knows tensors only: no network, no
//! data, no randomness.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod activation;
mod attention;
mod autocast;
mod avg_pool2d;
mod batch_norm;
mod channels;
#[cfg(test)]
mod check;
mod conv2d;
mod cuda;
mod element;
mod emulated;
pub mod gpu;
mod interrupt;
mod layer_norm;
mod linear;
mod matrix;
mod max_pool2d;
mod movement;
mod op;
mod parallel;
mod phases;
mod pieces;
mod pool;
pub mod profile;
mod recompute;
mod rotary;
mod scale;
mod soft_cross_entropy;
pub mod trace;
mod tracked;
mod transpose;
pub mod update;
mod vector;

pub use tracked::{Gradients, Tracked, compose};

/// Layers and losses as functions, as in `torch.nn.functional`, and their settings.
pub mod nn {
    pub use crate::activation::{
        gelu, hard_sigmoid, hard_swish, quick_gelu, relu, relu6, sigmoid, silu,
    };
    pub use crate::attention::{
        attention, attention_weights, window_attention, window_attention_weights,
    };
    pub use crate::avg_pool2d::avg_pool2d;
    pub use crate::batch_norm::{BatchStats, batch_norm_eval, batch_norm_train};
    pub use crate::channels::{channels_first, channels_last};
    pub use crate::conv2d::conv2d;
    pub use crate::layer_norm::layer_norm;
    pub use crate::linear::{linear, linear_add};
    pub use crate::max_pool2d::max_pool2d;
    pub use crate::op::{Activation, AvgPool2dConfig, Conv2dConfig, MaxPool2dConfig};
    pub use crate::rotary::rotary;
    pub use crate::scale::{add_planes, gate_planes, scale_add};
    pub use crate::soft_cross_entropy::{SoftCrossEntropyConfig, soft_cross_entropy};
}

/// Computing a part in another way: with products in bf16, or twice to save memory.
pub mod scope {
    pub use crate::autocast::autocast;
    pub use crate::interrupt::interruptible;
    pub use crate::recompute::{is_recomputing, recompute};
}

/// The threads that kernels run on.
pub mod threads {
    pub use crate::parallel::for_each;
    pub use crate::pool::{set_threads, threads};
}

/// What most programs need.
pub mod prelude {
    pub use crate::nn::{self, Activation, Conv2dConfig};
    pub use crate::{Gradients, Tracked, compose};
}
