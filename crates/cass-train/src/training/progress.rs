//! How far a run is: all that a state holds but tensors.

use crate::features::ArmLook;
use cass_run::{Collapse, PretrainEpoch};
use serde::{Deserialize, Serialize};

/// The format of states; another one cannot be read.
const FORMAT: u32 = 1;

/// One reading an arm, in the arms' order.
pub(super) type Readings = Vec<(String, Option<Collapse>)>;

/// How far a run is. All randomness is named by epoch, batch and sample, so that the number of
/// steps says where every generator stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    format: Format,
    /// Hash of the images' manifest.
    pub(super) manifest: String,
    /// Steps done. After an epoch's last step, all that ends an epoch is done too.
    pub(super) step: u64,
    /// The epoch that has begun.
    pub(super) epoch: EpochSoFar,
    /// The epochs that ended.
    pub(super) epochs: Vec<PretrainEpoch>,
    /// Number of moments counted into the averages.
    pub(super) averaged: u64,
    /// Collapse of the initial weights.
    pub(super) before: Readings,
    /// What each arm's initial weights said of the sample of images.
    pub(super) start: Vec<ArmLook>,
    /// Whether the last epoch that ended has yet to be looked at: its look was left in its middle.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unwatched: bool,
    /// What was said of the first arm whose features had collapsed when the last epoch ended.
    pub(super) collapsed: Option<String>,
    /// Arms of which was said that training makes their features worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) worse: Vec<String>,
    /// When each arm's network was the best, where these are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) best: Vec<Moment>,
    /// Images trained on, repeats included.
    pub(super) images: u64,
    /// Seconds spent in steps, of epochs that ended.
    pub(super) train_seconds: f64,
    /// Seconds spent in all.
    pub(super) seconds: f64,
    /// Length of the log.
    pub(super) log_bytes: u64,
    /// Length of TensorBoard's file.
    pub(super) board_bytes: u64,
}

/// The end of an epoch, and how a network was then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Moment {
    pub(super) epoch: usize,
    /// That of [`ArmLook::views`]; the least number for none.
    pub(super) invariance: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct EpochSoFar {
    pub(super) images: u64,
    /// Each image's loss once.
    pub(super) loss_sum: f64,
    pub(super) seconds: f64,
}

impl Progress {
    pub(super) fn new(manifest: String) -> Self {
        Self {
            format: Format,
            manifest,
            step: 0,
            epoch: EpochSoFar::default(),
            epochs: Vec::new(),
            averaged: 0,
            before: Vec::new(),
            start: Vec::new(),
            unwatched: false,
            collapsed: None,
            worse: Vec::new(),
            best: Vec::new(),
            images: 0,
            train_seconds: 0.0,
            seconds: 0.0,
            log_bytes: 0,
            board_bytes: 0,
        }
    }
}

/// A number that has to be [`FORMAT`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Format;

impl From<Format> for u32 {
    fn from(_: Format) -> Self {
        FORMAT
    }
}

impl TryFrom<u32> for Format {
    type Error = String;

    fn try_from(format: u32) -> Result<Self, String> {
        let right = (format == FORMAT).then_some(Self);
        right.ok_or_else(|| format!("format {format}, expected {FORMAT}"))
    }
}
