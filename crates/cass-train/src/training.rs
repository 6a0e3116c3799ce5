//! The visible loop: from a recipe to a finished run folder.

mod setup;

use crate::average::{WeightAverage, update_bn};
use crate::collapse::Collapse;
use crate::device::device_name;
use crate::error::{Error, Result};
use crate::event::{Event, When};
use crate::features;
use crate::memory::peak_rss_mib;
use crate::recipe::ValidRecipe;
use crate::run_dir::{Log, RunDir};
use crate::step::Step;
use cass_models::Model;
use serde_json::{Map, Value, json};
use setup::{Origins, Setup};
use std::time::Instant;

/// Runs a pretraining from images to checkpoints and metrics, and tells `observe` what happens.
///
/// The folder gets `manifest.tsv` (which file is in which part), `log.jsonl` while the run goes on, `checkpoint-<arm>.safetensors` after every
/// epoch and, last, `metrics.json`, which is also returned. A finished folder is left as it is and
/// its metrics returned. Under `swa` the final checkpoints hold the averaged weights.
///
/// # Errors
/// If data or weights cannot be had, a file cannot be written, or the loss stops being a number:
/// the checkpoints of the epoch before are kept then.
pub fn pretrain(
    recipe: &ValidRecipe,
    run: &RunDir,
    observe: &mut dyn FnMut(&Event),
) -> Result<Value> {
    if let Some(metrics) = run.metrics()? {
        return Ok(metrics);
    }
    let started = Instant::now();
    let setup = Setup::new(recipe)?;
    let (step, origins) = setup.method(recipe)?;
    let mut log = run.log()?;
    let mut training = Training {
        step,
        origins,
        averages: Vec::new(),
        epochs: Vec::new(),
        images: 0,
        train_seconds: 0.0,
        recipe,
        run,
        setup: &setup,
        tell: Tell {
            log: &mut log,
            observe,
        },
    };
    run.write("manifest.tsv", setup.manifest.to_text().as_bytes())?;
    training.start()?;
    let before = training.read_collapse(When::Before, 0)?;
    for epoch in 0..recipe.epochs {
        training.epoch(epoch)?;
    }
    let after = training.finish()?;
    let metrics = training.metrics(&before, &after, started.elapsed().as_secs_f64());
    training.tell.event(&Event::Done {
        seconds: started.elapsed().as_secs_f64(),
    })?;
    run.finish(&metrics)?;
    Ok(metrics)
}

/// One reading an arm, in the arms' order.
type Readings = Vec<(String, Option<Collapse>)>;

struct Training<'a> {
    step: Box<dyn Step>,
    origins: Origins,
    /// One an arm, once averaging has started.
    averages: Vec<WeightAverage>,
    epochs: Vec<Value>,
    images: u64,
    train_seconds: f64,
    recipe: &'a ValidRecipe,
    run: &'a RunDir,
    setup: &'a Setup,
    tell: Tell<'a>,
}

/// Log and observer, which hear the same.
struct Tell<'a> {
    log: &'a mut Log,
    observe: &'a mut dyn FnMut(&Event),
}

impl Tell<'_> {
    fn event(&mut self, event: &Event) -> Result<()> {
        (self.observe)(event);
        self.log.write(event)
    }
}

