use serde::Serialize;

/// What happens in a probe, as observers see it and as `log.jsonl` holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Data and network are ready.
    Start {
        /// `linear` or `finetune`.
        mode: super::ProbeMode,
        /// Where the weights come from, for people.
        weights: String,
        /// Labelled images.
        labels: usize,
        /// Epochs at most.
        epochs: usize,
        /// Steps at most.
        steps: u64,
        /// SHA-256 of the data's manifest.
        manifest: String,
    },
    /// A step of fine-tuning was taken.
    Step {
        /// From 0.
        epoch: usize,
        /// From 0, over the whole training.
        step: u64,
        /// Steps at most.
        steps: u64,
        /// Before the step's update.
        loss: f64,
        /// As used.
        lr: f64,
        /// Mean since the epoch's start.
        images_per_s: f64,
    },
    /// An epoch ended.
    Epoch(Epoch),
    /// The probe is finished.
    Done {
        /// Of the whole probe.
        seconds: f64,
    },
}

/// What one epoch gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Epoch {
    /// From 0.
    pub epoch: usize,
    /// Mean over the labelled images.
    pub train_loss: f64,
    /// Over the validation images; absent where the stopping rule did not ask for them.
    pub val_loss: Option<f64>,
    /// As `val_loss`.
    pub val_f1_macro: Option<f64>,
}
