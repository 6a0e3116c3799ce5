//! What manifests must say, and what must not follow from them.

use super::features::tree;
use crate::checkout::workspace;
use crate::cuda;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// Crates that link no tensor library, those that are there.
const CANDLE_FREE: [&str; 7] = [
    "cass-metrics",
    "cass-page",
    "cass-reproduce",
    "cass-rng",
    "cass-run",
    "cass-torture",
    "xtask",
];

/// Every crate inherits the workspace's lints and forwards the CUDA features.
pub fn check(member: &Path) -> Result<()> {
    let path = member.join("Cargo.toml");
    let failed = || format!("{} cannot be read", path.display());
    let text = fs::read_to_string(&path).with_context(failed)?;
    let mut manifest: toml::Table = toml::from_str(&text).with_context(failed)?;
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    ensure!(
        lints.and_then(toml::Value::as_bool) == Some(true),
        "{} does not inherit the lints: expected `[lints] workspace = true`",
        path.display()
    );
    // Where there is no Candle there is nothing to forward to.
    let dependencies = manifest.get_mut("dependencies");
    if let Some(dependencies) = dependencies.and_then(toml::Value::as_table_mut) {
        dependencies.retain(|name, _| !CANDLE_FREE.contains(&name));
    }
    cuda::forwarded(&manifest).with_context(|| path.display().to_string())
}

/// Refuses a crate that links Candle though it only starts `cass` or judges predictions.
pub fn candle_free() -> Result<()> {
    for name in CANDLE_FREE {
        let there = name == "xtask" || workspace().join("crates").join(name).is_dir();
        if !there {
            continue;
        }
        let linked = tree(Some(name), "normal,build")?;
        let candle = linked.iter().find(|line| line.starts_with("candle"));
        ensure!(
            candle.is_none(),
            "{name} links {}",
            candle.map_or("", String::as_str)
        );
    }
    Ok(())
}
