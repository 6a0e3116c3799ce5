//! What may be said of what was found.

use super::budget::{Choice, ends};
use super::found::{Cell, Found};
use crate::plan::Downstream;
use crate::table::{Arm, Method};
use anyhow::Result;
use cass_metrics::Groups;
use cass_metrics::compare::{Difference, Outcome};
use serde::Serialize;

/// Pretraining against the start it began from, judged in one way.
#[derive(Serialize)]
pub struct Verdict {
    pub arm: Arm,
    pub network: String,
    /// What is trained on the labels, and the share of them.
    pub downstream: Downstream,
    pub percent: u32,
    /// For people.
    pub sentence: String,
    /// Difference in macro F1.
    pub difference: f64,
    /// The ends of its 95 % interval: over trainings and test images where there is more than one training.
    pub low: f64,
    pub high: f64,
    pub seeds: usize,
    /// Test images of a training, and patients or other groups among them.
    pub images: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// What both reach.
    pub without: f64,
    pub with: f64,
    /// Whether the interval is of at least three trainings.
    pub decided: bool,
    /// Whether more training on the labels would have changed nothing.
    pub converged: bool,
    #[serde(skip)]
    pub outcome: Outcome,
}

/// What is the headline: the judge that has always converged, with all labels.
pub const HEADLINE: Downstream = Downstream::Logistic;

/// Every comparison, the headline of each arm first.
pub fn verdicts(found: &Found, choice: &Choice) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for after in found
        .cells
        .iter()
        .filter(|cell| cell.method.pretraining().is_some())
    {
        let start = match after.downstream {
            Downstream::Finetune => Method::Supervised,
            _ => Method::Untrained,
        };
        if let Some(before) = found.cell(after.arm, start, after.downstream, after.percent) {
            verdicts.extend(verdict(before, after, choice)?);
        }
    }
    let [_, all] = ends(&choice.percents);
    let is_headline = |v: &Verdict| v.downstream == HEADLINE && v.percent == all;
    verdicts.sort_by_key(|v| (!is_headline(v), v.arm, v.downstream, v.percent));
    Ok(verdicts)
}

fn verdict(before: &Cell, after: &Cell, choice: &Choice) -> Result<Option<Verdict>> {
    let pairs = after.runs.iter().filter_map(|run| {
        let other = before.runs.iter().find(|other| other.seed == run.seed)?;
        Some((other, run))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let (a, b): (Vec<_>, Vec<_>) = pairs
        .iter()
        .map(|(a, b)| (&a.predictions, &b.predictions))
        .unzip();
    let groups = Groups::union(pairs.iter().filter_map(|(a, _)| a.groups.as_ref()));
    let difference = Difference::between(&a, &b, groups.as_ref(), 0)?;
    let network = match after.arm {
        Arm::Cnn => &choice.cnn,
        Arm::Vit => &choice.vit,
    };
    let interval = difference
        .interval_with_seeds
        .unwrap_or(difference.interval);
    let converged = pairs.iter().all(|(a, b)| a.converged && b.converged);
    let mut sentence = sentence(after.arm, network.short(), &difference);
    if !converged {
        sentence += " Some of these trainings on the labels had not converged.";
    }
    Ok(Some(Verdict {
        arm: after.arm,
        network: network.short().to_owned(),
        downstream: after.downstream,
        percent: after.percent,
        sentence,
        difference: difference.difference,
        low: interval.low,
        high: interval.high,
        seeds: difference.pairs,
        images: difference.images,
        groups: difference.groups,
        without: difference.first,
        with: difference.second,
        decided: difference.outcome != Outcome::FewSeeds,
        converged,
        outcome: difference.outcome,
    }))
}

/// What a clinician reads.
fn sentence(arm: Arm, network: &str, difference: &Difference) -> String {
    let arm = match arm {
        Arm::Cnn => "CNN",
        Arm::Vit => "Transformer",
    };
    let interval = difference
        .interval_with_seeds
        .unwrap_or(difference.interval);
    let d = difference.difference;
    let images = match difference.groups {
        Some(groups) => format!(
            "{} test images of {groups} patients or groups",
            difference.images
        ),
        None => format!("{} test images", difference.images),
    };
    let trainings = match difference.pairs {
        1 => "1 training".to_owned(),
        n => format!("{n} trainings"),
    };
    let figures = format!(
        "{d:+.2} F1 (95 % {:+.2} to {:+.2}; {trainings}, {images})",
        interval.low, interval.high
    );
    match difference.outcome {
        Outcome::Helped => format!("Pretraining helped the {arm} ({network}): {figures}."),
        Outcome::Hurt => format!("Pretraining hurt the {arm} ({network}): {figures}."),
        Outcome::Unclear => format!(
            "For the {arm} ({network}) pretraining made no difference that these images can show: {figures}."
        ),
        Outcome::FewSeeds => format!(
            "Whether pretraining helps the {arm} ({network}) cannot be said from {trainings}: {figures}; another \
             training may differ, at least 3 can tell."
        ),
    }
}

/// What would make the verdicts surer, from the widest reason on.
pub fn surer(verdicts: &[Verdict], choice: &Choice) -> Vec<String> {
    let mut advice = Vec::new();
    if choice.seeds < 3 {
        advice.push(format!(
            "{} more trainings: --seeds 3 is the fewest that a verdict can be given from.",
            3 - choice.seeds
        ));
    }
    let headlines = || {
        verdicts
            .iter()
            .filter(|v| v.downstream == HEADLINE && v.percent == ends(&choice.percents)[1])
    };
    if let Some(widest) = headlines().max_by(|a, b| (a.high - a.low).total_cmp(&(b.high - b.low))) {
        let half = (widest.high - widest.low) / 2.0;
        let units = match widest.groups {
            Some(groups) => format!("{groups} patients or groups"),
            None => format!("{} images", widest.images),
        };
        advice.push(format!(
            "More test images: a difference is known to ± {half:.2} F1 from {units} a training; with four times as many it \
             would be about ± {:.2}. A test set of its own (--test) leaves all labelled images of the folder for training.",
            half / 2.0
        ));
    }
    if verdicts.iter().any(|v| !v.converged) {
        advice.push("Longer fine-tuning: some had not converged; a larger --budget, or --finetune-epochs, allows it.".to_owned());
    }
    if choice.epochs < 50 {
        advice.push(format!(
            "Longer pretraining: {} epochs are few; a larger --budget, or --epochs, allows more.",
            choice.epochs
        ));
    }
    advice
}
