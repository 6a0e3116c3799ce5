use crate::collapse::Collapse;
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
    /// Features were looked at for collapse.
    Collapse {
        /// Before training, after it (both over the whole test set) or after an epoch (over a
        /// fixed sample of it).
        when: When,
        /// The epoch just ended; 0 before training.
        epoch: usize,
        /// Of which network.
        arm: String,
        /// Absent where features were not finite.
        #[serde(flatten)]
        reading: Option<Collapse>,
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
pub const WALL_CLOCK: [&str; 3] = ["seconds", "images_per_s", "peak_rss_mib"];

impl Event {
    /// Whether it is part of the run, and so of its log.
    pub fn is_logged(&self) -> bool {
        !matches!(self, Self::Resumed { .. } | Self::Warning { .. })
    }
}

/// When features were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// With the initial weights.
    Before,
    /// After an epoch.
    Epoch,
    /// With the final weights.
    After,
}
