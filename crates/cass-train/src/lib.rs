//! Self-supervised training as PyTorch does it, step for step: CASS, DINO and supervised.
//!
//! A [`Recipe`] says everything that decides a run, with the paper's settings as a preset. It is
//! checked once ([`Recipe::validate`]) and run by [`pretrain`] into a [`RunDir`](cass_run::RunDir). Below that loop
//! stands one pure step a method ([`CassStep`](methods::CassStep), [`DinoStep`](methods::DinoStep),
//! [`SupervisedStep`](methods::SupervisedStep)) for loops of your
//! own, and below the steps the parts: losses, [`Optimizer`](optim::Optimizer),
//! [`Schedule`](schedule::Schedule), [`WeightAverage`](average::WeightAverage).
//!
//! ```
//! use cass_run::RunDir;
//! use cass_train::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (data, out) = (folder.path().join("phantoms"), folder.path().join("run"));
//! # let phantoms = cass_data::phantom::PhantomConfig { seed: 0, train_per_class: 4, test_per_class: 1, size: 16, style: Default::default() };
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
//! This crate knows no metric but how far features have collapsed ([`collapse_of`](collapse::collapse_of)).

pub mod average;
pub mod collapse;
pub mod cost;
pub mod device;
mod error;
pub mod export;
pub mod features;
pub mod initial;
pub mod memory;
pub mod methods;
pub mod optim;
pub mod recipe;
pub mod schedule;
mod settings;
mod states;
mod step;
mod tensorboard;
mod training;
pub mod trajectory;
pub mod weights;

pub use error::{Error, Result};
pub use methods::{Method, Step};
pub use recipe::{Protocol, Recipe, ValidRecipe, Weights};
pub use training::{PretrainOptions, Stop, pretrain};

/// What most programs need.
pub mod prelude {
    pub use crate::methods::{CassConfig, DinoConfig};
    pub use crate::{Method, PretrainOptions, Protocol, Recipe, Step, Weights, pretrain};
}
