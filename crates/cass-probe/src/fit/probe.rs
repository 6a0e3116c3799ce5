//! One probe, from a recipe to a finished folder.

use super::judge::{Judged, PartMetrics};
use super::learner::Learner;
use super::parts::Parts;
use super::recipe::{ClassWeights, ProbeMode, ProbeRecipe};
use super::{warnings, ways};
use crate::Result;
use cass_data::dataset::Part;
use cass_models::Model;
use cass_run::names::{LOG, MANIFEST};
use cass_run::{Bounds, Common, ProbeEvent as Event, ProbeMetrics, ProbeReadings, RunDir};
use cass_train::methods::FocalLoss;
use cass_train::weights::Loaded;
use std::time::Instant;

/// Runs a probe and leaves its folder: `log.jsonl`, `manifest.tsv` (which file is in which part),
/// `predictions.csv` of the test images with their groups, if they have any, in `groups.csv`, figures
/// of them (`confusion.svg`, `reliability.svg`, `roc.svg`, `precision-recall.svg`),
/// `checkpoint.safetensors` (the network with its fitted classifier; with knn its labelled features
/// are in `neighbours.safetensors`) and, last, `metrics.json`, which is also returned. A finished
/// folder is left as it is and its metrics returned.
///
/// # Errors
/// If data or weights cannot be used, there are too few images, a file cannot be written, or the
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
    let model = recipe.network(parts.dataset.classes.len(), parts.device.clone())?;
    let loaded = load_backbone(&model, recipe)?;
    // What an attempt computed that was killed, and the next one finds in the cache.
    let earlier = computed_earlier(run);
    let mut log = run.log()?;
    let mut tell = |mut event: Event| -> Result<()> {
        if let Event::Features { computed } = &mut event {
            *computed = earlier.max(*computed);
        }
        observe(&event);
        if event.is_logged() {
            log.write(&event)?;
        }
        Ok(())
    };
    let start = |steps: u64, tell: &mut Tell| {
        let classes = parts.dataset.classes.iter().cloned();
        tell(Event::Start {
            mode: recipe.mode.name().into(),
            weights: loaded.text.clone(),
            labels: parts.indices(Part::Train).len(),
            test: classes.zip(parts.counts(Part::Test)).collect(),
            epochs: recipe.epochs,
            steps,
            manifest: parts.manifest().hash(),
        })
    };
    let outcome = match recipe.mode {
        ProbeMode::Knn => {
            start(0, &mut tell)?;
            ways::by_neighbours(recipe, &parts, &model, run, &mut tell)?
        }
        ProbeMode::Logistic => {
            start(0, &mut tell)?;
            ways::by_regression(recipe, &parts, &model, run, &mut tell)?
        }
        ProbeMode::Linear | ProbeMode::Finetune => {
            let counts = parts.counts(Part::Train);
            let loss = FocalLoss {
                weights: recipe.class_weights.of(&counts),
                ..FocalLoss::new(recipe.loss, &counts)
            };
            let mut learner = Learner::new(recipe, &parts, model, loss, &mut tell)?;
            start((recipe.epochs * learner.steps()) as u64, &mut tell)?;
            ways::by_training(recipe, &parts, &mut learner, run, &mut tell)?
        }
    };
    outcome.test.write(&parts, run)?;
    let warnings = warnings::of(recipe, &parts, &outcome);
    for text in &warnings {
        let text = text.clone();
        tell(Event::Warning { text })?;
    }
    let seconds = started.elapsed().as_secs_f64();
    tell(Event::Done { seconds })?;
    let mut metrics = outcome.metrics(recipe, &parts, loaded, warnings, seconds);
    if let Some(computed) = &mut metrics.readings.features_computed {
        *computed = earlier.max(*computed);
    }
    metrics.common.files = run.sums();
    run.finish(&metrics)?;
    Ok(metrics)
}

/// How many images' features an earlier attempt at this run has computed.
fn computed_earlier(run: &RunDir) -> usize {
    let log = cass_run::read_text(&run.file(LOG)).unwrap_or_default();
    let events = log.as_deref().unwrap_or_default().lines();
    let computed = events.filter_map(|line| match serde_json::from_str(line) {
        Ok(Event::Features { computed }) => Some(computed),
        _ => None,
    });
    computed.max().unwrap_or_default()
}

/// Loads the weights that are judged, and leaves the classifier as it was initialised: one of as many
/// classes in the file was fitted to others, or to these already.
pub(crate) fn load_backbone(model: &Model, recipe: &ProbeRecipe) -> Result<Loaded> {
    let fresh = model.classifier_params().into_iter();
    let fresh = fresh.map(|(_, var)| Ok((var.as_tensor().copy()?, var)));
    let fresh = fresh.collect::<Result<Vec<_>>>()?;
    let loaded =
        cass_train::weights::load_weights(model, &recipe.network, &recipe.weights, recipe.seed)?;
    for (value, var) in fresh {
        var.set(&value)?;
    }
    Ok(loaded)
}

/// Takes what happens.
pub(super) type Tell<'a> = dyn FnMut(Event) -> Result<()> + 'a;

/// How a probe ended.
pub(super) struct Outcome {
    pub(super) val: Judged,
    pub(super) test: Judged,
    /// The published notebook's metric, under its loss.
    pub(super) f1_notebook: Option<f64>,
    /// Whether more training would have changed nothing that is measured.
    pub(super) converged: bool,
    /// What `metrics.json` holds of this mode alone; the rest is empty.
    pub(super) readings: ProbeReadings,
}

impl Outcome {
    fn metrics(
        self,
        recipe: &ProbeRecipe,
        parts: &Parts,
        loaded: Loaded,
        warnings: Vec<String>,
        seconds: f64,
    ) -> ProbeMetrics<PartMetrics> {
        let part = |metrics| PartMetrics {
            metrics,
            f1_notebook: None,
        };
        let weights = match recipe.mode {
            ProbeMode::Knn => ClassWeights::None,
            _ => recipe.class_weights,
        };
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
            test_f1_macro_95: self.test.interval.as_ref().ok().map(|interval| Bounds {
                low: interval.low,
                high: interval.high,
            }),
            interval_not_given: self.test.interval.err().map(|reason| reason.to_string()),
            test_per_group: self.test.by_group.map(part),
            val: Some(part(self.val.metrics)),
            class_weights: weights.name().into(),
            converged: Some(self.converged),
            warnings,
            unseen_classes: parts.unseen_classes(),
            common: Common {
                device: cass_train::device::device_name(&parts.device),
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
