#![doc = include_str!("../README.md")]

pub mod compare;
mod error;
mod figures;
mod groups;
pub mod metrics;
mod multi_label;
mod predictions;
mod resample;
mod table;

pub use error::{Error, Result};
pub use groups::Groups;
pub use multi_label::{MultiLabelPredictions, joined};
pub use predictions::{Prediction, Predictions};

/// What most programs need.
pub mod prelude {
    pub use crate::compare::Difference;
    pub use crate::metrics::{Confusion, Metrics, MultiLabelMetrics};
    pub use crate::{Groups, MultiLabelPredictions, Prediction, Predictions};
}
