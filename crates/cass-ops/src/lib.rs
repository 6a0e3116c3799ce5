//! Differentiable vision ops for Candle.
mod activation;
mod attention;
mod batch_norm;
#[cfg(test)]
mod check;
mod conv2d;
mod element;
mod layer_norm;
mod linear;
mod matmul;
mod max_pool2d;
mod parallel;
mod rng;

pub use activation::{add_relu, gelu, relu};
pub use attention::attention;
pub use batch_norm::{Activation, BatchStats, batch_norm_eval, batch_norm_train};
pub use conv2d::{Conv2dConfig, conv2d};
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use max_pool2d::{MaxPool2dConfig, max_pool2d};
pub use rng::Rng;
