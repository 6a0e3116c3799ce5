//! One probe, from a recipe to a finished folder.

use crate::{
    Error, KNN_NEIGHBOURS, Knn, Mode, MultiLabelPredictions, Result,
    counts::MicroCounts,
    features::Features,
    fit::fit,
    judge::{Decision, Judged, PartMetrics, Said, f1_macro},
    learner::Learner,
    parts::{Part, Parts},
    recipe::ProbeRecipe,
};
use candle_core::DType;
use cass_models::{Model, ModelOptions};
use cass_run::{
    Action, Bounds, Common, Neighbours, NeighboursTried, ProbeEvent as Event, ProbeMetrics,
    ProbeReadings, RunDir, Tuned,
    names::{CHECKPOINT, MANIFEST},
    sha256_of,
};
use cass_train::{FocalForm, FocalLoss, Loaded, collapse_of};
use std::{collections::BTreeMap, time::Instant};

/// Runs a probe and leaves its folder: `log.jsonl`, `manifest.tsv` (which file is in which part),
/// `predictions.csv` of the test images with `confusion.svg`, `reliability.svg` and `roc.svg` of
/// them, `checkpoint.safetensors` (the network with its fitted classifier; none for knn) and, last,
/// `metrics.json`, which is also returned. A finished folder is left as it is and its metrics
/// returned.
///
/// # Errors
/// If data or weights cannot be had, there are too few images, a file cannot be written, or the
/// loss stops being a number.
pub fn probe(
    recipe: &ProbeRecipe,
    run: &RunDir,
    observe: &mut dyn FnMut(&Event),
) -> Result<ProbeMetrics<PartMetrics>> {
    if let Some(metrics) = run.metrics()? {
        return Ok(metrics);
    }
    recipe.validate()?;
    let started = Instant::now();
    let parts = Parts::new(recipe)?;
    run.write(MANIFEST, parts.manifest().to_text().as_bytes())?;
    let options = ModelOptions {
        num_classes: parts.dataset.classes.len(),
        input_size: recipe.size,
        seed: recipe.seed,
        dtype: DType::F32,
        device: parts.device.clone(),
        ..ModelOptions::default()
    };
    let model = Model::new(&recipe.network, &options)?;
    let loaded = load_backbone(&model, recipe)?;
    let mut log = run.log()?;
    let mut tell = |event: Event| -> Result<()> {
        observe(&event);
        Ok(log.write(&event)?)
    };
    let start = |steps: u64, tell: &mut Tell| {
        tell(Event::Start {
            mode: recipe.mode.name().into(),
            weights: loaded.text.clone(),
            labels: parts.indices(Part::Train).len(),
            epochs: recipe.epochs,
            steps,
            manifest: parts.manifest().hash(),
        })
    };
    let outcome = match recipe.mode {
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
    outcome.test.write(run)?;
    let seconds = started.elapsed().as_secs_f64();
    tell(Event::Done { seconds })?;
    let metrics = outcome.metrics(recipe, &parts, loaded, seconds);
    run.finish(&metrics)?;
    Ok(metrics)
}

impl Outcome {
    fn metrics(
        self,
        recipe: &ProbeRecipe,
        parts: &Parts,
        loaded: Loaded,
        seconds: f64,
    ) -> ProbeMetrics<PartMetrics> {
        let interval = self.test.interval;
        ProbeMetrics {
            mode: recipe.mode.name().into(),
            arch: recipe.network.clone(),
            arm: recipe.arm.clone(),
            task: parts.dataset.task.name().into(),
            weights: loaded.origin,
            fraction: recipe.data.fraction,
            labels: parts.indices(Part::Train).len(),
            seed: recipe.seed,
            test: PartMetrics {
                metrics: self.test.metrics,
                f1_notebook: self.f1_notebook,
            },
            test_f1_macro_95: Some(Bounds {
                low: interval.low,
                high: interval.high,
            }),
            val: Some(PartMetrics {
                metrics: self.val.metrics,
                f1_notebook: None,
            }),
            unseen_classes: parts.unseen_classes(),
            common: Common {
                device: cass_train::device_name(&parts.device),
                threads: rayon::current_num_threads(),
                manifest: parts.manifest().hash(),
                skipped: parts.dataset.skipped.clone(),
                deviations: recipe.deviations(),
                chosen: recipe.chosen(),
                version: env!("CARGO_PKG_VERSION").into(),
                ..Common::new(seconds)
            },
            readings: self.readings,
        }
    }
}

/// Loads the weights that are judged, and leaves the classifier as it was initialised: one of as many
/// classes in the file was fitted to others, or to these already.
pub(crate) fn load_backbone(model: &Model, recipe: &ProbeRecipe) -> Result<Loaded> {
    let fresh = model.classifier_params().into_iter();
    let fresh = fresh.map(|(_, var)| Ok((var.as_tensor().copy()?, var)));
    let fresh = fresh.collect::<Result<Vec<_>>>()?;
    let loaded = cass_train::load_weights(model, &recipe.network, &recipe.weights, recipe.seed)?;
    for (value, var) in fresh {
        var.set(&value)?;
    }
    Ok(loaded)
}

/// Takes what happens.
type Tell<'a> = dyn FnMut(Event) -> Result<()> + 'a;

/// How a probe ended.
struct Outcome {
    val: Judged,
    test: Judged,
    /// The published notebook's metric, under its loss.
    f1_notebook: Option<f64>,
    /// What `metrics.json` holds of this mode alone; the rest is empty.
    readings: ProbeReadings,
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
        ("mode", recipe.mode.name().to_string()),
    ];
    let checkpoint = run.file(CHECKPOINT);
    run.write(CHECKPOINT, &learner.model().to_safetensors(&metadata)?)?;
    let of = |part| {
        let logits = learner.logits(part)?;
        let mut counts = MicroCounts::default();
        counts.add(&logits, &parts.targets(part))?;
        let decisions = Decision::of(&logits, recipe)?;
        Ok::<_, Error>((Judged::of(recipe, parts, part, decisions)?, counts))
    };
    let ((val, _), (test, counts)) = (of(Part::Val)?, of(Part::Test)?);
    let hash = sha256_of(&checkpoint);
    let mut readings = ProbeReadings {
        fit_seconds: Some(seconds),
        epochs: Some(fitted.epochs),
        best_epoch: Some(fitted.best_epoch),
        checkpoint_sha256: Some(hash.map_err(cass_run::Error::io(Action::Read, &checkpoint))?),
        ..ProbeReadings::default()
    };
    if let Some(features) = learner.features() {
        read_features(features, &mut readings);
    }
    if let (Said::Any(val), Said::Any(test)) = (&val.said, &test.said) {
        readings.tuned = Some(tuned(val, test)?);
    }
    Ok(Outcome {
        val,
        test,
        f1_notebook: (recipe.loss == FocalForm::Sigmoid).then(|| counts.f1()),
        readings,
    })
}

