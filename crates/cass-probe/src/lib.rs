#![doc = include_str!("../README.md")]

pub mod apply;
mod error;
pub mod fit;
pub mod look;

pub use error::{Error, Result};

/// What most programs need.
pub mod prelude {
    pub use crate::{
        apply::Predictor,
        fit::{ProbeMode, ProbeRecipe, probe},
        look::Subjects,
    };
}
