//! Training on labels, which no recipe of a pretraining names: the probe's.

mod loss;
mod step;

pub use loss::{FocalForm, FocalLoss, class_weights};
pub use step::{SupervisedStep, Trains};
