//! Tables of the report, for spreadsheets.

use super::Report;
use anyhow::{Context, Result};

/// A line a run.
pub fn results(report: &Report) -> Result<Vec<u8>> {
    let head = [
        "arm",
        "start",
        "downstream",
        "percent",
        "seed",
        "labels",
        "test_f1_macro",
        "val_f1_macro",
        "converged",
    ];
    let rows = report.found.cells.iter().flat_map(|cell| {
        cell.runs.iter().map(|run| {
            [
                cell.arm.to_string(),
                cell.method.to_string(),
                cell.downstream.name().to_owned(),
                cell.percent.to_string(),
                run.seed.to_string(),
                run.labels.to_string(),
                run.f1.to_string(),
                run.val_f1.to_string(),
                run.converged.to_string(),
            ]
        })
    });
    table(&head, rows)
}

/// A line a comparison.
pub fn verdicts(report: &Report) -> Result<Vec<u8>> {
    let head = [
        "arm",
        "network",
        "downstream",
        "percent",
        "without",
        "with",
        "difference",
        "low",
        "high",
        "seeds",
        "images",
        "groups",
        "decided",
        "converged",
    ];
    let rows = report.verdicts.iter().map(|v| {
        [
            v.arm.to_string(),
            v.network.clone(),
            v.downstream.name().to_owned(),
            v.percent.to_string(),
            v.without.to_string(),
            v.with.to_string(),
            v.difference.to_string(),
            v.low.to_string(),
            v.high.to_string(),
            v.seeds.to_string(),
            v.images.to_string(),
            v.groups.map_or(String::new(), |groups| groups.to_string()),
            v.decided.to_string(),
            v.converged.to_string(),
        ]
    });
    table(&head, rows)
}

fn table<const N: usize>(
    head: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(head)?;
    for row in rows {
        writer.write_record(&row)?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error())
        .context("a table cannot be made")
}
