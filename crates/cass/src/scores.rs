//! Scores of predictions, as text and as JSON.

use crate::failure::Result;
use cass_metrics::metrics::{Averages, ClassMetrics, Confusion, Interval, NotGiven};
use cass_metrics::{Groups, MultiLabelPredictions, Predictions};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Scores where each image is of one class; with `per_patient` also those of the mean probabilities of each group.
pub fn of_one(
    predictions: &Predictions,
    groups: Option<&Groups>,
    seed: u64,
    per_patient: bool,
) -> Result<(String, Value)> {
    let metrics = predictions.metrics()?;
    let interval = |statistic: fn(&Confusion) -> f64| predictions.interval(groups, seed, statistic);
    let of_f1 = interval(Confusion::f1_macro);
    let own = [
        ("accuracy", Some(metrics.accuracy)),
        ("balanced accuracy", Some(metrics.balanced_accuracy)),
        ("Cohen's kappa", metrics.kappa),
        ("calibration error", metrics.ece),
    ];
    let (samples, per_class) = (metrics.samples, &metrics.per_class);
    let mut text = text(samples, &own, &metrics.averages, &of_f1, per_class);
    let intervals = [
        ("accuracy_95", interval(Confusion::accuracy)),
        (
            "balanced_accuracy_95",
            interval(Confusion::balanced_accuracy),
        ),
        ("f1_macro_95", of_f1),
    ];
    let mut json = report(json!(metrics), intervals);
    if let (true, Some(groups)) = (per_patient, groups) {
        let (merged, mixed) = predictions.by_group(groups)?;
        let merged = merged.metrics()?;
        let (f1, balanced) = (merged.averages.f1_macro, merged.balanced_accuracy);
        text += &of_groups(f1, balanced, merged.samples, mixed);
        json["per_patient"] = json!(merged);
        json["patients_of_several_classes"] = json!(mixed);
    }
    Ok((text, json))
}

/// Scores where an image is of any number of classes.
pub fn of_any(
    predictions: &MultiLabelPredictions,
    groups: Option<&Groups>,
    seed: u64,
    per_patient: bool,
) -> Result<(String, Value)> {
    let metrics = predictions.metrics()?;
    let interval = predictions.interval(groups, seed);
    let own = [
        ("accuracy (all classes)", Some(metrics.accuracy)),
        ("balanced accuracy", Some(metrics.balanced_accuracy)),
        ("Cohen's kappa", metrics.kappa),
        ("calibration error", metrics.ece),
    ];
    let (samples, per_class) = (metrics.samples, &metrics.per_class);
    let mut text = text(samples, &own, &metrics.averages, &interval, per_class);
    let mut json = report(json!(metrics), [("f1_macro_95", interval)]);
    if let (true, Some(groups)) = (per_patient, groups) {
        let merged = predictions.by_group(groups)?.metrics()?;
        let (f1, balanced) = (merged.averages.f1_macro, merged.balanced_accuracy);
        text += &of_groups(f1, balanced, merged.samples, 0);
        json["per_patient"] = json!(merged);
    }
    Ok((text, json))
}

fn of_groups(f1: f64, balanced: f64, groups: usize, mixed: usize) -> String {
    let mut text = format!(
        "per patient, by the mean of their images: F1 macro {f1:.4}, balanced accuracy {balanced:.4} ({groups} patients)\n"
    );
    if mixed > 0 {
        let _ = writeln!(
            text,
            "  left out: {mixed} patients whose images are of several classes"
        );
    }
    text
}

fn report<const N: usize>(
    metrics: Value,
    intervals: [(&str, std::result::Result<Interval, NotGiven>); N],
) -> Value {
    let mut json = json!({});
    if let (Value::Object(json), Value::Object(metrics)) = (&mut json, metrics) {
        json.extend(metrics);
    }
    for (name, interval) in intervals {
        json[name] = json!(interval.as_ref().ok());
        if let Err(reason) = interval {
            json["interval_not_given"] = json!(reason.to_string());
        }
    }
    json
}

fn text(
    samples: usize,
    own: &[(&str, Option<f64>)],
    averages: &Averages,
    interval: &std::result::Result<Interval, NotGiven>,
    classes: &[ClassMetrics],
) -> String {
    let number = |x: Option<f64>| x.map_or("   none".into(), |x| format!("{x:7.4}"));
    let mut text = format!("{samples} samples\n");
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<22} {value}"); // a String takes every write
    };
    let interval = match interval {
        Ok(interval) => format!("95 %: {:.4} to {:.4}", interval.low, interval.high),
        Err(reason) => format!("95 %: not given, {reason}"),
    };
    line(
        "F1 macro",
        format!("{:7.4}  ({interval})", averages.f1_macro),
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
    let columns = "precision sensit. specif.      F1   AUROC   AUPRC  samples";
    line("class", columns.into());
    for c in classes {
        let scores = [
            Some(c.precision),
            c.sensitivity,
            c.specificity,
            Some(c.f1),
            c.auroc,
            c.average_precision,
        ];
        let scores = scores.map(number).join(" ");
        line(
            &format!("  {}", c.class),
            format!("  {scores} {:>8}", c.support),
        );
    }
    text
}
