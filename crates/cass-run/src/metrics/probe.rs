use super::{Common, Origin, Scores};
use crate::collapse::Collapse;
use crate::schema::number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a finished probe measured. `S` holds the scores of a part of the images: [`Scores`] is what
/// every reader needs of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "probe")]
pub struct ProbeMetrics<S = Scores> {
    /// How it probed: `linear`, `logistic`, `finetune` or `knn`.
    #[serde(default)]
    pub mode: String,
    /// Name of the network.
    #[serde(default)]
    pub arch: String,
    /// Which arm of a pretraining was probed, if any was.
    #[serde(default)]
    pub arm: Option<String>,
    /// What an image's labels are: `multi-class` or `multi-label`.
    #[serde(default)]
    pub task: String,
    /// Where the weights came from that were judged.
    #[serde(default)]
    pub weights: Origin,
    /// Share of the training images whose labels were used.
    #[serde(default = "one")]
    pub fraction: f64,
    /// Number of images whose labels were used.
    #[serde(default)]
    pub labels: usize,
    /// Seed of the run.
    #[serde(default)]
    pub seed: u64,
    /// Scores on the test images.
    pub test: S,
    /// Bootstrap interval of the macro F1 on the test images, at 95 %; over groups where there are any.
    #[serde(default)]
    pub test_f1_macro_95: Option<Bounds>,
    /// Why there is no such interval, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_not_given: Option<String>,
    /// Scores of the mean probabilities of each group of test images, where there are groups.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub test_per_group: Option<S>,
    /// What images of a class weighed: `none`, `balanced` or `paper`; empty in files from before the choice.
    #[serde(default)]
    pub class_weights: String,
    /// Whether more training would have changed nothing that is measured; unknown in files from before it was said.
    #[serde(default)]
    pub converged: Option<bool>,
    /// What a reader of the score should know, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Scores on the validation images.
    #[serde(default = "Option::default")]
    pub val: Option<S>,
    /// Names of the classes without a labelled image.
    #[serde(default)]
    pub unseen_classes: Vec<String>,
    /// What probes of its mode alone say.
    #[serde(flatten)]
    pub readings: ProbeReadings,
    /// What every run says.
    #[serde(flatten)]
    pub common: Common,
}

/// What a probe says that not every mode has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeReadings {
    /// Reading of the frozen features of the test images; none of a network that was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse: Option<Collapse>,
    /// Images whose features were computed and not taken from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features_computed: Option<usize>,
    /// Seconds until all features were there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features_seconds: Option<f64>,
    /// Seconds of the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit_seconds: Option<f64>,
    /// The epochs of the training, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<Vec<ProbeEpoch>>,
    /// The epoch, from 0, whose weights were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// SHA-256 of the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_sha256: Option<String>,
    /// What thresholds chosen on the validation images would give; of several labels an image only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Tuned>,
    /// How many neighbours voted; of mode `knn` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<Neighbours>,
    /// How strong the penalty was; of mode `logistic` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logistic: Option<Penalty>,
}

/// One epoch of a probe, as `log.jsonl` and `metrics.json` hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeEpoch {
    /// Number of the epoch, from 0.
    pub epoch: usize,
    /// Mean loss over the labelled images.
    #[serde(deserialize_with = "number")]
    pub train_loss: f64,
    /// Loss over the validation images; none where the stopping rule did not ask for it.
    pub val_loss: Option<f64>,
    /// Macro F1 over the validation images; none where the stopping rule did not ask for it.
    pub val_f1_macro: Option<f64>,
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end of the interval.
    #[serde(deserialize_with = "number")]
    pub low: f64,
    /// Upper end of the interval.
    #[serde(deserialize_with = "number")]
    pub high: f64,
}

/// Thresholds that suit the validation images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Threshold of each class.
    pub thresholds: BTreeMap<String, f64>,
    /// Macro F1 on the test images with them.
    #[serde(deserialize_with = "number")]
    pub test_f1_macro: f64,
}

/// How many neighbours voted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// The number that was best on the labelled images.
    pub k: usize,
    /// What each number gave.
    pub tried: BTreeMap<String, NeighboursTried>,
}

/// What a number of neighbours gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the definition")]
pub struct NeighboursTried {
    /// On the labelled images, each left out in turn.
    #[serde(deserialize_with = "number")]
    pub train_f1_macro: f64,
    #[serde(deserialize_with = "number")]
    pub train_accuracy: f64,
    #[serde(deserialize_with = "number")]
    pub test_f1_macro: f64,
    #[serde(deserialize_with = "number")]
    pub test_accuracy: f64,
}

/// How strong the penalty of a logistic regression was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Penalty {
    /// Inverse strength, `C` of scikit-learn, with the best macro F1 on the validation images.
    pub c: f64,
    /// Whether it was fitted again to training and validation images together.
    pub refit: bool,
    /// What each strength gave, rising.
    pub tried: Vec<PenaltyTried>,
}

/// What one strength of the penalty gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PenaltyTried {
    /// Inverse strength, `C` of scikit-learn.
    pub c: f64,
    /// Macro F1 on the validation images.
    #[serde(deserialize_with = "number")]
    pub val_f1_macro: f64,
    /// Whether the fit reached its tolerance.
    pub converged: bool,
    /// Times that loss and gradient were computed.
    pub evaluations: usize,
}

fn one() -> f64 {
    1.0
}
