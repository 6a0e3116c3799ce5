#![doc = include_str!("../README.md")]

pub mod apply;
mod error;
pub mod fit;
pub mod look;
mod reading;

pub use error::{Error, Result};

/// What most programs need.
pub mod prelude {
    pub use crate::apply::Predictor;
    pub use crate::fit::{ProbeMode, ProbeRecipe, probe};
    pub use crate::look::Subjects;
}
