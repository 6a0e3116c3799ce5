//! What is noted before anything runs: `plan.json` of a job, `run.json` of a run.

use super::files;
use crate::machine::Provenance;
use crate::plan::{Downstream, Facts, Plan, Profile, Protocol, Run};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `run.json`: all a report needs to know of a run besides its metrics.
#[derive(Clone, Serialize, Deserialize)]
pub struct Info {
    /// The tables it was started for; nothing where it was started for a study of one's own images.
    #[serde(flatten)]
    pub of: Option<OfTables>,
    /// The images of the run's data set.
    pub images: Facts,
    pub run: Run,
    pub provenance: Provenance,
    /// Seconds since 1970.
    pub started: u64,
}

/// What a job of tables notes of itself in the folders of its runs.
#[derive(Clone, Serialize, Deserialize)]
pub struct OfTables {
    /// The tables that were asked for when it was started.
    pub tables: Vec<String>,
    pub profile_name: String,
    pub profile: Profile,
    pub protocol: Protocol,
    /// What the job showed.
    pub downstream: Vec<Downstream>,
    /// Settings of every pretraining of the job, as `field=value`.
    #[serde(default)]
    pub set: Vec<String>,
}

/// An entry of `plan.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub run: Run,
    /// The run's folder.
    pub folder: PathBuf,
    /// The program and its arguments; working folder and environment do not matter.
    pub command: Vec<String>,
}

/// The name of `plan.json` in the out folder.
pub const PLAN: &str = "plan.json";

/// Writes `plan.json`: a list of [`Entry`].
pub fn write_plan(out: &Path, plan: &Plan, command: impl Fn(&Run) -> Vec<String>) -> Result<()> {
    let entry = |run: &Run| Entry {
        run: run.clone(),
        folder: folder(out, &run.name),
        command: command(run),
    };
    let entries: Vec<Entry> = plan.runs.iter().map(entry).collect();
    files::write(&out.join(PLAN), &serde_json::to_vec_pretty(&entries)?)
}

/// The folder of a run of a job.
pub fn folder(out: &Path, name: &str) -> PathBuf {
    out.join("runs").join(name)
}