/// What thresholds chosen on the validation images would give on the test images.
fn tuned(val: &MultiLabelPredictions, test: &MultiLabelPredictions) -> Result<Tuned> {
    let thresholds = val.best_thresholds();
    let names = val.classes.iter().cloned();
    let metrics = test.decided_at(&thresholds).metrics()?;
    Ok(Tuned {
        thresholds: names.zip(thresholds).collect(),
        test_f1_macro: metrics.averages.f1_macro,
    })
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
    let mut tried = BTreeMap::new();
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
            NeighboursTried {
                train_f1_macro: train,
                train_accuracy,
                test_f1_macro: test.f1_macro,
                test_accuracy: test.accuracy,
            },
        );
        if train > best.1 {
            best = (k, train);
        }
    }
    let mut readings = ProbeReadings {
        knn: Some(Neighbours { k: best.0, tried }),
        ..ProbeReadings::default()
    };
    read_features(&features, &mut readings);
    Ok(Outcome {
        val: judged(Part::Val, best.0)?,
        test: judged(Part::Test, best.0)?,
        f1_notebook: None,
        readings,
    })
}

/// What the frozen features themselves say.
fn read_features(features: &Features, readings: &mut ProbeReadings) {
    readings.collapse = collapse_of(features.rows(Part::Test), features.dim);
    readings.features_computed = Some(features.computed);
    readings.features_seconds = Some(features.seconds);
}
