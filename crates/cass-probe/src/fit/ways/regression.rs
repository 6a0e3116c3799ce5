use super::super::features::Features;
use super::super::judge::{Decision, Judged, f1_macro};
use super::super::logistic::{Labels, Logistic, LogisticConfig};
use super::super::parts::Parts;
use super::super::probe::{Outcome, Tell};
use super::super::recipe::ProbeRecipe;
use super::{decide, read_features, refer, save, tuned};
use crate::Result;
use candle_core::Tensor;
use cass_data::dataset::Part;
use cass_models::Model;
use cass_ops::Tracked;
use cass_run::{Penalty, PenaltyTried, ProbeEvent, ProbeReadings, RunDir};
use std::time::Instant;

/// Fits a logistic regression for each strength of the recipe's grid, takes the one with the best macro F1 on
/// the validation images, of equal ones that with the strongest penalty, and leaves it as the network's classifier.
pub(in super::super) fn by_regression(
    recipe: &ProbeRecipe,
    parts: &Parts,
    model: &Model,
    run: &RunDir,
    tell: &mut Tell,
) -> Result<Outcome> {
    let features = Features::of(recipe, parts, model, tell)?;
    let started = Instant::now();
    let settings = recipe.logistic.clone().unwrap_or_default();
    let config = LogisticConfig {
        tolerance: settings.tolerance,
        iterations: settings.iterations,
        ..LogisticConfig::default()
    };
    let fit = |used: &[Part], grid: &[f64]| {
        let rows: Vec<f32> = used
            .iter()
            .flat_map(|&p| features.rows(p))
            .copied()
            .collect();
        let samples = used.iter().flat_map(|&part| parts.indices(part));
        let samples: Vec<usize> = samples.copied().collect();
        let counts = parts.counts_of(&samples);
        let (labels, weights) = if recipe.multi_label {
            let targets = parts.dataset.targets(&samples).into_iter();
            let weights = recipe
                .class_weights
                .of_each(&counts, &parts.known_of(&samples));
            let flags = targets.map(|t| (!t.is_nan()).then_some(t == 1.0));
            (Labels::Known(flags.collect()), weights)
        } else {
            let labels = samples.iter().map(|&i| parts.dataset.samples[i].label());
            let weights = recipe.class_weights.of(&counts).into_iter();
            (
                Labels::One(labels.collect()),
                weights.map(|w| [w, w]).collect(),
            )
        };
        Logistic::path(&rows, features.dim, &labels, &weights, &config, grid)
    };
    let path = fit(&[Part::Train], &settings.grid)?;
    let (targets, classes) = (parts.targets(Part::Val), parts.dataset.classes.len());
    let mut tried = Vec::new();
    let mut best = (0, f64::NEG_INFINITY);
    for (place, (fitted, &c)) in path.iter().zip(&settings.grid).enumerate() {
        let said = decide(recipe, fitted.probabilities(features.rows(Part::Val))?);
        let val_f1_macro = f1_macro(classes, &targets, &said);
        let one = PenaltyTried {
            c,
            val_f1_macro,
            converged: fitted.converged,
            evaluations: fitted.evaluations,
        };
        tell(ProbeEvent::Penalty(one.clone()))?;
        tried.push(one);
        if val_f1_macro > best.1 {
            best = (place, val_f1_macro);
        }
    }
    let c = settings.grid[best.0];
    let fitted = if settings.refit {
        fit(&[Part::Train, Part::Val], &[c])?.remove(0)
    } else {
        path[best.0].clone()
    };
    set_classifier(model, &fitted)?;
    let seconds = started.elapsed().as_secs_f64();
    let hash = save(recipe, parts, model, run)?;
    // By the network as it is saved, so that it says the same of these images later.
    let frozen = model.frozen()?;
    let of = |part| {
        let rows = features.tensor(part, &model.options().device)?;
        let logits = frozen.classify(&Tracked::constant(&rows))?.into_value();
        Judged::of(recipe, parts, part, Decision::of(&logits, recipe)?)
    };
    let (val, test) = (of(Part::Val)?, of(Part::Test)?);
    let mut readings = ProbeReadings {
        fit_seconds: Some(seconds),
        checkpoint_sha256: hash,
        tuned: tuned(&val.said, &test.said)?,
        logistic: Some(Penalty {
            c,
            refit: settings.refit,
            tried,
        }),
        ..ProbeReadings::default()
    };
    read_features(&features, &mut readings);
    refer(recipe, &features, run)?;
    Ok(Outcome {
        val,
        test,
        f1_notebook: None,
        converged: fitted.converged,
        readings,
    })
}

/// Makes a fit the classifier of a network, of each where it has two.
fn set_classifier(model: &Model, fitted: &Logistic) -> Result<()> {
    let (weights, biases) = fitted.to_linear();
    for (_, var) in model.classifier_params() {
        let values = if var.rank() == 2 { &weights } else { &biases };
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let value = Tensor::from_vec(values, var.shape(), var.device())?;
        var.set(&value.to_dtype(var.dtype())?)?;
    }
    Ok(())
}
