use super::{Common, Origin};
use crate::collapse::{BeforeAfter, Views};
use crate::schema::number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a finished pretraining measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "pretrain")]
pub struct PretrainMetrics {
    /// Name of the method, as `cass pretrain --method` has it: `cass`, `dino`, `vicreg` ...
    #[serde(default)]
    pub method: String,
    /// Name of each arm's network.
    #[serde(default)]
    pub arms: BTreeMap<String, String>,
    /// The epochs, in order.
    pub epochs: Vec<PretrainEpoch>,
    /// Readings of each arm's features of the test images.
    pub collapse: BTreeMap<String, BeforeAfter>,
    /// How alike each arm's network found two views of training images, at the start and in the end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub views: BTreeMap<String, BeforeAfter<Views>>,
    /// The epoch that each arm's network is of, where the best was kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, usize>,
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
    /// The most memory the process held on a GPU, if it computed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_gpu_mib: Option<u64>,
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
