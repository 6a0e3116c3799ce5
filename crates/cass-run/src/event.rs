//! `log.jsonl`: what happens in a run, one JSON object a line.

use crate::collapse::{Collapse, Views};
use crate::metrics::{PenaltyTried, ProbeEpoch};
use crate::schema::{number, numbers};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happens in a pretraining, as observers see it and as `log.jsonl` holds it.
///
/// [`WALL_CLOCK`] names the fields that a clock decides. All others are the same whenever and wherever
/// a recipe runs, and however often it is stopped: what happens to the process alone
/// ([`is_logged`](PretrainEvent::is_logged)) reaches observers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum PretrainEvent {
    /// Training is about to start.
    Start {
        /// Name of the method, as `cass pretrain --method` has it: `cass`, `dino`, `vicreg` ...
        method: String,
        /// Names of what the loss is the sum of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        losses: Vec<String>,
        /// Epochs of the run.
        epochs: usize,
        /// Steps of the run.
        steps: u64,
        /// Images an epoch.
        images: usize,
        /// `cpu` or `cuda:N`.
        device: String,
        /// SHA-256 of the data's manifest.
        manifest: String,
    },
    /// A network has its initial weights.
    Weights {
        /// Name of the network's arm.
        arm: String,
        /// Where they came from, for people.
        text: String,
    },
    /// A step was taken.
    Step {
        /// Number of the epoch, from 0.
        epoch: usize,
        /// Number of the step, from 0, over the whole run.
        step: u64,
        /// Steps of the run.
        steps: u64,
        /// Loss before the step's update.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// Learning rate of each arm, as used.
        #[serde(deserialize_with = "numbers")]
        lr: BTreeMap<String, f64>,
        /// L2 norm of each arm's gradients, before any clipping.
        #[serde(deserialize_with = "numbers")]
        grad_norm: BTreeMap<String, f64>,
        /// Images each second since the epoch's start, waiting for images included.
        #[serde(deserialize_with = "number")]
        images_per_s: f64,
    },
    /// An epoch ended and its checkpoints were written.
    Epoch {
        /// Number of the epoch, from 0.
        epoch: usize,
        /// Mean loss over the epoch's images.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// Seconds of the epoch's steps.
        seconds: f64,
    },
    /// A network was looked at for collapse.
    Collapse {
        /// When, and over which images.
        when: When,
        /// The epoch just ended; 0 before training.
        epoch: usize,
        /// Name of the network's arm.
        arm: String,
        /// Reading of the features; absent where they were not finite.
        #[serde(flatten)]
        features: Option<Collapse>,
        /// Reading of the classifier's outputs.
        logits: Option<Collapse>,
        /// Share of the images whose nearest other image is of the same class; none without classes.
        neighbours: Option<f64>,
        /// How alike it finds two views of training images; only at the start, after epochs and in the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        views: Option<Views>,
    },
    /// Two networks were compared on the same images.
    Agreement {
        /// When, and over which images.
        when: When,
        /// The epoch just ended; 0 before training.
        epoch: usize,
        /// Mean cosine of their logits of the same image, from -1 to 1.
        cosine: Option<f64>,
    },
    /// A network's features no longer tell images apart, though those of its initial weights did.
    Collapsed {
        /// The epoch just ended.
        epoch: usize,
        /// Name of the network's arm.
        arm: String,
        /// The warning as one line, in plain words.
        text: String,
    },
    /// The run is finished.
    Done {
        /// Seconds of the whole run.
        seconds: f64,
    },
    /// The run continues from where an earlier attempt ended.
    Resumed {
        /// Steps it had done.
        step: u64,
        /// Steps of the run.
        steps: u64,
    },
    /// Something is not as it should be, and the run continues.
    Warning {
        /// The text as one line.
        text: String,
    },
}

/// The keys that a clock or the system decides, wherever they stand in `log.jsonl` and
/// `metrics.json`, and the seal of the latter, which is of them too. A run's seconds are those of all
/// its attempts that led to the result.
pub const WALL_CLOCK: [&str; 7] = [
    "seconds",
    "fit_seconds",
    "features_seconds",
    "images_per_s",
    "peak_rss_mib",
    "peak_gpu_mib",
    "seal",
];

impl PretrainEvent {
    /// Whether it is part of the run, and so of its log.
    pub fn is_logged(&self) -> bool {
        !matches!(self, Self::Resumed { .. } | Self::Warning { .. })
    }
}

/// What happens in a probe, as observers see it and as `log.jsonl` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ProbeEvent {
    /// Data and network are ready.
    Start {
        /// How it probes: `linear`, `logistic`, `finetune` or `knn`.
        mode: String,
        /// Where the weights come from, for people.
        weights: String,
        /// Number of labelled images.
        labels: usize,
        /// Number of test images of each class.
        #[serde(default)]
        test: BTreeMap<String, usize>,
        /// Epochs at most.
        epochs: usize,
        /// Steps at most.
        steps: u64,
        /// SHA-256 of the data's manifest.
        manifest: String,
    },
    /// A step of fine-tuning was taken.
    Step {
        /// Number of the epoch, from 0.
        epoch: usize,
        /// Number of the step, from 0, over the whole training.
        step: u64,
        /// Steps at most.
        steps: u64,
        /// Loss before the step's update.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// Learning rate, as used.
        #[serde(deserialize_with = "number")]
        lr: f64,
        /// Images each second since the epoch's start.
        #[serde(deserialize_with = "number")]
        images_per_s: f64,
    },
    /// So many images have been through the network, of those whose features are computed.
    Computing {
        /// Images done.
        done: usize,
        /// Images in all.
        images: usize,
    },
    /// The features of the images that were not kept from an earlier probe have been computed.
    Features {
        /// Number of these images, over all attempts at the run.
        computed: usize,
    },
    /// An epoch ended.
    Epoch(ProbeEpoch),
    /// One strength of a logistic regression's penalty was fitted.
    Penalty(PenaltyTried),
    /// Something that a reader of the score should know.
    Warning {
        /// The text as one sentence.
        text: String,
    },
    /// The probe is finished.
    Done {
        /// Seconds of the whole probe.
        seconds: f64,
    },
    /// Something that this attempt met and that changes no result.
    Note {
        /// The text as one line.
        text: String,
    },
}

impl ProbeEvent {
    /// Whether it is part of the run, and so of its log.
    pub fn is_logged(&self) -> bool {
        !matches!(self, Self::Note { .. } | Self::Computing { .. })
    }
}

/// When networks were looked at, and over which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// With the initial weights, over the whole test set.
    Before,
    /// With the initial weights, over the images of [`When::Epoch`].
    Start,
    /// After an epoch, over a fixed sample of the test set.
    Epoch,
    /// With the final weights, over the whole test set.
    After,
}

impl When {
    /// Whether it was over the sample, so that readings can be compared from epoch to epoch.
    pub fn is_of_sample(self) -> bool {
        matches!(self, Self::Start | Self::Epoch)
    }
}
