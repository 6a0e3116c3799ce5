//! Figures of the report, each a file of its own.

use super::{Report, words};
use crate::plan::Downstream;
use crate::table::{Arm, Method};
use cass_page::chart::{Line, lines};
use cass_page::figure::{Plot, alone};
use cass_page::{Interval, class, forest};
use maud::Markup;
use std::fs;

/// Figures by file name, in the order of the page.
pub type Figures = Vec<(&'static str, String)>;

/// The figures that the results allow.
pub fn all(report: &Report) -> Figures {
    let mut figures: Figures = Vec::new();
    if !report.verdicts.is_empty() {
        figures.push(("forest.svg", differences(report)));
    }
    if report.study.choice.percents.len() > 1 {
        figures.push(("curve-cnn.svg", curve(report, Arm::Cnn)));
        figures.push(("curve-vit.svg", curve(report, Arm::Vit)));
    }
    figures.push(("losses.svg", alone(&losses(report))));
    if let Some(best) = &report.best {
        for (own, name) in [
            ("confusion.svg", "best-confusion.svg"),
            ("roc.svg", "best-roc.svg"),
            ("precision-recall.svg", "best-precision-recall.svg"),
            ("reliability.svg", "best-reliability.svg"),
        ] {
            if let Ok(svg) = fs::read_to_string(best.path.join(own)) {
                figures.push((name, svg));
            }
        }
    }
    figures
}

/// The loss of each epoch of each pretraining.
pub fn losses(report: &Report) -> Markup {
    let line = |(seed, losses): (usize, &Vec<f64>)| Line {
        colour: class(seed),
        points: (0..)
            .zip(losses.iter().copied())
            .filter(|(_, loss)| loss.is_finite())
            .collect(),
    };
    let drawn: Vec<Line> = report.found.losses.iter().enumerate().map(line).collect();
    lines(&drawn, "epoch", "loss")
}

fn differences(report: &Report) -> String {
    let rows: Vec<Interval> = report
        .verdicts
        .iter()
        .map(|v| Interval {
            name: format!(
                "{}: {}",
                if v.arm == Arm::Cnn {
                    "CNN"
                } else {
                    "Transformer"
                },
                short(v.downstream, v.percent)
            ),
            kind: v.decided.then_some(if v.arm == Arm::Cnn { 0 } else { 1 }),
            value: v.difference,
            low: v.low,
            high: v.high,
        })
        .collect();
    forest(&rows, "macro F1", ["worse", "better with pretraining"])
}

fn short(downstream: Downstream, percent: u32) -> String {
    format!("{}, {percent} % labels", downstream.short())
}

/// Macro F1 over the share of the labels.
fn curve(report: &Report, arm: Arm) -> String {
    let mut plot = Plot::new(["share of the labels", "macro F1"]);
    let pretrained = report.study.choice.method;
    let kinds = [
        (Method::Untrained, Downstream::Logistic),
        (pretrained, Downstream::Logistic),
        (Method::Supervised, Downstream::Finetune),
        (pretrained, Downstream::Finetune),
    ];
    for (kind, (method, downstream)) in kinds.into_iter().enumerate() {
        let points: Vec<(f64, f64)> = report
            .study
            .choice
            .percents
            .iter()
            .filter_map(|&percent| {
                let cell = report.found.cell(arm, method, downstream, percent)?;
                Some((
                    f64::from(percent) / 100.0,
                    cell.mean_and_std().0.clamp(0.0, 1.0),
                ))
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        plot.curve(&points, kind);
        for &point in &points {
            plot.dot(point, 3.0, kind);
        }
        plot.name(
            kind,
            &format!("{}, {}", words::start(method), downstream.short()),
        );
    }
    plot.write()
}
