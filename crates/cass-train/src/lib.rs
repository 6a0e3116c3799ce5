//! TODO
mod average;
mod collapse;
mod device;
mod error;
mod event;
mod features;
mod loss;
mod optim;
mod pretrain;
mod projector;
mod recipe;
mod run_dir;
mod schedule;
mod step;
mod weights;

pub use average::{WeightAverage, update_bn};
pub use collapse::Collapse;
pub use device::{device_name, open_device};
pub use error::{Error, Result};
pub use event::{Event, When};
pub use loss::{FocalForm, FocalLoss, cass_loss, class_weights, dino_loss};
pub use optim::{AdamConfig, Optimizer, OptimizerConfig, SgdConfig};
pub use pretrain::pretrain;
pub use projector::Projector;
pub use recipe::{
    Arm, DinoConfig, Method, PipelineName, Protocol, Recipe, Swa, ValidRecipe, Weights, deviations,
    from_toml, to_toml,
};
pub use run_dir::{Log, RunDir};
pub use schedule::{CosineConfig, Schedule, ScheduleConfig};
pub use step::{CassStep, DinoStep, Step, StepReport, SupervisedStep, Trains};
pub use weights::{Origin, load_weights};
