//! One probe, from a recipe to a finished folder.

use super::{
    counts::MicroCounts,
    epochs::fit,
    event::Event,
    features::Features,
    judge::{Decision, Judged, Said, f1_macro},
    knn::{KNN_NEIGHBOURS, Knn},
    learner::Learner,
    parts::Parts,
    recipe::{ProbeMode, ProbeRecipe},
};
use crate::{Error, Result};
use base16ct::lower::encode_string as hex;
use candle_core::DType;
use cass_data::Part;
use cass_metrics::MultiLabelPredictions;
use cass_models::{Model, ModelOptions};
use cass_train::{Collapse, FocalForm, FocalLoss, Origin, RunDir};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    time::Instant,
};

/// The network with its fitted classifier, in the folder of a probe.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Runs a probe and leaves its folder: `log.jsonl`, `manifest.tsv` (which file is in which part),
/// `predictions.csv` of the test images with `confusion.svg`, `reliability.svg` and `roc.svg` of
/// them, `checkpoint.safetensors` (the network with its fitted classifier; none for knn) and, last,
/// `metrics.json`, which is also returned. A finished folder is left as it is and its metrics
/// returned.
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
    let origin = load_backbone(&model, recipe)?;
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
        ProbeMode::Knn => {
            start(0, &mut tell)?;
            by_neighbours(recipe, &parts, &model)?
        }
        ProbeMode::Linear | ProbeMode::Finetune => {
            let loss = FocalLoss::new(recipe.loss, &parts.counts());
            let mut learner = Learner::new(recipe, &parts, model, loss)?;
            start((recipe.epochs * learner.steps()) as u64, &mut tell)?;
            by_training(recipe, &parts, &mut learner, run, &mut tell)?
        }
    };
    test.write(run)?;
    let seconds = started.elapsed().as_secs_f64();
    tell(Event::Done { seconds })?;
    let mut metrics = json!({
        "kind": "probe",
        "mode": recipe.mode,
        "arch": recipe.network,
        "arm": recipe.arm,
        "task": parts.dataset.task.name(),
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

/// Loads the weights that are judged, and leaves the classifier as it was initialised: one of as many
/// classes in the file was fitted to others, or to these already.
pub(crate) fn load_backbone(model: &Model, recipe: &ProbeRecipe) -> Result<Origin> {
    let fresh = model.classifier_params().into_iter();
    let fresh = fresh.map(|(_, var)| Ok((var.as_tensor().copy()?, var)));
    let fresh = fresh.collect::<Result<Vec<_>>>()?;
    let origin = cass_train::load_weights(model, &recipe.network, &recipe.weights, recipe.seed)?;
    for (value, var) in fresh {
        var.set(&value)?;
    }
    Ok(origin)
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
    let started = Instant::now();
    let fitted = fit(recipe, parts, learner, tell)?;
    let seconds = started.elapsed().as_secs_f64();
    let metadata = [
        ("classes", parts.dataset.classes.join(",")),
        (
            "mode",
            json!(recipe.mode).as_str().unwrap_or_default().to_string(),
        ),
    ];
    let checkpoint = run.file(CHECKPOINT);
    run.save(CHECKPOINT, learner.model(), &metadata)?;
    let of = |part| {
        let logits = learner.logits(part)?;
        let mut counts = MicroCounts::default();
        counts.add(&logits, &parts.targets(part))?;
        let decisions = Decision::of(&logits, recipe)?;
        Ok::<_, Error>((Judged::of(recipe, parts, part, decisions)?, counts))
    };
    let ((val, _), (test, counts)) = (of(Part::Val)?, of(Part::Test)?);
    let mut readings = Map::new();
    readings.insert("fit_seconds".into(), json!(seconds));
    readings.insert("epochs".into(), json!(fitted.epochs));
    readings.insert("best_epoch".into(), json!(fitted.best_epoch));
    readings.insert("checkpoint_sha256".into(), json!(sha256(&checkpoint)?));
    if let Some(features) = learner.features() {
        readings.extend(of_features(features));
    }
    if let (Said::Any(val), Said::Any(test)) = (&val.said, &test.said) {
        readings.insert("tuned".into(), tuned(val, test)?);
    }
    Ok(Outcome {
        val,
        test,
        f1_notebook: (recipe.loss == FocalForm::Sigmoid).then(|| counts.f1()),
        readings,
    })
}

/// What thresholds chosen on the validation images would give on the test images.
fn tuned(val: &MultiLabelPredictions, test: &MultiLabelPredictions) -> Result<Value> {
    let thresholds = val.best_thresholds();
    let names = val.classes.iter().cloned();
    let named: Map<_, _> = names.zip(thresholds.iter().map(|&t| json!(t))).collect();
    let metrics = test.decided_at(&thresholds).metrics()?;
    Ok(json!({"thresholds": named, "test_f1_macro": metrics.averages.f1_macro}))
}

/// Lets the labelled images vote.
fn by_neighbours(recipe: &ProbeRecipe, parts: &Parts, model: &Model) -> Result<Outcome> {
    let features = Features::of(recipe, parts, model)?;
    let (targets, classes) = (parts.targets(Part::Train), parts.dataset.classes.len());
    let samples = parts.indices(Part::Train).iter();
    let labels = samples.map(|&i| parts.dataset.samples[i].labels.clone());
    let rows = features.rows(Part::Train);
    let knn = Knn::multi_label(rows, features.dim, labels.collect(), classes)?;
    let decide = |votes: Vec<Vec<f64>>| -> Vec<Decision> {
        let choose = if recipe.multi_label {
            Decision::above_half
        } else {
            Decision::largest
        };
        votes.into_iter().map(choose).collect()
    };
    let judged = |part, k| {
        let votes = knn.probabilities(features.rows(part), k)?;
        Judged::of(recipe, parts, part, decide(votes))
    };
    let mut tried = Map::new();
    let mut best = (0, f64::NEG_INFINITY);
    for k in KNN_NEIGHBOURS {
        let said = decide(knn.leave_one_out(k));
        let train = f1_macro(classes, &targets, &said);
        let pairs = said.iter().zip(parts.indices(Part::Train));
        let right = pairs.filter(|(d, i)| d.classes == parts.dataset.samples[**i].labels);
        let train_accuracy = right.count() as f64 / said.len() as f64;
        let test = judged(Part::Test, k)?;
        tried.insert(
            k.to_string(),
            json!({
                "train_f1_macro": train,
                "train_accuracy": train_accuracy,
                "test_f1_macro": test.f1_macro,
                "test_accuracy": test.accuracy,
            }),
        );
        if train > best.1 {
            best = (k, train);
        }
    }
    let mut readings = of_features(&features);
    readings.insert("knn".into(), json!({"k": best.0, "tried": tried}));
    Ok(Outcome {
        val: judged(Part::Val, best.0)?,
        test: judged(Part::Test, best.0)?,
        f1_notebook: None,
        readings,
    })
}

/// What the frozen features themselves say.
fn of_features(features: &Features) -> Map<String, Value> {
    let collapse = Collapse::of(features.rows(Part::Test), features.dim);
    Map::from_iter([
        ("collapse".to_string(), json!(collapse)),
        ("features_computed".to_string(), json!(features.computed)),
        ("features_seconds".to_string(), json!(features.seconds)),
    ])
}

/// Of a file, in hexadecimal.
fn sha256(file: &Path) -> Result<String> {
    let failed = |source| Error::Io {
        action: "read",
        path: file.into(),
        source,
    };
    let mut hash = Sha256::new();
    let mut bytes = BufReader::with_capacity(1 << 20, File::open(file).map_err(failed)?);
    loop {
        let chunk = bytes.fill_buf().map_err(failed)?;
        if chunk.is_empty() {
            break;
        }
        hash.update(chunk);
        let taken = chunk.len();
        bytes.consume(taken);
    }
    Ok(hex(&hash.finalize()))
}
