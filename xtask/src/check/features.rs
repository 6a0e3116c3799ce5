//! Which crates get other features by themselves than in the workspace.

use super::name;
use crate::checkout::cargo;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Crates whose dependencies have other features where the crate is built alone: there something may be missing that
/// others ask for.
pub fn differing(members: &[PathBuf]) -> Result<Vec<String>> {
    let edges = "normal,build";
    let whole = tree(None, edges)?;
    let alone = |member: &Path| -> Result<Option<String>> {
        let name = name(member);
        let same = tree(Some(&name), edges)?.is_subset(&whole);
        Ok((!same).then_some(name))
    };
    members
        .iter()
        .filter_map(|member| alone(member).transpose())
        .collect()
}

/// `name version feature,feature` of all that a crate, or the workspace, depends on.
pub fn tree(package: Option<&str>, edges: &str) -> Result<BTreeSet<String>> {
    let mut command = cargo();
    command.args([
        "tree", "--locked", "--prefix", "none", "--format", "{p} {f}", "--edges", edges,
    ]);
    match package {
        Some(name) => command.args(["--package", name]),
        None => command.arg("--workspace"),
    };
    let output = command.output().context("cargo cannot be started")?;
    ensure!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)"));
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}
