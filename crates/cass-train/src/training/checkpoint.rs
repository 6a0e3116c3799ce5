//! Between two steps: states are written, and runs continue from them.

use super::Training;
use super::progress::Progress;
use crate::average::WeightAverage;
use crate::error::{Error, Result};
use crate::states::State;
use candle_core::{Tensor, Var};
use cass_run::PretrainEvent as Event;
use std::collections::HashMap;
use std::time::Instant;

impl Training<'_> {
    /// Continues from a state.
    pub(super) fn resume(&mut self, state: State<Progress>) -> Result<()> {
        let State { about, tensors } = state;
        if about.manifest != self.progress.manifest {
            return Err(Error::Mismatch(format!(
                "{} cannot be continued: its images have changed since it began (manifest {}, then {})",
                self.run.path().display(),
                self.progress.manifest,
                about.manifest,
            )));
        }
        self.progress = about;
        self.states.remove_after(self.progress.step)?;
        self.step.load_state(&tensors)?;
        if self.progress.averaged > 0 {
            let (count, arms) = (self.progress.averaged, self.step.arms());
            let averages = arms.into_iter().map(|(arm, model)| {
                let average = model.deep_copy()?;
                // Its buffers are no average of anything.
                let parameters = average.params().trainable();
                load_all(parameters, |name| averaged(arm, name), &tensors)?;
                Ok(WeightAverage::resume(average, count))
            });
            self.averages = averages.collect::<Result<_>>()?;
        }
        if !self.progress.best.is_empty() {
            let kept = self.step.arms().into_iter().map(|(arm, model)| {
                let kept = model.deep_copy()?;
                load_all(kept.params().all(), |name| kept_name(arm, name), &tensors)?;
                Ok(kept)
            });
            self.kept = kept.collect::<Result<_>>()?;
        }
        let epochs = self.progress.epochs.iter().map(|epoch| Event::Epoch {
            epoch: epoch.epoch,
            loss: epoch.loss,
            seconds: epoch.seconds,
        });
        let begun = [self.begun()].into_iter().chain(epochs);
        self.tell.rebuild_log(begun)?;
        let (step, steps) = (self.progress.step, self.steps());
        self.tell.event(&Event::Resumed { step, steps })
    }

    /// Between two steps: writes a checkpoint when it is time, and stops when asked to.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<()> {
        let stops = self.options.stop.is_requested();
        if stops || self.cadence.is_due(self.progress.step) {
            self.checkpoint()?;
        }
        if stops {
            Err(self.interrupted())
        } else {
            Ok(())
        }
    }

    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let started = Instant::now();
        // What a state counts on is on the disk before it.
        (self.progress.log_bytes, self.progress.board_bytes) = self.tell.sync()?;
        let mut about = self.progress.clone();
        about.seconds = self.seconds();
        let mut tensors = self.step.state()?;
        for ((arm, _), average) in self.step.arms().iter().zip(&self.averages) {
            for (name, var) in average.model().params().trainable() {
                tensors.insert(averaged(arm, &name), var.as_detached_tensor());
            }
        }
        for ((arm, _), kept) in self.step.arms().iter().zip(&self.kept) {
            for (name, var) in kept.params().all() {
                tensors.insert(kept_name(arm, &name), var.as_detached_tensor());
            }
        }
        self.states.write(self.progress.step, &about, &tensors)?;
        self.cadence.written(started);
        Ok(())
    }

    pub(super) fn interrupted(&self) -> Error {
        Error::Interrupted {
            step: self.progress.step,
            steps: self.steps(),
        }
    }
}

/// The name of an average in a state.
fn averaged(arm: &str, name: &str) -> String {
    format!("{arm}.average.{name}")
}

/// The name of a tensor of a network that is kept, in a state.
fn kept_name(arm: &str, name: &str) -> String {
    format!("{arm}.kept.{name}")
}

/// Gives variables what a state holds under the names that theirs become.
fn load_all(
    variables: Vec<(String, Var)>,
    named: impl Fn(&str) -> String,
    tensors: &HashMap<String, Tensor>,
) -> Result<()> {
    for (name, var) in variables {
        let name = named(&name);
        match tensors.get(&name) {
            Some(value) if value.dims() == var.dims() => {
                var.set(&value.to_device(var.device())?)?
            }
            _ => return Err(Error::State(name)),
        }
    }
    Ok(())
}
