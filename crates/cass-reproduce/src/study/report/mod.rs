//! The report of a study: a page, a text, tables and figures.

mod csv;
mod figures;
mod html;
mod looks;
mod markdown;
mod words;

use super::best::Best;
use super::cass::{ask, path, words as arguments};
use super::found::Found;
use super::plan::Study;
use super::verdict::Verdict;
use crate::executor::Site;
use crate::machine::Provenance;
use crate::plan::Run;
use crate::store::write as write_file;
use anyhow::Result;
use serde_json::{Value, json as value};
use std::path::Path;

/// All that is told.
pub struct Report<'a> {
    pub verdicts: Vec<Verdict>,
    pub best: Option<Best>,
    /// What would make the verdicts surer.
    pub surer: Vec<String>,
    pub found: &'a Found,
    pub study: &'a Study<'a>,
    /// Runs that failed, and why.
    pub failures: &'a [(Run, String)],
    pub provenance: &'a Provenance,
    /// The images as the user named them.
    pub dir: &'a Path,
}

impl Report<'_> {
    /// The verdicts of the headline, one an arm.
    pub fn headlines(&self) -> impl Iterator<Item = &Verdict> {
        let percents = &self.study.choice.percents;
        let all = percents.last().copied().unwrap_or(100);
        let verdicts = self.verdicts.iter();
        verdicts.filter(move |v| v.downstream == super::verdict::HEADLINE && v.percent == all)
    }
}

impl Report<'_> {
    /// The command that comes after a study.
    pub fn next(&self) -> Option<String> {
        let best = self.best.as_ref()?;
        Some(format!(
            "cass predict --run '{}' NEW-IMAGES",
            best.path.display()
        ))
    }
}

/// Writes everything into the study's folder.
pub fn write(report: &Report, site: &Site) -> Result<()> {
    let out = site.out;
    let figures = figures::all(report);
    for (name, svg) in &figures {
        write_file(&out.join(name), svg.as_bytes())?;
    }
    write_file(&out.join("results.csv"), &csv::results(report)?)?;
    write_file(&out.join("verdicts.csv"), &csv::verdicts(report)?)?;
    features(report, site);
    let looks = looks::draw(report, site);
    write_file(
        &out.join("report.html"),
        html::page(report, &figures, &looks).as_bytes(),
    )?;
    write_file(&out.join("report.md"), markdown::text(report).as_bytes())?;
    let text = format!("{:#}\n", json(report));
    write_file(&out.join("report.json"), text.as_bytes())
}

/// The features of all images by the best network, for programs that go on from there. A study is none the worse
/// without them.
fn features(report: &Report, site: &Site) {
    let Some(best) = &report.best else {
        return;
    };
    let mut words = arguments(&["features", "--run"]);
    words.extend([path(&best.path), "--data".to_owned(), "csv".to_owned()]);
    words.extend(["--data-root".to_owned(), path(&report.study.images.table)]);
    words.extend(["--out".to_owned(), path(&site.out.join("features.csv"))]);
    let asked: Result<(Value, bool)> = ask(site.cass, &words);
    if let Err(error) = asked {
        eprintln!("note: features.csv is not written: {error:#}");
    }
}

/// The report for programs.
pub fn json(report: &Report) -> Value {
    let cells = report.found.cells.iter().map(|cell| {
        let (mean, std) = cell.mean_and_std();
        let values: Vec<f64> = cell.runs.iter().map(|run| run.f1).collect();
        value!({
            "arm": cell.arm,
            "method": cell.method,
            "downstream": cell.downstream,
            "fraction": f64::from(cell.percent) / 100.0,
            "metric": "f1_macro",
            "mean": mean,
            "std": std,
            "n": values.len(),
            "values": values,
            "val_mean": cell.val_f1(),
            "converged": cell.runs.iter().all(|run| run.converged),
        })
    });
    let failures = report
        .failures
        .iter()
        .map(|(run, reason)| value!({"run": run.name, "reason": reason}));
    value!({
        "kind": "study",
        "verdicts": report.verdicts,
        "best": report.best,
        "images": report.study.images,
        "choice": report.study.choice,
        "cells": cells.collect::<Vec<_>>(),
        "surer": report.surer,
        "failures": failures.collect::<Vec<_>>(),
        "deviations": report.found.deviations,
        "chosen": report.found.chosen,
        "seconds": report.found.seconds,
        "provenance": report.provenance,
        "next": report.next(),
    })
}

/// What is printed at the end.
pub fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report.headlines().map(|v| v.sentence.clone()).collect();
    if let Some(best) = &report.best {
        let std = best.std.map_or(String::new(), |std| format!(" ± {std:.3}"));
        lines.push(format!(
            "The network to use: {} ({}), macro F1 {:.3}{std}.",
            best.path.display(),
            best.title(),
            best.mean
        ));
    }
    lines.join("\n") + "\n"
}
