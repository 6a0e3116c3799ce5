//! `cass data check`: what is in a data set, and what is wrong with it.

use super::html;
use crate::failure::Result;
use crate::images::DataArgs;
use crate::output::write;
use crate::progress::style;
use crate::say::Report;
use crate::{next, process};
use cass_data::check::{Checkup, FindingKind};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Findings of one kind that are listed; --json and --html list all.
const LISTED: usize = 5;

/// Decode every file of a data set and report what is in it and what is wrong with it.
///
/// Counts classes, sizes and colour modes; finds unreadable, blank, wrongly named, turned and
/// 16-bit files, duplicates and near-duplicates across splits and labels, divided patients, slips in
/// class names, and tables and files that do not fit each other. Exit status 1 if there are findings.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass data check --data isic2019 --data-root data --html check.html"
)]
pub struct Args {
    #[command(flatten)]
    images: DataArgs,
    /// Write the report as a page, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.threads)?;
    let bar = ProgressBar::new(0);
    bar.set_style(style("{bar:30} {pos}/{len} files  {eta} left"));
    let recipe = args.images.recipe()?;
    let data = &recipe.name;
    let checkup =
        cass_data::check::check_as(&recipe.layout(), &recipe.reading(), &|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
    bar.finish_and_clear();
    let checkup = checkup?;
    if let Some(file) = &args.html {
        write(file, html::page(data, &checkup))?;
    }
    let passed = checkup.findings.is_empty();
    Ok(Report {
        passed,
        next: passed.then(|| next::pretrain(&recipe)),
        ..Report::done(text(data, &checkup), to_json(data, &checkup))
    })
}

/// How many findings there are of each kind.
pub(super) fn kinds(checkup: &Checkup) -> BTreeMap<FindingKind, usize> {
    let mut kinds = BTreeMap::new();
    for finding in &checkup.findings {
        *kinds.entry(finding.kind).or_default() += 1;
    }
    kinds
}

/// Images of the largest class for one of the smallest.
pub(super) fn imbalance(checkup: &Checkup) -> Option<f64> {
    let totals = checkup.classes.iter().map(|class| class.total());
    let (most, least) = (totals.clone().max()?, totals.min()?);
    (least > 0).then(|| most as f64 / least as f64)
}

/// The file as the user may find it: below the root, or as it is.
pub(super) fn shown(checkup: &Checkup, file: &Path) -> String {
    match file.strip_prefix(&checkup.root) {
        Ok(below) if !below.as_os_str().is_empty() => below.display().to_string(),
        _ => file.display().to_string(),
    }
}

fn text(data: &str, checkup: &Checkup) -> String {
    let mut text = format!(
        "{data} in {}: {} images, {} classes, {}",
        checkup.root.display(),
        checkup.images,
        checkup.classes.len(),
        checkup.task.name(),
    );
    if checkup.groups > 0 {
        let _ = write!(text, ", {} groups", checkup.groups);
    }
    text += "\n";
    let width = checkup.classes.iter().map(|c| c.class.chars().count());
    let width = width.max().unwrap_or(0);
    for class in &checkup.classes {
        let [train, val, test] = class.parts;
        let _ = write!(text, "  {:width$} {:6}", class.class, class.total());
        if class.unsplit < class.total() {
            let _ = write!(text, "  train {train}, val {val}, test {test}");
        }
        text += "\n";
    }
    if let Some(imbalance) = imbalance(checkup) {
        let _ = writeln!(text, "  largest class / smallest: {imbalance:.1}");
    }
    let modes = checkup.modes.iter().map(|(mode, n)| format!("{mode} {n}"));
    let _ = writeln!(text, "  modes: {}", modes.collect::<Vec<_>>().join(", "));
    if let Some((common, n)) = checkup.sizes.iter().max_by_key(|(_, n)| **n) {
        let (sizes, side) = (checkup.sizes.len(), |of: fn(&(usize, usize)) -> usize| {
            let sides = checkup.sizes.keys().map(of);
            let (least, most) = (sides.clone().min(), sides.max());
            format!("{}-{}", least.unwrap_or(0), most.unwrap_or(0))
        });
        let (w, h) = common;
        let _ = writeln!(
            text,
            "  sizes: {sizes} different, width {}, height {}, most often {w}x{h} ({n})",
            side(|s| s.0),
            side(|s| s.1)
        );
    }
    let leaks = checkup.leaks;
    if leaks.test > 0 {
        let by = if leaks.given {
            ""
        } else {
            " of a split by seed 0"
        };
        let (copied, test) = (leaks.copied, leaks.test);
        let _ = write!(
            text,
            "  {copied} of {test} test images{by} have a copy in training"
        );
        text += match (copied, leaks.given) {
            (0, _) => "\n",
            (_, true) => ": a score on them is too good\n",
            (_, false) => ": --group-column or --group-by keep such images together\n",
        };
    }
    for note in &checkup.notes {
        let _ = writeln!(text, "  {note}");
    }
    for (kind, count) in kinds(checkup) {
        let _ = writeln!(text, "{}: {count}", kind.name());
        let of_kind = checkup.findings.iter().filter(|f| f.kind == kind);
        for finding in of_kind.take(LISTED) {
            let file = shown(checkup, &finding.file);
            let _ = writeln!(text, "  {file} {}", finding.detail);
        }
        if count > LISTED {
            let _ = writeln!(text, "  and {} more", count - LISTED);
        }
    }
    if checkup.findings.is_empty() {
        text += "nothing wrong was found\n";
    }
    text
}

fn to_json(data: &str, checkup: &Checkup) -> Value {
    let classes = checkup.classes.iter().map(|class| {
        let [train, val, test] = class.parts;
        let unsplit = class.unsplit;
        let counts = json!({"total": class.total(), "train": train, "val": val, "test": test, "unsplit": unsplit});
        (class.class.clone(), counts)
    });
    let findings = checkup.findings.iter().map(
        |f| json!({"kind": f.kind.name(), "file": f.file.to_string_lossy(), "detail": f.detail}),
    );
    let sizes = checkup.sizes.iter();
    let sizes =
        sizes.map(|((width, height), n)| json!({"width": width, "height": height, "images": n}));
    let kinds = kinds(checkup).into_iter();
    json!({
        "kind": "check",
        "data": data,
        "root": checkup.root.to_string_lossy(),
        "task": checkup.task.name(),
        "images": checkup.images,
        "groups": checkup.groups,
        "classes": classes.collect::<serde_json::Map<_, _>>(),
        "imbalance": imbalance(checkup),
        "modes": checkup.modes,
        "leaks": {"test": checkup.leaks.test, "copied": checkup.leaks.copied, "given": checkup.leaks.given},
        "notes": checkup.notes,
        "sizes": sizes.collect::<Vec<_>>(),
        "counts": kinds.map(|(kind, n)| (kind.name().to_owned(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}
