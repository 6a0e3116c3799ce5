//! One probe, from a recipe to a finished folder.

use crate::{
    Confusion, Error, Interval, KNN_NEIGHBOURS, Knn, Metrics, Mode, Prediction, Predictions,
    Result,
    counts::MicroCounts,
    event::Event,
    features::Features,
    fit::{fit, predictions},
    learner::Learner,
    parts::{Part, Parts},
    recipe::ProbeRecipe,
};
use candle_core::{D, DType, Tensor};
use candle_nn::ops::{sigmoid, softmax};
use cass_models::{Model, ModelOptions};
use cass_train::{Collapse, FocalForm, FocalLoss, RunDir};
use serde_json::{Map, Value, json};
use std::time::Instant;

/// Runs a probe and leaves its folder: `log.jsonl`, `manifest.tsv` (which file is in
/// which part), `predictions.csv` of the test images with
/// `confusion.svg`, `reliability.svg` and `roc.svg` of them, `checkpoint.safetensors` (the network
/// with its fitted classifier; none for knn) and, last, `metrics.json`, which is also returned. A finished folder is left as it is and its metrics returned.
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
    let start = |steps: u64, tell: &mut Tell| {
        tell(Event::Start {
            mode: recipe.mode,
            weights: origin.text.clone(),
            labels: parts.indices(Part::Train).len(),
            epochs: recipe.epochs,
            steps,
            manifest: parts.manifest.hash(),
        })
    };
    let Outcome {
        val,
        test,
        f1_notebook,
        readings,
    } = match recipe.mode {
        Mode::Knn => {
            start(0, &mut tell)?;
            by_neighbours(recipe, &parts, &model)?
        }
        Mode::Linear | Mode::Finetune => {
            let loss = FocalLoss::new(recipe.loss, &parts.counts());
            let mut learner = Learner::new(recipe, &parts, model, loss)?;
            start((recipe.epochs * learner.steps()) as u64, &mut tell)?;
            by_training(recipe, &parts, &mut learner, run, &mut tell)?
        }
    };
    test.predictions.write(&run.file("predictions.csv"))?;
    let figures = [
        ("confusion.svg", Some(test.predictions.confusion_svg()?)),
        ("reliability.svg", test.predictions.reliability_svg()),
        ("roc.svg", test.predictions.roc_svg()),
    ];
    for (name, svg) in figures {
        run.write(name, svg.unwrap_or_default().as_bytes())?;
    }
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
        "unseen_classes": parts.unseen_classes(),
        "seconds": seconds,
        "device": cass_train::device_name(&parts.device),
        "threads": rayon::current_num_threads(),
        "manifest": parts.manifest.hash(),
        "skipped": parts.skipped(),
        "deviations": recipe.deviations(),
        "chosen": recipe.chosen(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    if let Some(f1) = f1_notebook {
        metrics["test"]["f1_notebook"] = json!(f1);
    }
    if let Value::Object(metrics) = &mut metrics {
        metrics.extend(readings);
    }
    run.finish(&metrics)?;
    Ok(metrics)
}

/// Takes what happens.
type Tell<'a> = dyn FnMut(Event) -> Result<()> + 'a;

/// How a probe ended.
struct Outcome {
    val: Judged,
    test: Judged,
    /// The published notebook's metric, under its loss.
    f1_notebook: Option<f64>,
    /// What `metrics.json` holds of this mode or protocol alone.
    readings: Map<String, Value>,
}

/// Trains, and leaves the network with its fitted classifier as `checkpoint.safetensors`.
fn by_training(
    recipe: &ProbeRecipe,
    parts: &Parts,
    learner: &mut Learner,
    run: &RunDir,
    tell: &mut Tell,
) -> Result<Outcome> {
    let fitted = fit(recipe, parts, learner, tell)?;
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
    let of = |part| {
        let logits = learner.logits(part)?;
        let mut counts = MicroCounts::default();
        counts.add(&logits, &parts.labels(part))?;
        let said = predictions(&logits)?
            .into_iter()
            .zip(probabilities(&logits, recipe.loss)?);
        Ok::<_, Error>((judge(recipe, parts, part, said)?, counts))
    };
    let ((val, _), (test, counts)) = (of(Part::Val)?, of(Part::Test)?);
    let mut readings = Map::new();
    readings.insert("epochs".into(), json!(fitted.epochs));
    readings.insert("best_epoch".into(), json!(fitted.best_epoch));
    if let Some(features) = learner.features() {
        readings.extend(of_features(features));
    }
    Ok(Outcome {
        val,
        test,
        f1_notebook: (recipe.loss == FocalForm::Sigmoid).then(|| counts.f1()),
        readings,
    })
}

