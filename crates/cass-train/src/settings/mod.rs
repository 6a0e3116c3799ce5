//! Settings that recipes and methods share: networks and how each is optimised, whose settings, what precision.

mod arm;
mod weights;

pub use arm::{Arm, Arms, Portion};
pub use weights::Weights;

use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The paper's text.
    Paper,
    /// The authors' published notebooks, quirks included.
    Notebook,
}

/// Which epoch's networks a run is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The last one's, as the paper's.
    #[default]
    Last,
    /// Of each network that one's after which two views of a training image were the most alike, compared with those
    /// of different images: no label is looked at.
    Best,
}

impl Keep {
    pub(crate) fn is_last(&self) -> bool {
        *self == Self::Last
    }
}

/// Precision of the products in a training step. What is measured of networks, and the re-estimation of
/// averaged networks' BatchNorm statistics, is always in f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision, as the paper's.
    #[default]
    F32,
    /// As [`F32`](Self::F32), but the factors of products are rounded to the ten bits of TF32. On a GPU only.
    Tf32,
    /// Convolutions, linear maps and attention multiply in bf16; all else, weights, their gradients and updates,
    /// normalisation and losses, stays f32: see [`cass_ops::scope::autocast`]. On a GPU only, unless
    /// [`emulate_bf16`](crate::PretrainOptions::emulate_bf16).
    Bf16,
}

impl Precision {
    /// As recipes have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Runs a forward pass in this precision.
    pub(crate) fn run<R>(self, forward: impl FnOnce() -> R) -> R {
        cass_ops::scope::autocast(self == Self::Bf16, forward)
    }
}

/// Stochastic weight averaging: the equal mean of the weights after each epoch from `start` on,
/// with BatchNorm statistics re-estimated by one pass over the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swa {
    /// Share of the epochs after which averaging starts, in [0, 1).
    pub start: f64,
}

/// Accepts a number from `least` on.
pub(crate) fn at_least(field: &str, value: usize, least: usize) -> Result<()> {
    check(field, value, value >= least, &format!("at least {least}"))
}

/// Names a field with a value that no run can have.
pub(crate) fn check(field: &str, value: impl Display, fits: bool, expected: &str) -> Result<()> {
    Ok(cass_run::check_field(field, value, fits, expected)?)
}
