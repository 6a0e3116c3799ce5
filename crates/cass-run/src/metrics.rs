//! `metrics.json`: what a run measured, written last.

use crate::collapse::{BeforeAfter, Collapse};
use crate::error;
use crate::names::METRICS;
use crate::schema::{self, SCHEMA, number};
use crate::sums::FileSums;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// What a finished run of either kind measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "one a run")]
pub enum Metrics {
    /// A pretraining, without labels.
    Pretrain(PretrainMetrics),
    /// A probe, with labels.
    Probe(ProbeMetrics),
}

/// What a finished pretraining measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "pretrain")]
pub struct PretrainMetrics {
    /// Name of the method: `cass` or `dino`.
    #[serde(default)]
    pub method: String,
    /// Name of each arm's network.
    #[serde(default)]
    pub arms: BTreeMap<String, String>,
    /// The epochs, in order.
    pub epochs: Vec<PretrainEpoch>,
    /// Readings of each arm's features of the test images.
    pub collapse: BTreeMap<String, BeforeAfter>,
    /// Images trained on, repeats included.
    #[serde(default)]
    pub images: u64,
    /// Steps taken.
    #[serde(default)]
    pub steps: u64,
    /// Images trained on each second, over the steps alone.
    #[serde(default, deserialize_with = "number")]
    pub images_per_s: f64,
    /// The most memory the process held, where the system tells.
    #[serde(default)]
    pub peak_rss_mib: Option<u64>,
    /// Where each arm's initial weights came from.
    #[serde(default)]
    pub weights: BTreeMap<String, Origin>,
    /// What every run says.
    #[serde(flatten)]
    pub common: Common,
}

/// One epoch of a pretraining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainEpoch {
    /// Number of the epoch, from 0.
    pub epoch: usize,
    /// Mean loss over the epoch's images.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Seconds of the epoch's steps.
    #[serde(default)]
    pub seconds: f64,
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

/// What every finished run says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// Schema of the file, [`SCHEMA`] when written now; 0 where it says none.
    #[serde(default)]
    pub schema: u32,
    /// Seconds of all attempts that led to the result.
    pub seconds: f64,
    /// Where it was computed: `cpu` or `cuda:N`.
    #[serde(default)]
    pub device: String,
    /// Number of worker threads.
    #[serde(default)]
    pub threads: usize,
    /// SHA-256 of the data's manifest; empty where it is unknown.
    #[serde(default)]
    pub manifest: String,
    /// Images that were left out.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// What differs from the paper's settings, as `field = value (paper: value)`.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// What the paper leaves open and was chosen, one sentence each.
    #[serde(default)]
    pub chosen: Vec<String>,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
    /// What the run's other files were when it finished; empty where an earlier version left it.
    #[serde(default, skip_serializing_if = "FileSums::is_empty")]
    pub files: FileSums,
}

/// An image that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// The image.
    pub file: String,
    /// Why it could not be used.
    pub reason: String,
}

impl Skipped {
    /// An image that was left out, and why.
    pub fn new(file: &Path, reason: &str) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            reason: reason.into(),
        }
    }
}

/// Where weights came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OriginForm")]
pub struct Origin {
    /// `random`, a file, or `hub:OWNER/NAME@REVISION`.
    pub source: String,
    /// Repository of the Hub, `OWNER/NAME`, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Commit of the repository, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of the file, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// An origin as it may be written: early folders have a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum OriginForm {
    Text(String),
    Fields {
        #[serde(default)]
        source: String,
        repo: Option<String>,
        revision: Option<String>,
        sha256: Option<String>,
    },
}

impl From<OriginForm> for Origin {
    fn from(form: OriginForm) -> Self {
        match form {
            OriginForm::Text(source) => Self {
                source,
                ..Self::default()
            },
            OriginForm::Fields {
                source,
                repo,
                revision,
                sha256,
            } => Self {
                source,
                repo,
                revision,
                sha256,
            },
        }
    }
}

