use crate::collapse::Collapse;
use crate::features::Reading;
use serde::Serialize;
use std::collections::BTreeMap;

/// What happens in a run, as observers see it and as `log.jsonl` holds it.
///
/// [`WALL_CLOCK`] names the fields that a clock decides. All others are the same whenever and wherever
/// a recipe runs, and however often it is stopped: what happens to the process alone
/// ([`is_logged`](Event::is_logged)) reaches observers only.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Training is about to start.
    Start {
        /// `cass` or `dino`.
        method: String,
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
        /// Of which network.
        arm: String,
        /// Where they came from.
        text: String,
    },
    /// A step was taken.
    Step {
        /// From 0.
        epoch: usize,
        /// From 0, over the whole run.
        step: u64,
        /// Steps of the run.
        steps: u64,
        /// Before the step's update.
        loss: f64,
        /// Of each arm, as used.
        lr: BTreeMap<String, f64>,
        /// L2 norm of each arm's gradients, before any clipping.
        grad_norm: BTreeMap<String, f64>,
        /// Mean since the epoch's start, waiting for images included.
        images_per_s: f64,
    },
    /// An epoch ended and its checkpoints were written.
    Epoch {
        /// From 0.
        epoch: usize,
        /// Mean over the epoch's images.
        loss: f64,
        /// Of the epoch's steps.
        seconds: f64,
    },
    /// A network was looked at for collapse.
    Collapse {
        /// When, and over which images.
        when: When,
        /// The epoch just ended; 0 before training.
        epoch: usize,
        /// Of which network.
        arm: String,
        /// Of the features; absent where they were not finite.
        #[serde(flatten)]
        features: Option<Collapse>,
        /// Of the classifier's outputs.
        logits: Option<Collapse>,
        /// Share of the images whose nearest other image is of the same class; none without classes.
        neighbours: Option<f64>,
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
        /// Which network.
        arm: String,
        /// One line, in plain words.
        text: String,
    },
    /// The run is finished.
    Done {
        /// Of the whole run.
        seconds: f64,
    },
    /// An earlier attempt is gone on with.
    Resumed {
        /// Steps it had done.
        step: u64,
        /// Steps of the run.
        steps: u64,
    },
    /// Something is not as it should be, and the run goes on.
    Warning {
        /// One line.
        text: String,
    },
}

/// The keys that a clock or the system decides, wherever they stand in `log.jsonl` and
/// `metrics.json`. A run's seconds are those of all its attempts that led to the result.
pub const WALL_CLOCK: [&str; 5] = [
    "seconds",
    "fit_seconds",
    "features_seconds",
    "images_per_s",
    "peak_rss_mib",
];

impl Event {
    /// Whether it is part of the run, and so of its log.
    pub fn is_logged(&self) -> bool {
        !matches!(self, Self::Resumed { .. } | Self::Warning { .. })
    }
}

impl Event {
    /// What a network said of some images.
    pub(crate) fn of_reading(when: When, epoch: usize, arm: &str, reading: Reading) -> Self {
        Self::Collapse {
            when,
            epoch,
            arm: arm.into(),
            features: reading.features,
            logits: reading.logits,
            neighbours: reading.neighbours,
        }
    }
}

/// When networks were looked at, and over which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    pub(crate) fn is_of_sample(self) -> bool {
        matches!(self, Self::Start | Self::Epoch)
    }
}