impl Training<'_> {
    fn start(&mut self) -> Result<()> {
        self.tell.event(&Event::Start {
            method: self.recipe.method.name().into(),
            epochs: self.recipe.epochs,
            steps: self.steps(),
            images: self.setup.train.images(),
            device: device_name(&self.setup.device),
            manifest: self.setup.manifest.hash(),
        })?;
        for (arm, origin) in &self.origins {
            let (arm, text) = (arm.clone(), origin.text.clone());
            self.tell.event(&Event::Weights { arm, text })?;
        }
        Ok(())
    }

    /// Steps of the whole run.
    fn steps(&self) -> u64 {
        (self.recipe.epochs * self.setup.train.batches()) as u64
    }

    fn epoch(&mut self, epoch: usize) -> Result<()> {
        let started = Instant::now();
        let (mut images, mut loss_sum) = (0, 0.0);
        let (first, steps) = ((epoch * self.setup.train.batches()) as u64, self.steps());
        for (step, batch) in (first..).zip(self.setup.train.epoch(epoch as u64)) {
            let batch = batch?;
            let report = self
                .step
                .step(&batch.views)
                .map_err(|e| keeping(e, epoch))?;
            images += batch.samples.len();
            loss_sum += report.loss * batch.samples.len() as f64;
            let images_per_s = images as f64 / started.elapsed().as_secs_f64();
            let (loss, lr) = (report.loss, report.lr);
            self.tell.event(&Event::Step {
                epoch,
                step,
                steps,
                loss,
                lr,
                images_per_s,
            })?;
        }
        let (loss, seconds) = (loss_sum / images as f64, started.elapsed().as_secs_f64());
        self.images += images as u64;
        self.train_seconds += seconds;
        self.average(epoch)?;
        self.save(&self.step.arms(), epoch)?;
        self.epochs
            .push(json!({"epoch": epoch, "loss": loss, "seconds": seconds}));
        self.tell.event(&Event::Epoch {
            epoch,
            loss,
            seconds,
        })?;
        self.read_collapse(When::Epoch, epoch)?;
        Ok(())
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
        Ok(())
    }

    /// Makes the final weights, saves them and reads their collapse.
    fn finish(&mut self) -> Result<Readings> {
        let last = self.recipe.epochs - 1;
        for average in &self.averages {
            // The epoch after the last one: views that training has not seen, as a loader's next
            // pass would give.
            let batches = self.setup.train.epoch(self.recipe.epochs as u64);
            update_bn(
                average.model(),
                batches.map(|batch| Ok(batch?.views.swap_remove(0))),
            )?;
        }
        if !self.averages.is_empty() {
            self.save(&self.final_arms(), last)?;
        }
        self.read_collapse(When::After, last)
    }

    /// The networks that the run is for: averaged where there is an average.
    fn final_arms(&self) -> Vec<(&str, &Model)> {
        let mut arms = self.step.arms();
        for ((_, model), average) in arms.iter_mut().zip(&self.averages) {
            *model = average.model();
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
            model.save(
                &self.run.file(&format!("checkpoint-{arm}.safetensors")),
                &metadata,
            )?;
        }
        Ok(())
    }

    fn read_collapse(&mut self, when: When, epoch: usize) -> Result<Readings> {
        let (arms, loader) = match when {
            When::Before => (self.step.arms(), &self.setup.test),
            When::Epoch => (self.step.arms(), &self.setup.sample),
            When::After => (self.final_arms(), &self.setup.test),
        };
        let readings = features::collapse(&arms, loader)?;
        let names = arms.iter().map(|(name, _)| name.to_string());
        let readings: Readings = names.zip(readings).collect();
        for (arm, reading) in &readings {
            let (arm, reading) = (arm.clone(), *reading);
            self.tell.event(&Event::Collapse {
                when,
                epoch,
                arm,
                reading,
            })?;
        }
        Ok(readings)
    }

    fn metrics(&self, before: &Readings, after: &Readings, seconds: f64) -> Value {
        let networks = self.recipe.arms.iter();
        let networks: Map<_, _> = networks
            .map(|(name, arm)| (name.clone(), json!(arm.network)))
            .collect();
        let collapse = before.iter().zip(after);
        let collapse: Map<_, _> = collapse
            .map(|((arm, before), (_, after))| {
                (arm.clone(), json!({"before": before, "after": after}))
            })
            .collect();
        let weights = self.origins.iter();
        let weights: Map<_, _> = weights
            .map(|(arm, origin)| (arm.clone(), origin.value.clone()))
            .collect();
        json!({
            "kind": "pretrain",
            "method": self.recipe.method.name(),
            "arms": networks,
            "epochs": self.epochs,
            "collapse": collapse,
            "seconds": seconds,
            "images": self.images,
            "steps": self.steps(),
            "images_per_s": self.images as f64 / self.train_seconds,
            "peak_rss_mib": peak_rss_mib(),
            "device": device_name(&self.setup.device),
            "threads": rayon::current_num_threads(),
            "manifest": self.setup.manifest.hash(),
            "weights": weights,
            "skipped": self.setup.skipped,
            "deviations": self.recipe.deviations(),
            "chosen": self.recipe.chosen(),
            "version": env!("CARGO_PKG_VERSION"),
        })
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
