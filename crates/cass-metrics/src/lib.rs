#![doc = include_str!("../README.md")]

mod compare;
mod error;
mod figures;
mod groups;
mod metrics;
mod multi_label;
mod predictions;
mod resample;
mod table;

pub use compare::{Difference, Outcome};
pub use error::{Error, Result};
pub use groups::Groups;
pub use metrics::{
    Averages, ClassMetrics, Confusion, Interval, Metrics, MultiLabelMetrics, NotGiven,
    ReliabilityBin, auroc, average_precision, expected_calibration_error, multi_label_f1_macro,
    precision_recall_curve, reliability_curve, roc_curve,
};
pub use multi_label::{MultiLabelPredictions, joined};
pub use predictions::{Prediction, Predictions};
