//! `results.json`: every number in a report is here, and every number here is from a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::claims::Judged;
use crate::folder::{BeforeAfter, PretrainEpoch, Reading, Skipped};
use crate::machine::Provenance;
use crate::plan::{Downstream, Protocol};
use crate::table::{Arm, CellId, Method};

/// `results.json`.
#[derive(Serialize)]
pub struct Results {
    pub table: String,
    pub title: String,
    pub profile: String,
    pub summary: String,
    /// The images were drawn, not taken of patients.
    pub phantoms: bool,
    pub protocol: Protocol,
    /// The downstream step that `claims` are judged on.
    pub headline: Downstream,
    pub downstream: Vec<Downstream>,
    pub metric_title: String,
    pub seeds: Vec<u64>,
    pub cells: Vec<Cell>,
    pub claims: Vec<Judged>,
    pub contradictions: Vec<String>,
    pub deviations: Vec<String>,
    pub chosen: Vec<String>,
    pub pretrainings: Vec<Pretraining>,
    pub features: Vec<Features>,
    pub runs: Vec<RunEntry>,
    pub skipped: Vec<Skipped>,
    pub manifests: Vec<String>,
    pub provenance: Vec<Provenance>,
    /// Work of all runs together.
    pub seconds: f64,
}

/// A mean over seeds beside the paper's.
#[derive(Serialize)]
pub struct Cell {
    pub downstream: Downstream,
    pub method: Method,
    pub arm: Arm,
    pub backbone: String,
    pub paper_backbone: String,
    #[serde(skip)]
    pub percent: u32,
    pub fraction: f64,
    pub metric: String,
    pub mean: Option<f64>,
    pub std: Option<f64>,
    pub n: usize,
    /// By seed, in `seeds`' order.
    pub values: Vec<f64>,
    pub seeds: Vec<u64>,
    pub runs: Vec<String>,
    pub paper_mean: Option<f64>,
    pub paper_std: Option<f64>,
    /// As printed, `**` for bold.
    pub paper_printed: Option<String>,
    /// Ours minus the paper's.
    pub delta: Option<f64>,
    /// Means of the other scores.
    pub other: BTreeMap<&'static str, f64>,
    /// Why seeds are missing.
    pub missing: Vec<String>,
}

#[derive(Serialize)]
pub struct Pretraining {
    pub run: String,
    pub method: Method,
    /// DINO trains one arm a run.
    pub arm: Option<Arm>,
    pub percent: u32,
    pub seed: u64,
    pub epochs: Vec<PretrainEpoch>,
    pub collapse: BTreeMap<Arm, BeforeAfter>,
    pub collapsed: bool,
    pub seconds: f64,
}

/// A collapse reading over the test set, of the features a linear probe saw.
#[derive(Serialize)]
pub struct Features {
    pub run: String,
    pub cell: CellId,
    pub seed: u64,
    pub reading: Reading,
    pub collapsed: bool,
}

#[derive(Serialize)]
pub struct RunEntry {
    pub name: String,
    pub seconds: Option<f64>,
    /// Why it is not finished.
    pub missing: Option<String>,
}
