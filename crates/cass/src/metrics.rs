//! `cass metrics`: anyone's predictions to scores.

use crate::failure::Result;
use crate::say::Report;
use cass_metrics::{
    Averages, ClassMetrics, Confusion, Interval, MultiLabelPredictions, Predictions,
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Score predictions from a CSV file.
///
/// Columns: file, true, predicted, then one probability a class, headed by the class's name (or
/// none). Scores equal scikit-learn's with all classes as labels and zero_division=0; a score that
/// has no value is null. Intervals are 95 %, of 1,000 stratified resamples of the files.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The predictions.
    #[arg(long, value_name = "FILE.csv")]
    predictions: PathBuf,
    /// The truth, if not in the predictions: columns file, true.
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    /// A file has any number of classes: `true` and `predicted` separate them by |, and may be empty.
    #[arg(long)]
    multi_label: bool,
    /// Decides the resamples of the intervals.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

const EXAMPLE: &str = "\
Examples:
  cass metrics --predictions runs/cass-vit/predictions.csv --json
  cass metrics --predictions predictions.csv --labels labels.csv";

pub fn run(args: Args) -> Result<Report> {
    let (path, labels) = (&args.predictions, args.labels.as_deref());
    if args.multi_label {
        let predictions = MultiLabelPredictions::read(path, labels)?;
        let metrics = predictions.metrics()?;
        let interval = predictions.interval(args.seed);
        let text = text(
            metrics.samples,
            &[
                ("accuracy (all classes)", Some(metrics.accuracy)),
                ("balanced accuracy", Some(metrics.balanced_accuracy)),
                ("Cohen's kappa", metrics.kappa),
                ("calibration error", metrics.ece),
            ],
            &metrics.averages,
            interval,
            &metrics.per_class,
        );
        return Ok(report(text, json!(metrics), &[("f1_macro_95", interval)]));
    }
    let predictions = match labels {
        Some(labels) => Predictions::read_with_labels(path, labels)?,
        None => Predictions::read(path)?,
    };
    let metrics = predictions.metrics()?;
    let confusion = predictions.confusion()?;
    let intervals = [
        (
            "accuracy_95",
            confusion.interval(args.seed, Confusion::accuracy),
        ),
        (
            "balanced_accuracy_95",
            confusion.interval(args.seed, Confusion::balanced_accuracy),
        ),
        (
            "f1_macro_95",
            confusion.interval(args.seed, Confusion::f1_macro),
        ),
    ];
    let own = [
        ("accuracy", Some(metrics.accuracy)),
        ("balanced accuracy", Some(metrics.balanced_accuracy)),
        ("Cohen's kappa", metrics.kappa),
        ("calibration error", metrics.ece),
    ];
    let text = text(
        metrics.samples,
        &own,
        &metrics.averages,
        intervals[2].1,
        &metrics.per_class,
    );
    Ok(report(text, json!(metrics), &intervals))
}

fn report(text: String, metrics: Value, intervals: &[(&str, Interval)]) -> Report {
    let mut json = json!({"kind": "metrics"});
    if let (Value::Object(json), Value::Object(metrics)) = (&mut json, metrics) {
        json.extend(metrics);
        json.extend(
            intervals
                .iter()
                .map(|(name, i)| (name.to_string(), json!(i))),
        );
    }
    Report::done(text, json)
}

fn text(
    samples: usize,
    own: &[(&str, Option<f64>)],
    averages: &Averages,
    interval: Interval,
    classes: &[ClassMetrics],
) -> String {
    let number = |x: Option<f64>| x.map_or("   none".into(), |x| format!("{x:7.4}"));
    let mut text = format!("{samples} samples\n");
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<22} {value}"); // a String takes every write
    };
    let f1 = averages.f1_macro;
    line(
        "F1 macro",
        format!(
            "{f1:7.4}  (95 %: {:.4} to {:.4})",
            interval.low, interval.high
        ),
    );
    for &(name, value) in own {
        line(name, number(value));
    }
    for (name, value) in [
        ("F1 micro", Some(averages.f1_micro)),
        ("F1 weighted", Some(averages.f1_weighted)),
        ("precision macro", Some(averages.precision_macro)),
        ("recall macro", Some(averages.recall_macro)),
        ("AUROC macro", averages.auroc_macro),
        ("average precision", averages.average_precision_macro),
    ] {
        line(name, number(value));
    }
    line("class", "precision  recall      F1   AUROC  samples".into());
    for c in classes {
        let scores = [Some(c.precision), Some(c.recall), Some(c.f1), c.auroc].map(number);
        line(
            &format!("  {}", c.class),
            format!("  {} {:>8}", scores.join(" "), c.support),
        );
    }
    text
}
