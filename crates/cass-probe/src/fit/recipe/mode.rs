//! How a probe learns, and when it stops.

use crate::fit::logistic::LogisticConfig;
use serde::{Deserialize, Serialize};

/// What is trained on the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMode {
    /// The classifier, on frozen features of the images as they are (section 4.2).
    Linear,
    /// A logistic regression on standardised features ([`Logistic`](crate::fit::Logistic)), which converges to one
    /// answer however large or small features are.
    Logistic,
    /// All parameters, on augmented images (the published code; also the supervised baseline).
    Finetune,
    /// Nothing: the nearest labelled images vote ([`Knn`](crate::fit::Knn)). Their number is the one of
    /// [`KNN_NEIGHBOURS`](crate::fit::KNN_NEIGHBOURS) with the best macro F1 on the labelled images
    /// themselves, each left out in turn.
    Knn,
}

impl ProbeMode {
    /// `linear`, `logistic`, `finetune` or `knn`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logistic => "logistic",
            Self::Finetune => "finetune",
            Self::Knn => "knn",
        }
    }
}

/// How a logistic probe chooses its penalty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticRecipe {
    /// Inverse strengths that are tried, rising: the one with the best macro F1 on the validation images is taken,
    /// of equal ones the strongest penalty.
    pub grid: Vec<f64>,
    /// Length of the gradient at which a fit has converged.
    pub tolerance: f64,
    /// Iterations of L-BFGS at most, each.
    pub iterations: usize,
    /// Whether the chosen penalty is fitted again to training and validation images together.
    pub refit: bool,
}

impl Default for LogisticRecipe {
    /// Inverse strengths from 10⁻⁴ to 10², a decade apart.
    fn default() -> Self {
        let LogisticConfig {
            tolerance,
            iterations,
            ..
        } = LogisticConfig::default();
        Self {
            grid: vec![1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0],
            tolerance,
            iterations,
            refit: false,
        }
    }
}

/// When to stop before the last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase", deny_unknown_fields)]
pub enum Stopping {
    /// After so many epochs in a row without a lower validation loss; the best epoch is kept.
    Patience {
        /// Epochs without improvement.
        epochs: usize,
    },
    /// The published code: validates only after epochs whose training score rose, counts those
    /// whose validation loss lies above the last one, stops when the count passes 5, keeps the
    /// best validation score.
    Notebook,
}
