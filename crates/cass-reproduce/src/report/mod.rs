//! A job's results for readers: `report.html`, `report.md`, `results.csv`, a picture of each table, and for programs `results.json`.

mod csv;
mod html;
mod markdown;
mod terminal;

use crate::plan::Downstream;
use crate::results::{Cell, Pretraining, Results, TableEntry};
use crate::store;
use crate::units::duration;
use anyhow::Result;
use cass_run::Collapse;
use std::path::Path;

/// Writes the four files into `out`, and `table-N.svg` of each table that has scores.
pub fn write(results: &Results, out: &Path) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(results)?;
    json.push(b'\n');
    store::write(&out.join("results.json"), &json)?;
    store::write(&out.join("results.csv"), &csv::csv(results)?)?;
    store::write(&out.join("report.md"), markdown::report(results).as_bytes())?;
    for table in &results.tables {
        if let Some(svg) = html::picture(results, table) {
            let name = format!("table-{}.svg", file_name(&table.number));
            store::write(&out.join(name), svg.as_bytes())?;
        }
    }
    store::write(&out.join("report.html"), html::report(results).as_bytes())
}

pub use terminal::{claims, summary};

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

/// A table's number as a part of a file's name.
fn file_name(number: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
    number.chars().map(plain).collect()
}

/// `Table 3: Brain tumour MRI`, or what several are together.
fn title(results: &Results) -> String {
    match results.tables.as_slice() {
        [table] => format!("{}: {}", table_name(&table.number), table.title),
        _ => results.title.clone(),
    }
}

fn table_name(number: &str) -> String {
    if number.starts_with(|c: char| c.is_ascii_digit()) {
        format!("Table {number}")
    } else {
        format!("Table without number ({number})")
    }
}

/// The rows of a table in one downstream step; a row that is not shown there is left out.
fn rows<'a>(
    results: &'a Results,
    table: &TableEntry,
    downstream: Downstream,
) -> Vec<Vec<&'a Cell>> {
    let mut rows: Vec<Vec<&Cell>> = Vec::new();
    for cell in &results.cells {
        if cell.table != table.number || cell.downstream != downstream {
            continue;
        }
        match rows.last_mut() {
            Some(row) if row[0].place.0 == cell.place.0 => row.push(cell),
            _ => rows.push(vec![cell]),
        }
    }
    rows
}

/// A part of a table: a downstream step, and those whose cells stand in further columns next to its own.
struct Section {
    downstream: Downstream,
    beside: Vec<Downstream>,
}

/// What is ours alone stands next to the paper's probe, where there is one.
fn sections(table: &TableEntry) -> Vec<Section> {
    let linear = table.downstream.contains(&Downstream::Linear);
    let is_beside = |one: &Downstream| linear && !one.is_papers();
    let of = table.downstream.iter().filter(|one| !is_beside(one));
    of.map(|&downstream| Section {
        downstream,
        beside: match downstream {
            Downstream::Linear => table.downstream.iter().copied().filter(is_beside).collect(),
            _ => Vec::new(),
        },
    })
    .collect()
}

/// A cell's columns: itself, and the same under the steps next to it. Times have no other.
fn across<'a>(results: &'a Results, cell: &'a Cell, section: &Section) -> Vec<Option<&'a Cell>> {
    let other = |downstream: &Downstream| {
        results.cells.iter().find(|other| {
            (&other.table, other.place, other.downstream) == (&cell.table, cell.place, *downstream)
        })
    };
    let beside = section.beside.iter().filter(|_| cell.metric != "hours");
    std::iter::once(Some(cell))
        .chain(beside.map(other))
        .collect()
}

/// What a reader must know where the paper's probe and the converged one disagree: one line, or none.
fn disagreement(results: &Results) -> Option<String> {
    let both = results
        .claims
        .iter()
        .filter(|claim| claim.converged.is_some());
    let differ = both
        .clone()
        .filter(|claim| claim.otherwise().is_some())
        .count();
    let both = both.count();
    (differ > 0).then(|| {
        format!(
            "{differ} of {both} verdicts are others under logistic regression on the same features, which has \
             converged, than under the paper's probe."
        )
    })
}

