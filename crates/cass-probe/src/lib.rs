//! Judging a representation: what a few labels can read from it, and how well that was read.
//!
//! ```
//! use cass_probe::{Confusion, Metrics};
//!
//! let classes = ["glioma", "meningioma", "notumor"].map(String::from);
//! let (truth, predicted) = ([0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 2]);
//! let metrics = Metrics::of(&classes, &truth, &predicted, None)?;
//! assert_eq!(metrics.confusion, [[2, 0, 0], [0, 1, 1], [0, 0, 2]]);
//!
//! let interval = Confusion::new(3, &truth, &predicted)?.interval(0, Confusion::f1_macro);
//! assert!(interval.low < metrics.averages.f1_macro && metrics.averages.f1_macro < interval.high);
//! # Ok::<(), cass_probe::Error>(())
//! ```
mod attend;
mod cka;
mod compare;
mod counts;
mod embed;
mod error;
mod export;
mod features;
mod figures;
mod fit;
mod head;
mod judge;
mod knn;
mod layers;
mod learner;
mod metrics;
mod multi_label;
mod parts;
mod predict;
mod predictions;
mod probe;
mod project;
mod recipe;
mod stopping;
mod subject;
mod table;
mod vector;

pub use attend::{Heat, Look};
pub use cka::{Cka, Gram};
pub use compare::Difference;
pub use embed::Embedding;
pub use error::{Error, Result};
pub use export::export;
pub use judge::{AnyMetrics, PartMetrics};
pub use knn::{KNN_NEIGHBOURS, Knn};
pub use layers::LayerCka;
pub use metrics::{
    Averages, ClassMetrics, Confusion, Interval, Metrics, MultiLabelMetrics, ReliabilityBin, auroc,
    average_precision, expected_calibration_error, reliability_curve, roc_curve,
};
pub use multi_label::MultiLabelPredictions;
pub use predict::{Labelled, Predictor};
pub use predictions::{Prediction, Predictions};
pub use probe::probe;
pub use project::{Pca, pca, tsne};
pub use recipe::{Mode, ProbeRecipe, Stopping};
pub use subject::{Subject, Subjects, When};
