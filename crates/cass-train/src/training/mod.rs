//! The visible loop: from a recipe to a finished run folder.

mod checkpoint;
mod look;
mod options;
mod progress;
mod provenance;
mod setup;
mod tell;
mod watch;

pub use options::{PretrainOptions, Stop};

use crate::average::{WeightAverage, update_bn};
use crate::device::device_name;
use crate::error::{Error, Result};
use crate::features::ArmLook;
use crate::memory::{peak_gpu_mib, peak_rss_mib};
use crate::recipe::{Keep, ValidRecipe};
use crate::states::States;
use crate::step::statistics::Statistics;
use crate::step::{Step, StepReport};
use candle_core::Tensor;
use cass_models::Model;
use cass_ops::scope::interruptible;
use cass_run::names::{MANIFEST, checkpoint};
use cass_run::{
    BeforeAfter, Common, Origin, PretrainEpoch, PretrainEvent as Event, PretrainMetrics, RunDir,
    When,
};
use options::Cadence;
use progress::{EpochSoFar, Progress};
use setup::{Origins, Setup};
use std::collections::BTreeMap;
use std::time::Instant;
use tell::Tell;

/// Runs a pretraining from images to checkpoints and metrics, and tells `observe` what happens.
///
/// The folder gets `manifest.tsv` (which file is in which part), `log.jsonl` during the run,
/// `checkpoint-<arm>.safetensors` after every epoch and, last, `metrics.json`, which is also
/// returned. A finished folder is left as it is and its metrics returned. Under `swa` the final
/// checkpoints hold the averaged weights.
///
/// In between, `resume/` holds the last two states of the training. A run that was stopped, at
/// whatever moment, continues from the last whole one, and ends with the same bytes as one that never
/// was, but for [`WALL_CLOCK`](cass_run::WALL_CLOCK).
///
/// # Errors
/// If data or weights cannot be read, a file cannot be written, or the loss stops being a number:
/// the checkpoints before are kept then. [`Error::Interrupted`] if `options.stop` asked for it.
pub fn pretrain(
    recipe: &ValidRecipe,
    run: &RunDir,
    options: &PretrainOptions,
    observe: &mut dyn FnMut(&Event),
) -> Result<PretrainMetrics> {
    let states = States::of(run);
    if let Some(metrics) = run.metrics()? {
        return Ok(metrics);
    }
    let started = Instant::now();
    let setup = Setup::new(recipe, options)?;
    for text in &setup.warnings {
        let text = text.clone();
        observe(&Event::Warning { text });
    }
    let (step, origins) = setup.method(recipe, options.recompute)?;
    let state = states.last(&mut |text| observe(&Event::Warning { text }))?;
    let earlier = state.as_ref().map(|state| &state.about);
    let tell = Tell::open(run, earlier, &setup.device, observe)?;
    let mut training = Training {
        step,
        origins,
        averages: Vec::new(),
        kept: Vec::new(),
        progress: Progress::new(setup.manifest.hash()),
        cadence: Cadence::new(options.checkpoint_every),
        started,
        recipe,
        run,
        states,
        options,
        setup: &setup,
        tell,
    };
    match state {
        Some(state) => training.resume(state)?,
        None => training.start()?,
    }
    // By every attempt: it says what they were.
    run.write(MANIFEST, setup.manifest.to_text().as_bytes())?;
    training.write_provenance()?;
    if training.progress.unwatched {
        training.watch(training.progress.epochs.len().saturating_sub(1))?;
    }
    training.heed_collapse()?;
    while training.progress.step < training.steps() {
        training.epoch()?;
    }
    let after = training.finish()?;
    let seconds = training.seconds();
    let metrics = training.metrics(&after, seconds);
    training.tell.event(&Event::Done { seconds })?;
    run.finish(&metrics)?;
    run.clear_resume()?;
    Ok(metrics)
}

struct Training<'a> {
    step: Box<dyn Step>,
    origins: Origins,
    /// Average of each arm's weights, once averaging has started.
    averages: Vec<WeightAverage>,
    /// The best network of each arm so far, where these are kept.
    kept: Vec<Model>,
    progress: Progress,
    cadence: Cadence,
    /// When this attempt began.
    started: Instant,
    recipe: &'a ValidRecipe,
    run: &'a RunDir,
    states: States<'a>,
    options: &'a PretrainOptions,
    setup: &'a Setup,
    tell: Tell<'a>,
}