/// Scores of a classifier on a part of the images, as far as readers of finished runs need them; each
/// is none where it is not defined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the definition")]
pub struct Scores {
    pub accuracy: Option<f64>,
    pub balanced_accuracy: Option<f64>,
    pub f1_macro: Option<f64>,
    pub f1_micro: Option<f64>,
    pub f1_weighted: Option<f64>,
    /// Macro F1 as the published notebooks count it; under their protocol alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f1_notebook: Option<f64>,
    /// One entry a class, in the order of the classes.
    pub per_class: Vec<ClassScores>,
    /// A row a true class, a column a predicted class; none of several labels an image.
    #[serde(deserialize_with = "matrix")]
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// Scores of one class against the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassScores {
    /// Name of the class.
    pub class: String,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Images of the class.
    pub support: u64,
}

/// A matrix; of several labels an image there is one a class, which nobody reads.
fn matrix<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Vec<u64>>>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Its lower end.
    #[serde(deserialize_with = "number")]
    pub low: f64,
    /// Its upper end.
    #[serde(deserialize_with = "number")]
    pub high: f64,
}

/// Thresholds that suit the validation images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// One a class.
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

fn one() -> f64 {
    1.0
}

impl Metrics {
    /// Reads what the run of a folder measured; `None` where it is not finished.
    ///
    /// # Errors
    /// If the file is there but cannot be read, is damaged, or is of a newer schema.
    pub fn read(folder: &Path) -> error::Result<Option<Self>> {
        schema::read(&folder.join(METRICS))
    }

    /// What both kinds say.
    pub fn common(&self) -> &Common {
        match self {
            Self::Pretrain(metrics) => &metrics.common,
            Self::Probe(metrics) => &metrics.common,
        }
    }

    /// Where the weights came from: of each arm, or of the network that was probed.
    pub fn origins(&self) -> Vec<&Origin> {
        match self {
            Self::Pretrain(metrics) => metrics.weights.values().collect(),
            Self::Probe(metrics) => vec![&metrics.weights],
        }
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pretrain(metrics) => metrics.serialize(to),
            Self::Probe(metrics) => metrics.serialize(to),
        }
    }
}

impl Common {
    /// What a run of the present schema says; the rest is to be filled in.
    pub fn new(seconds: f64) -> Self {
        Self {
            schema: SCHEMA,
            seconds,
            ..Self::default()
        }
    }
}

impl Scores {
    /// Names that [`Scores::get`] knows.
    pub const NAMES: [&'static str; 6] = [
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "accuracy",
        "balanced_accuracy",
        "f1_notebook",
    ];

    /// A score by its key in `metrics.json`.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "f1_macro" => self.f1_macro,
            "f1_micro" => self.f1_micro,
            "f1_weighted" => self.f1_weighted,
            "accuracy" => self.accuracy,
            "balanced_accuracy" => self.balanced_accuracy,
            "f1_notebook" => self.f1_notebook,
            _ => None,
        }
    }

    /// Names of the classes, in order.
    pub fn classes(&self) -> Vec<String> {
        self.per_class.iter().map(|c| c.class.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a version without a schema wrote it.
    const OLD: &str = r#"{"kind": "pretrain", "epochs": [{"epoch": 0, "loss": null}], "seconds": 1.5,
        "collapse": {"cnn": {"before": null, "after": null}}, "weights": {"cnn": "random"}}"#;

    #[test]
    fn an_older_folder_is_read_and_says_what_it_says() {
        let Metrics::Pretrain(old) = serde_json::from_str(OLD).unwrap() else {
            panic!("its kind is pretrain");
        };
        assert!(old.epochs[0].loss.is_nan());
        assert_eq!((old.common.schema, old.common.seconds), (0, 1.5));
        assert_eq!(old.weights["cnn"].source, "random");
        assert!(Collapse::is_total_in(old.collapse["cnn"].after));
        let written = serde_json::to_value(Metrics::Pretrain(old)).unwrap();
        assert_eq!(written["kind"], "pretrain");
        assert!(written["epochs"][0]["loss"].is_null());
    }

    #[test]
    fn several_labels_an_image_have_scores_and_no_matrix() {
        let read = |confusion: &str| {
            let text = format!("{{\"f1_macro\":0.5,\"confusion\":{confusion}}}");
            serde_json::from_str::<Scores>(&text).unwrap()
        };
        let one = Some(vec![vec![3, 1], vec![0, 4]]);
        assert_eq!(read("[[3,1],[0,4]]").confusion, one);
        let several = read("[[[0,13],[0,7]],[[11,0],[9,0]]]");
        assert_eq!((several.f1_macro, several.confusion), (Some(0.5), None));
    }
}
