//! The loop over epochs: train, validate, keep the best, stop in time.

use super::counts::MicroCounts;
use super::judge::{Decision, f1_macro};
use super::learner::Learner;
use super::parts::Parts;
use super::recipe::{ProbeRecipe, Stopping};
use super::stopping::{Stopper, Validation};
use crate::Result;
use candle_core::Tensor;
use cass_data::dataset::Part;
use cass_run::{ProbeEpoch, ProbeEvent as Event};
use std::collections::HashMap;
use std::time::Instant;

pub(crate) struct Fitted {
    pub(crate) epochs: Vec<ProbeEpoch>,
    /// The epoch, from 0, whose weights the network has now.
    pub(crate) best_epoch: usize,
}

/// Trains until the recipe says stop, and leaves the network with its best epoch's weights.
pub(crate) fn fit(
    recipe: &ProbeRecipe,
    parts: &Parts,
    learner: &mut Learner,
    tell: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Fitted> {
    let targets = parts.targets(Part::Val);
    let classes = parts.dataset.classes.len();
    let steps = (recipe.epochs * learner.steps()) as u64;
    let mut stopper = Stopper::new(recipe.stopping);
    let mut running = [MicroCounts::default(); 2];
    let mut best: (usize, HashMap<String, Tensor>) = (0, HashMap::new());
    let mut epochs = Vec::new();
    for epoch in 0..recipe.epochs {
        let started = Instant::now();
        let mut step = (epoch * learner.steps()) as u64;
        let trained = learner.train_epoch(epoch as u64, &mut |taken| {
            let images_per_s = taken.images as f64 / started.elapsed().as_secs_f64();
            let (loss, lr) = (taken.loss, taken.lr);
            tell(Event::Step {
                epoch,
                step,
                steps,
                loss,
                lr,
                images_per_s,
            })?;
            step += 1;
            Ok(())
        })?;
        running[0].merge(trained.counts);
        let mut record = ProbeEpoch {
            epoch,
            train_loss: trained.loss,
            val_loss: None,
            val_f1_macro: None,
        };
        let mut stop = false;
        if stopper.validates(running[0].f1()) {
            let logits = learner.logits(Part::Val)?;
            running[1].add(&logits, &targets)?;
            let loss = learner
                .loss()
                .forward_targets(&logits, &targets)?
                .to_scalar::<f32>()?;
            let f1 = f1_macro(classes, &targets, &Decision::of(&logits, recipe)?);
            let score = match recipe.stopping {
                Stopping::Notebook => running[1].f1(),
                Stopping::Patience { .. } => f1,
            };
            let verdict = stopper.after(Validation {
                loss: loss.into(),
                score,
            });
            if verdict.best {
                best = (epoch, learner.model().params().tensors()?);
            }
            stop = verdict.stop;
            (record.val_loss, record.val_f1_macro) = (Some(loss.into()), Some(f1));
        }
        tell(Event::Epoch(record.clone()))?;
        epochs.push(record);
        if stop {
            break;
        }
    }
    let (best_epoch, values) = best;
    for (name, var) in learner.model().params().all() {
        if let Some(value) = values.get(&name) {
            var.set(value)?;
        }
    }
    Ok(Fitted { epochs, best_epoch })
}
