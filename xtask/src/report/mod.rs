//! A job's results for readers: `report.html`, `report.md`, `results.csv`, and for programs `results.json`.

mod charts;
mod csv;
mod html;
mod markdown;

use std::path::Path;

use anyhow::Result;

use crate::folder::{self, Reading};
use crate::results::{Cell, Results};
use crate::table::Method;

/// Writes the four files into `out`.
pub fn write(results: &Results, out: &Path) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(results)?;
    json.push(b'\n');
    folder::write(&out.join("results.json"), &json)?;
    folder::write(&out.join("results.csv"), &csv::csv(results)?)?;
    folder::write(&out.join("report.md"), markdown::report(results).as_bytes())?;
    folder::write(&out.join("report.html"), html::report(results).as_bytes())
}

pub use markdown::summary;

/// The first thing a reader must know of a report, or nothing where the profile is the paper's.
fn notice(results: &Results) -> Option<&'static str> {
    if results.phantoms {
        Some(
            "These images are drawn phantoms, not patients: this shows that the whole job runs, and is no \
             reproduction. The paper's numbers stand beside ours for their layout only; the verdicts concern \
             this run alone.",
        )
    } else if results.profile != "paper" {
        Some(
            "This is not the paper's scale: the differences are listed below, and the verdicts concern this \
             run alone.",
        )
    } else {
        None
    }
}

/// The rows of a table: every method of one arm, in the order of the cells.
fn rows(cells: &[Cell]) -> Vec<&[Cell]> {
    cells
        .chunk_by(|a, b| (a.downstream, a.arm, a.method) == (b.downstream, b.arm, b.method))
        .collect()
}

fn method_title(method: Method) -> &'static str {
    match method {
        Method::Untrained => "As initialised",
        Method::Dino => "DINO",
        Method::Cass => "CASS",
        Method::Supervised => "Supervised",
    }
}

/// `0.5521`, or a dash.
fn score(value: Option<f64>) -> String {
    value.map_or("—".to_owned(), |value| format!("{value:.4}"))
}

/// `+0.0123` with a real minus sign.
fn signed(value: f64) -> String {
    format!("{value:+.4}").replace('-', "−")
}

fn percent(percent: u32) -> String {
    format!("{percent} %")
}

/// `mean cosine 0.993, effective rank 1.2`.
fn reading(reading: Reading) -> (String, String) {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or("not a number".to_owned(), |value| {
            format!("{value:.digits$}")
        })
    };
    (
        number(reading.mean_cosine, 3),
        number(reading.effective_rank, 1),
    )
}

/// Where the collapse thresholds are explained.
fn collapse_rule() -> String {
    format!(
        "Features of the test images. Collapsed: effective rank below {} or mean pairwise cosine above {}.",
        Reading::LEAST_RANK,
        Reading::MOST_COSINE
    )
}

/// How verdicts come about.
const VERDICT_RULE: &str = "A claim held if every comparison in it did: the 95 % interval (Student's t) of the \
    difference paired over seeds lies above zero; it did not hold if one lies below; else it is undecided.";