impl Training<'_> {
    fn start(&mut self) -> Result<()> {
        // Of no state that can be used.
        self.run.clear_resume()?;
        let begun = self.begun();
        self.tell.event(&begun)?;
        for (arm, origin) in &self.origins {
            let (arm, text) = (arm.clone(), origin.text.clone());
            self.tell.event(&Event::Weights { arm, text })?;
        }
        let before = self.look_through(When::Before, 0)?;
        let arms = self.recipe.arms.keys().cloned();
        let features = before.iter().map(|reading| reading.features);
        self.progress.before = arms.zip(features).collect();
        self.progress.start = self.look_through(When::Start, 0)?;
        Ok(())
    }

    /// What a log begins with.
    fn begun(&self) -> Event {
        Event::Start {
            method: self.recipe.method.name().into(),
            losses: self
                .recipe
                .method
                .losses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            epochs: self.recipe.epochs,
            steps: self.steps(),
            images: self.setup.train.images(),
            device: device_name(&self.setup.device),
            manifest: self.setup.manifest.hash(),
        }
    }

    /// Steps an epoch.
    fn epoch_steps(&self) -> u64 {
        self.setup.train.batches() as u64
    }

    /// Steps of the whole run.
    fn steps(&self) -> u64 {
        self.setup.steps(self.recipe)
    }

    /// Spent so far, in all attempts.
    fn seconds(&self) -> f64 {
        self.progress.seconds + self.started.elapsed().as_secs_f64()
    }

    /// Takes the steps that are left of the epoch, and ends it.
    fn epoch(&mut self) -> Result<()> {
        let (started, steps) = (Instant::now(), self.steps());
        let before = self.progress.epoch.seconds;
        let epoch = (self.progress.step / self.epoch_steps()) as usize;
        let first = (self.progress.step % self.epoch_steps()) as usize;
        for batch in self.setup.train.epoch_from(epoch as u64, first) {
            let batch = batch?;
            let Some(report) = self.step(&batch.views).map_err(|e| keeping(e, epoch))? else {
                return Err(self.leave()?);
            };
            let so_far = &mut self.progress.epoch;
            so_far.images += batch.samples.len() as u64;
            so_far.loss_sum += report.loss * batch.samples.len() as f64;
            so_far.seconds = before + started.elapsed().as_secs_f64();
            let images_per_s = so_far.images as f64 / so_far.seconds;
            self.tell.event(&Event::Step {
                epoch,
                step: self.progress.step,
                steps,
                loss: report.loss,
                lr: report.lr,
                grad_norm: report.grad_norm,
                images_per_s,
            })?;
            self.progress.step += 1;
            if !self.progress.step.is_multiple_of(self.epoch_steps()) {
                self.checkpoint_if_due()?;
            }
        }
        self.end_epoch(epoch)?;
        let stops = self.options.stop_on_collapse && self.progress.collapsed.is_some();
        if self.progress.step == steps || stops {
            // What remains may take long, and changes nothing that a state holds.
            self.checkpoint()?;
        }
        self.heed_collapse()?;
        self.checkpoint_if_due()
    }

    /// Takes one step; `None` where it was left in its middle, and nothing is changed, since the run is to stop.
    fn step(&mut self, views: &[Tensor]) -> Result<Option<StepReport>> {
        let statistics = Statistics::of(&self.step.networks())?;
        let stepped = interruptible(self.options.stop.asked(), || self.step.step(views))?;
        if stepped.is_none() {
            statistics.restore()?;
            self.step.forget();
        }
        Ok(stepped)
    }

    /// Leaves a checkpoint where there is anything to keep, and says where the run stopped.
    fn leave(&mut self) -> Result<Error> {
        if self.progress.step > 0 {
            self.checkpoint()?;
        }
        Ok(self.interrupted())
    }

    /// Ends a run whose features have collapsed, if asked to.
    fn heed_collapse(&self) -> Result<()> {
        match &self.progress.collapsed {
            Some(text) if self.options.stop_on_collapse => Err(Error::Collapsed {
                epoch: self.progress.epochs.len().saturating_sub(1),
                text: text.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn end_epoch(&mut self, epoch: usize) -> Result<()> {
        let EpochSoFar {
            images,
            loss_sum,
            seconds,
        } = std::mem::take(&mut self.progress.epoch);
        let loss = loss_sum / images as f64;
        self.progress.images += images;
        self.progress.train_seconds += seconds;
        self.average(epoch)?;
        if self.recipe.keep == Keep::Last {
            self.save(&self.step.arms(), epoch)?;
        }
        self.progress.epochs.push(PretrainEpoch {
            epoch,
            loss,
            seconds,
        });
        self.tell.event(&Event::Epoch {
            epoch,
            loss,
            seconds,
        })?;
        self.watch(epoch)
    }

    /// Counts the epoch's weights in, where averaging has started.
    fn average(&mut self, epoch: usize) -> Result<()> {
        let Some(swa) = &self.recipe.swa else {
            return Ok(());
        };
        if (epoch as f64) < (swa.start * self.recipe.epochs as f64).floor() {
            return Ok(());
        }
        let arms = self.step.arms();
        if self.averages.is_empty() {
            let new = arms.iter().map(|(_, model)| WeightAverage::new(model));
            self.averages = new.collect::<Result<_>>()?;
        }
        for (average, (_, model)) in self.averages.iter_mut().zip(arms) {
            average.update(model)?;
        }
        self.progress.averaged += 1;
        Ok(())
    }

    /// Makes the final weights, saves them and reads their collapse.
    fn finish(&mut self) -> Result<Vec<(String, ArmLook)>> {
        let last = self.recipe.epochs - 1;
        let arms = self.recipe.arms.values();
        for (average, _) in self
            .averages
            .iter()
            .zip(arms)
            .filter(|(_, arm)| !arm.keeps_statistics())
        {
            // The epoch after the last one: views that training has not seen, as a loader's next
            // pass would give.
            let batches = self.setup.train.epoch(self.recipe.epochs as u64);
            let views = batches.map(|batch| match self.options.stop.is_requested() {
                true => Err(self.interrupted()),
                false => Ok(batch?.views.swap_remove(0)),
            });
            let stops = self.options.stop.asked();
            let whole = interruptible(stops, || update_bn(average.model(), views))?;
            whole.ok_or_else(|| self.interrupted())?;
        }
        // Also where an earlier attempt has: what lies there may be damaged by now.
        for (index, arm) in self.final_arms().into_iter().enumerate() {
            let best = self.progress.best.get(index);
            self.save(&[arm], best.map_or(last, |best| best.epoch))?;
        }
        let after = self.look_through(When::After, last)?;
        let arms = self.recipe.arms.keys().cloned();
        Ok(arms.zip(after).collect())
    }

    /// The networks that the run is for: averaged where there is an average, the best where these are kept.
    fn final_arms(&self) -> Vec<(&str, &Model)> {
        let mut arms = self.step.arms();
        for ((_, model), average) in arms.iter_mut().zip(&self.averages) {
            *model = average.model();
        }
        for ((_, model), kept) in arms.iter_mut().zip(&self.kept) {
            *model = kept;
        }
        arms
    }

    fn save(&self, arms: &[(&str, &Model)], epoch: usize) -> Result<()> {
        for (arm, model) in arms {
            let metadata = [
                ("arm", arm.to_string()),
                ("method", self.recipe.method.name().to_string()),
                ("epoch", epoch.to_string()),
            ];
            let bytes = model.to_safetensors(&metadata)?;
            self.run.write(&checkpoint(arm), &bytes)?;
        }
        Ok(())
    }

    fn metrics(&self, after: &[(String, ArmLook)], seconds: f64) -> PretrainMetrics {
        let networks = self.recipe.arms.iter();
        let pairs = self.progress.before.iter().zip(after);
        let collapse = pairs.map(|((arm, before), (_, after))| {
            let (before, after) = (*before, after.features);
            (arm.clone(), BeforeAfter { before, after })
        });
        let starts = self.progress.start.iter().zip(after);
        let views = starts.map(|(start, (arm, after))| {
            let (before, after) = (start.views, after.views);
            (arm.clone(), BeforeAfter { before, after })
        });
        let arms = self.recipe.arms.keys().cloned();
        let best = arms.zip(self.progress.best.iter().map(|best| best.epoch));
        PretrainMetrics {
            method: self.recipe.method.name().into(),
            arms: networks
                .map(|(name, arm)| (name.clone(), arm.network.clone()))
                .collect(),
            epochs: self.progress.epochs.clone(),
            collapse: collapse.collect(),
            views: views.collect(),
            kept: best.collect(),
            images: self.progress.images,
            steps: self.steps(),
            images_per_s: self.progress.images as f64 / self.progress.train_seconds,
            peak_rss_mib: peak_rss_mib(),
            peak_gpu_mib: peak_gpu_mib(&self.setup.device),
            weights: self.weights(),
            common: Common {
                device: device_name(&self.setup.device),
                threads: rayon::current_num_threads(),
                manifest: self.setup.manifest.hash(),
                skipped: self.setup.skipped.clone(),
                deviations: self.recipe.deviations(),
                chosen: self.recipe.chosen(),
                version: env!("CARGO_PKG_VERSION").into(),
                files: self.run.sums(),
                ..Common::new(seconds)
            },
        }
    }

    /// Where each arm's initial weights came from.
    fn weights(&self) -> BTreeMap<String, Origin> {
        let weights = self.origins.iter();
        weights
            .map(|(arm, loaded)| (arm.clone(), loaded.origin.clone()))
            .collect()
    }
}

/// Says which epoch's checkpoints a run that stops in `epoch` leaves.
fn keeping(error: Error, epoch: usize) -> Error {
    match error {
        Error::NonFinite { step, loss, .. } => Error::NonFinite {
            step,
            loss,
            last_good: epoch.checked_sub(1),
        },
        other => other,
    }
}
