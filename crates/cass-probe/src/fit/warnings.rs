//! What a reader of a probe's score should know, one sentence each.

use super::judge::Said;
use super::parts::Parts;
use super::probe::Outcome;
use super::recipe::{ProbeMode, ProbeRecipe};
use cass_data::dataset::Part;
use std::collections::{BTreeMap, BTreeSet};

/// Test images of a class under which its score says little.
const FEW: usize = 3;

pub(super) fn of(recipe: &ProbeRecipe, parts: &Parts, outcome: &Outcome) -> Vec<String> {
    let mut all = parts.dataset.warnings.clone();
    all.extend(not_converged(recipe, outcome));
    all.extend(at_the_edge(recipe, outcome));
    all.extend(single_class(&outcome.test.said));
    let unseen = parts.unseen_classes();
    if !unseen.is_empty() {
        let names = unseen.join(", ");
        all.push(format!(
            "no labelled image is of {names}: it cannot be learned, and counts in the macro F1"
        ));
    }
    all.extend(small_classes(parts));
    all.extend(one_patient(parts));
    if let Err(reason) = &outcome.test.interval {
        all.push(format!("an interval is not given: {reason}"));
    }
    if parts.seen > 0 {
        let (seen, test) = (parts.seen, parts.indices(Part::Test).len());
        all.push(if recipe.exclude_seen {
            format!("left out: {seen} test images that the pretraining was trained on")
        } else {
            format!(
                "the pretraining was trained on {seen} of the {test} test images: the score may be too good \
                 (--exclude-seen leaves them out)"
            )
        });
    }
    all
}

fn not_converged(recipe: &ProbeRecipe, outcome: &Outcome) -> Option<String> {
    if outcome.converged {
        return None;
    }
    let readings = &outcome.readings;
    Some(
        match (recipe.mode, readings.best_epoch, &readings.logistic) {
            (ProbeMode::Logistic, _, Some(penalty)) => format!(
                "not converged: the fit at C = {} ended before its gradient was down to the tolerance",
                penalty.c
            ),
            (_, best, _) => format!(
                "not converged: the best epoch, {}, was the last of {}, so the score measures how long was trained \
             (raise --epochs, or probe by --mode logistic)",
                best.unwrap_or_default(),
                recipe.epochs
            ),
        },
    )
}

/// A penalty at the end of the grid may not be the best one.
fn at_the_edge(recipe: &ProbeRecipe, outcome: &Outcome) -> Option<String> {
    let grid = &recipe.logistic.as_ref()?.grid;
    let c = outcome.readings.logistic.as_ref()?.c;
    let end = match c {
        _ if grid.len() < 2 => return None,
        c if c == grid[0] => "strongest",
        c if c == grid[grid.len() - 1] => "weakest",
        _ => return None,
    };
    Some(format!(
        "the penalty chosen, C = {c}, is the {end} of the grid"
    ))
}

fn single_class(said: &Said) -> Option<String> {
    let Said::One(said) = said else {
        return None;
    };
    let first = said.rows.first()?.predicted;
    let all = said.rows.iter().all(|row| row.predicted == first);
    let class = &said.classes[first];
    all.then(|| format!("every test image is predicted as {class}: the probe tells nothing apart"))
}

fn small_classes(parts: &Parts) -> Option<String> {
    let classes = parts.dataset.classes.iter().zip(parts.counts(Part::Test));
    let small: Vec<String> = classes
        .filter(|(_, n)| *n < FEW)
        .map(|(class, n)| format!("{class} ({n})"))
        .collect();
    (!small.is_empty()).then(|| {
        format!(
            "classes with fewer than {FEW} test images count in the macro F1: {}",
            small.join(", ")
        )
    })
}

/// Classes whose test images are of one patient each.
fn one_patient(parts: &Parts) -> Option<String> {
    let mut groups = BTreeMap::<usize, BTreeSet<Option<&str>>>::new();
    for &i in parts.indices(Part::Test) {
        let sample = &parts.dataset.samples[i];
        for &label in &sample.labels {
            groups
                .entry(label)
                .or_default()
                .insert(sample.group.as_deref());
        }
    }
    let counts = parts.counts(Part::Test);
    let one = |(class, groups): &(usize, BTreeSet<Option<&str>>)| {
        counts[*class] > 1 && groups.len() == 1 && !groups.contains(&None)
    };
    let names: Vec<&str> = (groups.into_iter().filter(one))
        .map(|(class, _)| parts.dataset.classes[class].as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "all test images are of one patient or other group each in: {}",
            names.join(", ")
        )
    })
}
