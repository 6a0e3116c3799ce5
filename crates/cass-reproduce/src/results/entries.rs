//! `results.json`: every number in a report is here, and every number here is from a run.

use super::claims::Judged;
use crate::machine::Provenance;
use crate::networks::Network;
use crate::plan::{Downstream, Facts, Protocol};
use crate::table::{Arm, DataSet, Method};
use cass_run::{BeforeAfter, Collapse, PretrainEpoch, Skipped};
use serde::Serialize;
use std::collections::BTreeMap;

/// `results.json`.
#[derive(Serialize)]
pub struct Results {
    /// The number of the one table, `all`, or the numbers of some.
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
    pub seeds: Vec<u64>,
    /// What one sees, in at most three sentences.
    pub seen: Vec<String>,
    pub tables: Vec<TableEntry>,
    pub cells: Vec<Cell>,
    pub claims: Vec<Judged>,
    pub deviations: Vec<String>,
    pub chosen: Vec<String>,
    pub pretrainings: Vec<Pretraining>,
    pub features: Vec<Features>,
    pub runs: Vec<RunEntry>,
    pub skipped: Vec<Skipped>,
    pub data: BTreeMap<DataSet, Facts>,
    /// Example views, as PNG.
    #[serde(skip)]
    pub previews: BTreeMap<DataSet, Vec<u8>>,
    pub manifests: Vec<String>,
    /// What initial weights were read, with their hash.
    pub weights: Vec<String>,
    pub provenance: Vec<Provenance>,
    /// Work of all runs together.
    pub seconds: f64,
    /// Seconds times the threads of each run, where it ran on a CPU.
    pub core_seconds: f64,
}

/// A table's shape and what is said of it.
#[derive(Serialize)]
pub struct TableEntry {
    pub number: String,
    pub title: String,
    pub metric: String,
    pub metric_title: String,
    pub columns: Vec<String>,
    /// The paper's leading columns of each row.
    pub rows: Vec<Vec<String>>,
    /// The downstream steps it is shown for.
    pub downstream: Vec<Downstream>,
    pub contradictions: Vec<String>,
    /// Whether nothing in it is pretrained.
    #[serde(skip)]
    pub supervised: bool,
}

/// A mean over seeds next to the paper's.
#[derive(Clone, Serialize)]
pub struct Cell {
    pub table: String,
    pub row: String,
    pub column: String,
    #[serde(skip)]
    pub place: (usize, usize),
    pub downstream: Downstream,
    pub data: Option<DataSet>,
    pub method: String,
    pub arm: Option<Arm>,
    pub backbone: String,
    pub paper_backbone: String,
    #[serde(skip)]
    pub percent: u32,
    pub fraction: f64,
    pub metric: String,
    pub mean: Option<f64>,
    pub std: Option<f64>,
    pub n: usize,
    /// Score of each seed, in `seeds`' order.
    pub values: Vec<f64>,
    pub seeds: Vec<u64>,
    pub runs: Vec<String>,
    pub paper_mean: Option<f64>,
    pub paper_std: Option<f64>,
    /// The paper's cell as printed, `**` for bold.
    pub paper_printed: Option<String>,
    /// Ours minus the paper's.
    pub delta: Option<f64>,
    /// Whether the 95 % intervals of the two means do not overlap; absent where one has none.
    pub apart: Option<bool>,
    /// Seeds whose classifier had not converged.
    pub unconverged: usize,
    /// Means of the other scores.
    pub other: BTreeMap<&'static str, f64>,
    /// Sum of the confusion matrices over the seeds: true classes down, predicted ones across.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Why seeds are missing.
    pub missing: Vec<String>,
}

impl Pretraining {
    /// What the method is called: its label, where it has one.
    pub fn method_name(&self) -> String {
        self.label
            .clone()
            .unwrap_or_else(|| self.method.to_string())
    }
}

#[derive(Serialize)]
pub struct Pretraining {
    pub run: String,
    pub data: DataSet,
    pub method: Method,
    /// What it is called where a table gave it other settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub networks: BTreeMap<Arm, Network>,
    /// What is not the profile's standard.
    pub variant: String,
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
    pub seed: u64,
    pub reading: Collapse,
    pub collapsed: bool,
}

#[derive(Serialize)]
pub struct RunEntry {
    pub name: String,
    pub seconds: Option<f64>,
    /// Why it is not finished.
    pub missing: Option<String>,
    /// The end of its log, if it failed.
    pub log: Vec<String>,
}
