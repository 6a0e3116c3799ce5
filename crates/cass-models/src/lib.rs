//! timm's vision networks in Candle: timm's key names, every parameter trainable, equal to timm.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use cass_models::{Mode, Model, ModelOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ModelOptions {
//!     num_classes: 4,
//!     input_size: 64,
//!     ..Default::default()
//! };
//! let model = Model::new("vit_tiny_patch16_224", &options)?;
//! let images = Tensor::zeros((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! let output = model.forward(&images, Mode::Train)?;
//! assert_eq!(output.logits.dims(), [2, 4]);
//! assert_eq!(output.features.dims(), [2, model.feature_dim()]);
//! let twice = (output.logits.value() * 2.0)?; // the gradient of the sum of squares
//! let grads = output.logits.backward_from(&twice)?;
//! assert!(model.params().trainable().iter().all(|(_, p)| grads.get(p).is_some()));
//! # Ok(()) }
//! ```
//!
//! [`Model::forward_with`] gives stage maps, tokens and attention weights too, under timm's names.
//! This crate knows no loss and no data set.

pub mod cost;
mod error;
pub mod export;
pub mod family;
#[cfg(feature = "hub")]
mod fault;
#[cfg(feature = "hub")]
pub mod hub;
mod images;
mod init;
pub mod intermediates;
mod keys;
mod layers;
mod layouts;
mod model;
pub mod onnx;
mod options;
mod params;
mod read;
pub mod registry;
mod resample;
mod text;
pub mod verify;
pub mod weights;

pub use error::{Error, Result};
pub use layers::Mode;
pub use model::{Model, Output};
pub use options::ModelOptions;
pub use params::Params;

/// What most programs need.
pub mod prelude {
    pub use crate::intermediates::Taps;
    pub use crate::registry::find;
    pub use crate::{Mode, Model, ModelOptions, Output};
}

/// The README's examples run as tests.
#[cfg(all(doctest, feature = "hub"))]
#[doc = include_str!("../README.md")]
struct Readme;
