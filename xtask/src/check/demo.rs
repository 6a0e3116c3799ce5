//! A main job at the least scale, and what it has to leave.

use crate::checkout::{succeed, workspace};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// Table 3 on a few small phantoms with one seed, and again, to see that it finds everything finished.
pub fn demo(cass: &Path) -> Result<()> {
    let out = workspace().join("target/check-demo");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("{} cannot be cleared", out.display()))?;
    }
    let program = env::current_exe().context("xtask itself cannot be found")?;
    let mut job = Command::new(program);
    job.env("CASS_BIN", cass).current_dir(workspace());
    job.args(["reproduce", "--table", "3", "--device", "cpu"]);
    job.args(["--profile", "xtask/src/check/quick.toml", "--out"]);
    job.arg(&out);
    succeed(&mut job)?;
    shape(&out)?;

    let runs = |out: &Path| -> Result<Vec<_>> {
        let entries = fs::read_dir(out.join("runs"))?.collect::<Result<Vec<_>, _>>()?;
        let written = entries.iter().map(|run| {
            let metrics = run.path().join("metrics.json");
            Ok((metrics.clone(), fs::metadata(&metrics)?.modified()?))
        });
        written.collect()
    };
    let before = runs(&out)?;
    let again = job.stdout(Stdio::null()).stderr(Stdio::null());
    succeed(again)?;
    ensure!(before == runs(&out)?, "a finished run was run again");
    // Some gigabytes of checkpoints, of no use to what follows. After a failure they stay, to be looked at.
    fs::remove_dir_all(&out).with_context(|| format!("{} cannot be cleared", out.display()))
}

/// Cells of table 3: five methods by the linear classifier, of two arms, with three shares of the labels; four by
/// each of the logistic regression, the nearest neighbours and fine-tuning.
const CELLS: usize = (5 + 4 * 3) * 2 * 3;

/// Every cell is there, computed; the report stands by itself.
fn shape(out: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = out.join(name);
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let results: Value =
        serde_json::from_str(&read("results.json")?).context("results.json cannot be read")?;
    let cells = results["cells"]
        .as_array()
        .context("results.json has no cells")?;
    ensure!(
        cells.len() == CELLS,
        "results.json has {} cells, expected {CELLS}",
        cells.len()
    );
    for cell in cells {
        let mean = cell["mean"]
            .as_f64()
            .with_context(|| format!("a cell has no mean: {cell}"))?;
        ensure!(
            (0.0..=1.0).contains(&mean),
            "a cell's mean is {mean}, expected 0 to 1"
        );
        ensure!(cell["n"] == 1, "a cell has n = {}, expected 1", cell["n"]);
    }
    let claims = results["claims"]
        .as_array()
        .context("results.json has no claims")?;
    ensure!(!claims.is_empty(), "results.json has no claims");
    let html = read("report.html")?;
    ensure!(
        html.contains("<svg") && html.contains("phantoms"),
        "report.html lacks its charts or its notice"
    );
    for foreign in ["<script", "http://", "https://", "src="] {
        ensure!(!html.contains(foreign), "report.html contains `{foreign}`");
    }
    ensure!(
        read("report.md")?.contains("phantoms"),
        "report.md lacks its notice"
    );
    let rows = read("results.csv")?.lines().count();
    ensure!(
        rows == 1 + 5 * CELLS,
        "results.csv has {rows} lines, expected {}",
        1 + 5 * CELLS
    );
    Ok(())
}
