//! The planner, and the seam to whatever runs its plan.
//!
//! Three parts know of each other only what stands here and on disk:
//!
//! * The **planner** ([`Job::plan`]) turns tables, profile, protocol, seeds and images into a [`Plan`]: every
//!   distinct [`Run`] once, each after the one it [needs](Run::needs). A run is one start of `cass`. Its name ends
//!   in the hash of all that decides it (arguments, images, the run it starts from), so the same cell of two
//!   tables, or of two jobs, is the same run in the same folder, and any change of a setting is another run.
//! * An **executor** ([`Executor`](crate::executor::Executor)) takes a plan to where every run folder is finished
//!   or has failed. It may start runs in any order that respects `needs`, anywhere that sees the out folder, more
//!   than once (a finished run is not repeated, a broken one resumes), and needs nothing but the `cass` binary:
//!   [`Site::command`](crate::executor::Site::command) is a run's whole command line. [`write_plan`](crate::store::write_plan) leaves
//!   `plan.json` in the out folder with one such line an entry, so that entry `i` can be started by a process that
//!   knows the file and `i` alone.
//! * The **gatherer** reads run folders (`run.json` noted before the run, `metrics.json` written last by it) and
//!   never asks who ran them.

mod costs;
mod downstream;
mod facts;
mod job;
mod profile;
mod schedule;

pub use costs::{Costs, Estimate, TRAIN};
pub use downstream::{Downstream, Protocol};
pub use facts::Facts;
pub use job::{Job, Recipe};
pub use profile::{Cost, DefaultDownstream, Phantom, Profile};
pub use schedule::{Schedule, critical_path, schedule};

use crate::networks::Network;
use crate::table::{Arm, DataSet, Method};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One start of `cass`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Folder name: readable, and ending in the hash of what decides the run.
    pub name: String,
    /// Runs of a kind may go into one job array: they differ in their arguments alone.
    pub kind: Kind,
    pub data: DataSet,
    pub method: Method,
    /// What it trains or probes: CASS trains both arms at once, all else has one.
    pub networks: BTreeMap<Arm, Network>,
    /// What its method is called where a table gave it other settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What is not the profile's standard, for people.
    pub variant: String,
    /// Share of the images it pretrains on, or of the labels it probes with.
    pub percent: u32,
    /// What a probe trains on the labels; none of a pretraining.
    pub downstream: Option<Downstream>,
    pub seed: u64,
    /// `cass`'s arguments but for paths, device and threads, which decide no result.
    pub recipe: Vec<String>,
    /// The pretraining whose weights it starts from.
    pub needs: Option<String>,
    /// What it will take, by the profile's cost model.
    pub estimate: Estimate,
}

impl Run {
    /// Whether both are the same run, whatever was expected of it.
    pub fn is(&self, other: &Run) -> bool {
        (&self.name, &self.recipe, &self.needs) == (&other.name, &other.recipe, &other.needs)
    }
}

/// The subcommand of `cass` that a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Pretrain,
    Probe,
}

/// Every run of a job, each after what it needs. Nothing stands there twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub runs: Vec<Run>,
}

impl Plan {
    /// The runs whose names contain `text`, and what they need.
    pub fn only(self, text: &str) -> Result<Plan> {
        let mut keep: BTreeSet<String> = BTreeSet::new();
        for run in self.runs.iter().filter(|run| run.name.contains(text)) {
            keep.extend(run.needs.clone());
            keep.insert(run.name.clone());
        }
        ensure!(
            !keep.is_empty(),
            "no run has a name that contains `{text}`: see --dry-run for the names"
        );
        let mut runs = self.runs;
        runs.retain(|run| keep.contains(&run.name));
        Ok(Plan { runs })
    }
}

/// Eight hexadecimal digits of SHA-256: enough to tell some thousands of runs apart, short enough for a name.
pub fn short_hash(text: &str) -> String {
    cass_run::sha256(text)[..8].to_owned()
}

/// A run that takes so many seconds, for tests of what happens to runs.
#[cfg(test)]
pub fn test_run(name: &str, needs: Option<&str>, seconds: f64) -> Run {
    let kind = if needs.is_none() { "pretrain" } else { "probe" };
    let mut run: Run = serde_json::from_value(serde_json::json!({
        "name": name, "kind": kind, "data": "brain-mri", "method": "CASS", "networks": {},
        "variant": "", "percent": 100, "downstream": null, "seed": 0, "recipe": [kind], "needs": needs,
        "estimate": Estimate::default(),
    }))
    .unwrap();
    run.estimate.seconds = seconds;
    run
}
