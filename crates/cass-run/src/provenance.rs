use crate::metrics::Origin;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a result came from, next to its recipe: `provenance.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// What is known of the program, such as its `commit`.
    pub program: BTreeMap<String, String>,
    /// Architecture and system, such as `x86_64-linux`.
    pub target: String,
    /// Where it was computed: `cpu` or `cuda:N`.
    pub device: String,
    /// Number of worker threads.
    pub threads: usize,
    /// SHA-256 of the data's manifest.
    pub manifest: String,
    /// Where each arm's initial weights came from.
    pub weights: BTreeMap<String, Origin>,
    /// Every attempt at the run that led to the result.
    pub attempts: Vec<Attempt>,
}

/// One process that worked at a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Name of the computer.
    pub host: String,
    /// Number of the process there.
    pub pid: u32,
    /// Which owner of the folder it was, from 1.
    pub owner: u64,
    /// Steps that those before it had done.
    pub from_step: u64,
}
