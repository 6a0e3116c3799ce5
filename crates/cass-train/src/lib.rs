//! Self-supervised training as PyTorch does it, step for step: CASS, DINO and supervised.
//!
//! A [`Recipe`] says everything that decides a run, with the paper's settings as a preset. It is
//! checked once ([`Recipe::validate`]) and run by [`pretrain`] into a [`RunDir`](cass_run::RunDir). Below that loop
//! stands one pure step a method ([`CassStep`], [`DinoStep`], [`SupervisedStep`]) for loops of your
//! own, and below the steps the parts: losses, [`Optimizer`], [`Schedule`], [`WeightAverage`].
//!
//! ```
//! use cass_run::RunDir;
//! use cass_train::{DinoConfig, PretrainOptions, Recipe, Weights, pretrain};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (data, out) = (folder.path().join("phantoms"), folder.path().join("run"));
//! # let phantoms = cass_data::phantom::PhantomConfig { seed: 0, train_per_class: 4, test_per_class: 1, size: 16 };
//! # cass_data::phantom::write_phantom(&data, &phantoms)?;
//! let dino = DinoConfig::default();
//! # let dino = DinoConfig { num_classes_k: 32, ..dino };
//! let mut recipe = Recipe::paper(dino);
//! recipe.data.root = data;
//! (recipe.size, recipe.epochs, recipe.batch) = (16, 1, 6);
//! for arm in recipe.arms.values_mut() {
//!     arm.network = "resnet18".into();
//!     arm.weights = Weights::Random;
//! }
//! let run = RunDir::open(&out, &recipe.to_toml())?;
//! let options = PretrainOptions::default();
//! let metrics = pretrain(&recipe.validate()?, &run, &options, &mut |event| println!("{event:?}"))?;
//! assert_eq!(metrics.epochs.len(), 1);
//! assert!(run.file("checkpoint-net.safetensors").is_file());
//! # Ok(()) }
//! ```
//!
//! This crate knows no metric but how far features have collapsed ([`collapse_of`]).

mod average;
mod collapse;
mod device;
mod error;
mod export;
mod features;
mod initial;
mod memory;
mod methods;
mod optim;
mod recipe;
mod schedule;
mod states;
mod tensorboard;
mod training;
mod trajectory;
mod weights;

pub use average::{WeightAverage, update_bn};
pub use collapse::collapse_of;
pub use device::{device_name, device_of, open_device};
pub use error::{Error, Result};
pub use export::{Network, export, export_network};
pub use features::Reading;
pub use initial::initial_network;
pub use memory::peak_rss_mib;
pub use methods::{
    CassConfig, CassStep, DinoConfig, DinoStep, FocalForm, FocalLoss, Guard, Held, Method,
    Projector, Step, StepOptions, StepReport, SupervisedStep, Trains, cass_loss, class_weights,
    dino_loss, variance_penalty,
};
pub use optim::{AdamConfig, Optimizer, OptimizerConfig, Rate, SgdConfig};
pub use recipe::{
    Arm, Normalize, Portion, Precision, Protocol, Recipe, Swa, ValidRecipe, Weights, normalized,
};
pub use schedule::{CosineConfig, Schedule, ScheduleConfig};
pub use training::{PretrainOptions, Stop, pretrain};
pub use trajectory::{Deviation, KindError, LossError, Replay};
pub use weights::{Loaded, load_weights, resolve_weights};
