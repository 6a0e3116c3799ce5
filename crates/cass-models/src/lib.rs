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

mod cost;
mod error;
mod export;
mod family;
#[cfg(feature = "hub")]
mod hub;
mod init;
mod intermediates;
mod keys;
mod layers;
mod layouts;
mod model;
mod params;
mod read;
mod registry;
mod resample;
mod torch;
mod verify;
mod weights;

pub use cost::Cost;
pub use error::{Error, Result};
pub use export::Export;
pub use family::convnext::ConvNextConfig;
pub use family::densenet::DenseNetConfig;
pub use family::efficientnet::{EfficientNetConfig, MobileHead};
pub use family::eva::EvaConfig;
pub use family::resnet::{Block, ResNetConfig, Variant};
pub use family::swin::SwinConfig;
pub use family::vit::{VitConfig, VitPool};
pub use family::{LastMap, ModelConfig, Readout};
#[cfg(feature = "hub")]
pub use hub::{Hub, HubEvent, HubFault, HubFile, HubId, HubSettings};
pub use intermediates::{Intermediates, Taps};
pub use layers::Mode;
pub use model::{Model, ModelOptions, Output};
pub use params::Params;
pub use registry::{Interpolation, MODELS, ModelInfo, Normalization, find};
pub use verify::{LikelyCause, TensorError, Verification, verify};
pub use weights::{LoadReport, NewHead};

/// The README's examples run as tests.
#[cfg(all(doctest, feature = "hub"))]
#[doc = include_str!("../README.md")]
struct Readme;
