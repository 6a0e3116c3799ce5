//! One probe, from a recipe to a finished folder.

use crate::{
    Confusion, Error, Interval, Metrics, Mode, Prediction, Predictions, Result,
    counts::MicroCounts,
    event::Event,
    fit::{fit, predictions},
    learner::Learner,
    parts::{Part, Parts},
    recipe::ProbeRecipe,
};
use candle_core::{D, DType, Tensor};
use candle_nn::ops::{sigmoid, softmax};
use cass_models::{Model, ModelOptions};
use cass_train::{Collapse, FocalForm, FocalLoss, RunDir};
use serde_json::{Value, json};
use std::time::Instant;

/// Runs a probe and leaves its folder: `log.jsonl`, `predictions.csv` of the test images,
/// `manifest.tsv` (which file is in which part), `checkpoint.safetensors` (the network with its
/// fitted classifier) and, last, `metrics.json`, which is also returned. A finished folder is left as it is and its metrics returned.
///
/// # Errors
/// If data or weights cannot be had, there are too few images, a file cannot be written, or the
/// loss stops being a number.
pub fn probe(recipe: &ProbeRecipe, run: &RunDir, observe: &mut dyn FnMut(&Event)) -> Result<Value> {
    if let Some(metrics) = run.metrics()? {
        return Ok(metrics);
    }
    recipe.validate()?;
    let started = Instant::now();
    let parts = Parts::new(recipe)?;
    run.write("manifest.tsv", parts.manifest.to_text().as_bytes())?;
    let options = ModelOptions {
        num_classes: parts.dataset.classes.len(),
        input_size: recipe.size,
        seed: recipe.seed,
        dtype: DType::F32,
        device: parts.device.clone(),
    };
    let model = Model::new(&recipe.network, &options)?;
    let origin = cass_train::load_weights(&model, &recipe.network, &recipe.weights, recipe.seed)?;
    let mut log = run.log()?;
    let mut tell = |event: Event| -> Result<()> {
        observe(&event);
        Ok(log.write(&event)?)
    };
    let loss = FocalLoss::new(recipe.loss, &parts.counts());
    let mut learner = Learner::new(recipe, &parts, model, loss)?;
    tell(Event::Start {
        mode: recipe.mode,
        weights: origin.text.clone(),
        labels: parts.indices(Part::Train).len(),
        epochs: recipe.epochs,
        steps: (recipe.epochs * learner.steps()) as u64,
        manifest: parts.manifest.hash(),
    })?;
    let fitted = fit(recipe, &parts, &mut learner, &mut tell)?;

    let [val, test] = [Part::Val, Part::Test].map(|part| judge(recipe, &parts, &learner, part));
    let (val, test) = (val?, test?);
    test.predictions.write(&run.file("predictions.csv"))?;
    let metadata = [
        ("classes", parts.dataset.classes.join(",")),
        (
            "mode",
            json!(recipe.mode).as_str().unwrap_or_default().to_string(),
        ),
    ];
    learner
        .model()
        .save(&run.file("checkpoint.safetensors"), &metadata)?;
    let seconds = started.elapsed().as_secs_f64();
    tell(Event::Done { seconds })?;
    let mut metrics = json!({
        "kind": "probe",
        "mode": recipe.mode,
        "arch": recipe.network,
        "arm": recipe.arm,
        "weights": origin.value,
        "fraction": recipe.fraction,
        "labels": parts.indices(Part::Train).len(),
        "seed": recipe.seed,
        "test": test.metrics,
        "test_f1_macro_95": test.interval,
        "val": val.metrics,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "seconds": seconds,
        "device": cass_train::device_name(&parts.device),
        "threads": rayon::current_num_threads(),
        "manifest": parts.manifest.hash(),
        "skipped": parts.skipped(),
        "deviations": recipe.deviations(),
        "chosen": recipe.chosen(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    add_readings(&mut metrics, recipe, &learner, &test)?;
    run.finish(&metrics)?;
    Ok(metrics)
}

/// What only one mode or protocol has.
fn add_readings(
    metrics: &mut Value,
    recipe: &ProbeRecipe,
    learner: &Learner,
    test: &Judged,
) -> Result<()> {
    if let (Mode::Linear, Some(features)) = (recipe.mode, learner.test_features()) {
        let dim = features.dim(1)?;
        let values = features
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        metrics["collapse"] = json!(Collapse::of(&values, dim));
    }
    if recipe.loss == FocalForm::Sigmoid {
        metrics["test"]["f1_notebook"] = json!(test.counts.f1());
    }
    Ok(())
}

struct Judged {
    metrics: Metrics,
    interval: Interval,
    predictions: Predictions,
    counts: MicroCounts,
}

fn judge(recipe: &ProbeRecipe, parts: &Parts, learner: &Learner, part: Part) -> Result<Judged> {
    let logits = learner.logits(part)?;
    let labels = parts.labels(part);
    let mut counts = MicroCounts::default();
    counts.add(&logits, &labels)?;
    let predicted = predictions(&logits)?;
    let rows = probabilities(&logits, recipe.loss)?;
    if rows.iter().flatten().any(|p| !p.is_finite()) {
        return Err(Error::NotFinite);
    }
    let samples = parts
        .indices(part)
        .iter()
        .map(|&i| &parts.dataset.samples[i]);
    let rows = samples
        .zip(predicted)
        .zip(rows)
        .map(|((sample, predicted), probabilities)| Prediction {
            file: sample
                .path
                .strip_prefix(&parts.dataset.root)
                .unwrap_or(&sample.path)
                .display()
                .to_string(),
            truth: sample.label(),
            predicted,
            probabilities,
        })
        .collect();
    let predictions = Predictions {
        classes: parts.dataset.classes.clone(),
        rows,
    };
    Ok(Judged {
        metrics: predictions.metrics()?,
        interval: predictions
            .confusion()?
            .interval(recipe.seed, Confusion::f1_macro),
        predictions,
        counts,
    })
}

/// One a class: softmax, or under the notebook's loss each class' own sigmoid.
fn probabilities(logits: &Tensor, form: FocalForm) -> Result<Vec<Vec<f64>>> {
    let logits = logits.to_dtype(DType::F64)?;
    let p = match form {
        FocalForm::Softmax => softmax(&logits, D::Minus1)?,
        FocalForm::Sigmoid => sigmoid(&logits)?,
    };
    // Rounding may leave a sum, and so a value, a last digit above 1.
    Ok(p.minimum(1.0)?.to_vec2::<f64>()?)
}