/// The networks of a row as they are here.
fn networks(row: &[&Cell]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in row.iter().flat_map(|cell| cell.backbone.split(" + ")) {
        let name = name.split('.').next().unwrap_or(name);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" + ")
}

/// What a reader calls a method.
fn method_title(method: &str) -> &str {
    match method {
        "Untrained" => "As initialised",
        method => method,
    }
}

/// Where what a table shows depends on the downstream step.
fn section_title(table: &TableEntry, downstream: Downstream) -> &'static str {
    match table.metric.as_str() {
        "hours" => "Wall time",
        _ if table.supervised => "All parameters trained on the labels",
        _ => downstream.title(),
    }
}

/// `0.5521`, `12 min`, or a dash.
fn value(cell: &Cell, value: Option<f64>) -> String {
    match value {
        None => "—".to_owned(),
        Some(hours) if cell.metric == "hours" => duration(3600.0 * hours),
        Some(value) => format!("{value:.4}"),
    }
}

/// `0.0123` or `12 s`: a deviation.
fn spread(cell: &Cell) -> Option<String> {
    cell.std.map(|std| value(cell, Some(std)))
}

/// `+0.0123` with a real minus sign; times are not compared across machines.
fn delta(cell: &Cell) -> Option<String> {
    let delta = cell.delta.filter(|_| cell.metric != "hours")?;
    Some(signed(delta))
}

fn signed(value: f64) -> String {
    format!("{value:+.4}").replace('-', "−")
}

/// What a pretraining is, in a line: `CASS, batch8, brain-mri`.
fn pretraining_title(pretraining: &Pretraining, several_sets: bool) -> String {
    let mut title = pretraining.method_name();
    let mut variant = pretraining.variant.as_str();
    // One network is named, two are the profile's pair but for the variant.
    if let [network] = pretraining.networks.values().collect::<Vec<_>>()[..] {
        title += &format!(" {}", network.short());
        variant = variant
            .strip_prefix(network.short())
            .unwrap_or(variant)
            .trim();
    }
    if !variant.is_empty() {
        title += &format!(", {variant}");
    }
    title += &share(pretraining.percent);
    if several_sets {
        title += &format!(", {}", pretraining.data);
    }
    title
}

/// ` on 10 %` where a pretraining did not see every image.
fn share(percent: u32) -> String {
    if percent == 100 {
        String::new()
    } else {
        format!(" on {percent} %")
    }
}

/// `0.993`, `1.2`: mean cosine and effective rank.
fn reading(reading: Option<Collapse>) -> (String, String) {
    let number = |value: Option<f64>, digits: usize| match value.filter(|value| value.is_finite()) {
        Some(value) => format!("{value:.digits$}"),
        None => "not a number".to_owned(),
    };
    (
        number(reading.map(|reading| reading.mean_cosine), 3),
        number(reading.map(|reading| reading.effective_rank), 1),
    )
}

/// Where the collapse thresholds are explained.
fn collapse_rule() -> String {
    format!(
        "Features of the test images. Collapsed: effective rank below {} or mean pairwise cosine above {}.",
        Collapse::LEAST_RANK,
        Collapse::MOST_COSINE
    )
}

/// How verdicts come about.
const VERDICT_RULE: &str = "A claim held if every comparison in it did: the 95 % interval (Student's t) of the \
    difference paired over seeds lies where the claim wants it; it did not hold if one lies wholly elsewhere; else \
    it is undecided at this number of seeds.";

/// Below a table with marked cells.
const UNCONVERGED_RULE: &str = "† The classifier had not converged in every seed: its best epoch was its last. Such a \
    score also measures how large the features are, and more epochs would change it.";

/// Whether a table has such cells in a downstream step.
fn has_unconverged(results: &Results, table: &TableEntry, downstream: Downstream) -> bool {
    let mut cells = results.cells.iter();
    cells.any(|c| c.table == table.number && c.downstream == downstream && c.unconverged > 0)
}

/// What the mark at a cell says.
const APART_RULE: &str =
    "≠ marks cells whose 95 % interval and the paper's (five seeds) do not overlap.";
