//! TODO
mod collapse;
mod error;
mod loss;
mod optim;
mod recipe;
mod schedule;

pub use collapse::Collapse;
pub use error::{Error, Result};
pub use loss::{FocalLoss, cass_loss, class_weights, dino_loss};
pub use optim::{AdamConfig, Optimizer, OptimizerConfig, SgdConfig};
pub use recipe::{
    Arm, DinoConfig, Method, PipelineName, Protocol, Recipe, Swa, ValidRecipe, Weights,
};
pub use schedule::{CosineConfig, Schedule, ScheduleConfig};