/// Lets the labelled images vote.
fn by_neighbours(recipe: &ProbeRecipe, parts: &Parts, model: &Model) -> Result<Outcome> {
    let features = Features::of(recipe, parts, model)?;
    let (labels, classes) = (parts.labels(Part::Train), parts.dataset.classes.len());
    let knn = Knn::new(
        features.rows(Part::Train),
        features.dim,
        labels.clone(),
        classes,
    )?;
    let mut tried = Map::new();
    let mut best = (0, f64::NEG_INFINITY);
    for k in KNN_NEIGHBOURS {
        let votes = knn.leave_one_out(k);
        let predicted: Vec<usize> = votes.iter().map(|row| largest(row)).collect();
        let train = Confusion::new(classes, &labels, &predicted)?;
        let test = judge_votes(recipe, parts, &knn, &features, Part::Test, k)?;
        tried.insert(
            k.to_string(),
            json!({
                "train_f1_macro": train.f1_macro(),
                "train_accuracy": train.accuracy(),
                "test_f1_macro": test.metrics.averages.f1_macro,
                "test_accuracy": test.metrics.accuracy,
            }),
        );
        if train.f1_macro() > best.1 {
            best = (k, train.f1_macro());
        }
    }
    let judged = |part| judge_votes(recipe, parts, &knn, &features, part, best.0);
    let mut readings = of_features(&features);
    readings.insert("knn".into(), json!({"k": best.0, "tried": tried}));
    Ok(Outcome {
        val: judged(Part::Val)?,
        test: judged(Part::Test)?,
        f1_notebook: None,
        readings,
    })
}

fn judge_votes(
    recipe: &ProbeRecipe,
    parts: &Parts,
    knn: &Knn,
    features: &Features,
    part: Part,
    k: usize,
) -> Result<Judged> {
    let votes = knn.probabilities(features.rows(part), k)?;
    let said = votes.into_iter().map(|row| (largest(&row), row));
    judge(recipe, parts, part, said)
}

/// The place of the largest value, the first of equal ones.
fn largest(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// What the frozen features themselves say.
fn of_features(features: &Features) -> Map<String, Value> {
    let collapse = Collapse::of(features.rows(Part::Test), features.dim);
    Map::from_iter([
        ("collapse".to_string(), json!(collapse)),
        ("features_computed".to_string(), json!(features.computed)),
    ])
}

struct Judged {
    metrics: Metrics,
    interval: Interval,
    predictions: Predictions,
}

/// Judges what was said of each image of a part: a class and the probabilities of all.
fn judge(
    recipe: &ProbeRecipe,
    parts: &Parts,
    part: Part,
    said: impl Iterator<Item = (usize, Vec<f64>)>,
) -> Result<Judged> {
    let samples = parts
        .indices(part)
        .iter()
        .map(|&i| &parts.dataset.samples[i]);
    let rows = samples
        .zip(said)
        .map(|(sample, (predicted, probabilities))| Prediction {
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
    })
}

/// One a class: softmax, or under the notebook's loss each class' own sigmoid.
pub(crate) fn probabilities(logits: &Tensor, form: FocalForm) -> Result<Vec<Vec<f64>>> {
    let logits = logits.to_dtype(DType::F64)?;
    let p = match form {
        FocalForm::Softmax => softmax(&logits, D::Minus1)?,
        FocalForm::Sigmoid => sigmoid(&logits)?,
    };
    // Rounding may leave a sum, and so a value, a last digit above 1.
    let rows = p.minimum(1.0)?.to_vec2::<f64>()?;
    if rows.iter().flatten().any(|p| !p.is_finite()) {
        return Err(Error::NotFinite);
    }
    Ok(rows)
}
