//! What page and text say in the same words.

use super::Report;
use crate::plan::Downstream;
use crate::table::{Arm, Method};
use crate::units::{duration, list};

/// What a start is called.
pub fn start(method: Method) -> &'static str {
    match method {
        Method::Untrained => "as initialised",
        Method::Supervised => "labels alone",
        _ => "pretrained",
    }
}

/// An arm and its network.
pub fn network(report: &Report, arm: Arm) -> String {
    let choice = report.study.choice;
    match arm {
        Arm::Cnn => format!("CNN ({})", choice.cnn.short()),
        Arm::Vit => format!("Transformer ({})", choice.vit.short()),
    }
}

/// A way to judge, and the labels it had.
pub fn judged(downstream: Downstream, percent: u32) -> String {
    format!("{}, {percent} % of the labels", downstream.short())
}

/// A paragraph for a paper's methods section, with the numbers filled in.
pub fn methods(report: &Report) -> String {
    let (choice, images) = (report.study.choice, report.study.images);
    let [val, test] = choice.held_out;
    let patients = match images.groups {
        0 => String::new(),
        groups => format!(" of {groups} patients or groups of copies, none of which was divided,"),
    };
    let split = if images.test > 0 {
        format!(
            "{} images were given for testing; {val} % of the others were held out for validation",
            images.test
        )
    } else {
        format!(
            "for each of {} seeds {test} % of the labelled images were held out for testing and {val} % for validation",
            choice.seeds
        )
    };
    let by = match choice.method {
        Method::Contrast => {
            "a contrast between their projections of two views of each image (cass-contrast), after cross-architectural \
             self-supervision (CASS, arXiv 2206.04170)"
        }
        _ => {
            "cross-architectural self-supervision (CASS, arXiv 2206.04170) with VICReg's variance penalty"
        }
    };
    let [cnn, vit] = &choice.weights;
    let from = if cnn == vit {
        format!("{cnn} weights")
    } else {
        format!("weights {cnn} and {vit}")
    };
    let tuned = match choice.finetune_epochs {
        0 => String::new(),
        epochs => format!(
            " All parameters were fine-tuned for at most {epochs} epochs, stopped early by the validation loss, from the \
             pretrained and from the initial weights."
        ),
    };
    format!(
        "We used {} images ({} labelled){patients} of {} classes; {split}. {} and {} were pretrained together by \
         {by}, from {from}, for {} \
         epochs at {} x {} pixels in batches of {}, on all images but those held out for testing. Frozen features were \
         judged by nearest neighbours and by logistic regression (L2 penalty chosen on validation images, classes weighted \
         equally), before and after pretraining, with {} of the labels.{tuned} We report the macro F1 on the test images, and \
         differences with 95 % bootstrap intervals over trainings, patients or groups, and images. The study took {} on {} \
         ({} threads); software: {}.",
        images.images,
        images.labelled,
        images.classes.len(),
        choice.cnn.short(),
        choice.vit.short(),
        choice.epochs,
        choice.size,
        choice.size,
        choice.batch,
        list(choice.percents.iter().map(|percent| format!("{percent} %"))).unwrap_or_default(),
        duration(report.found.seconds),
        report.provenance.cpu,
        report.provenance.threads,
        report.provenance.cass,
    )
}

/// What became of the features, an arm a sentence; warnings first.
pub fn collapse(report: &Report) -> Vec<(bool, String)> {
    let arms = report.found.collapse.iter().map(|(arm, readings)| {
        let lost = readings.iter().filter(|reading| reading.is_collapsed()).count();
        let shown = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "?".to_owned(), |value| format!("{value:.digits$}"))
        };
        let rank = |of: fn(&cass_run::BeforeAfter) -> Option<cass_run::Collapse>| {
            let values: Vec<f64> = readings.iter().filter_map(|one| Some(of(one)?.effective_rank)).collect();
            mean(&values)
        };
        let cosines: Vec<f64> = readings.iter().filter_map(|one| Some(one.after?.mean_cosine)).collect();
        let (before, after) = (rank(|one| one.before), rank(|one| one.after));
        let (before, after, cosine) = (shown(before, 1), shown(after, 1), shown(mean(&cosines), 3));
        let name = network(report, *arm);
        let ranks = format!("effective rank {before} before pretraining, {after} after; mean cosine {cosine}");
        let text = match lost {
            0 => format!("{name}: the features tell images apart ({ranks})."),
            lost => format!(
                "{name}: in {lost} of {} pretrainings the features of all images became nearly the same ({ranks}), a sign of \
                 collapse: what is said of pretraining here is of one that did not work as it is meant to.",
                readings.len()
            ),
        };
        (lost > 0, text)
    });
    arms.collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
