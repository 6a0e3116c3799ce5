//! One training step of a method, and nothing around it.

pub(crate) mod micro_batch;
pub(crate) mod state;
pub(crate) mod statistics;

use crate::error::{Error, Result};
use crate::optim::{Optimizer, Rate};
use crate::schedule::Schedule;
use crate::settings::{Arm, Precision};
use candle_core::{DType, Tensor, Var};
use cass_models::Model;
use cass_ops::{Gradients, Tracked};
use state::Tensors;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What one step did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// The learning rate that each arm used.
    pub lr: BTreeMap<String, f64>,
    /// The L2 norm of each arm's gradients, before any clipping.
    pub grad_norm: BTreeMap<String, f64>,
}

/// Bytes that a step holds whatever the images are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Parameters and running statistics, a teacher's too.
    pub weights: usize,
    /// Moments of the optimisers.
    pub optimizer: usize,
    /// One gradient for each parameter that is trained: all exist at the end of a backward pass.
    pub gradients: usize,
}

impl Held {
    /// Counts variables, and what an updater keeps for those that it trains.
    pub(crate) fn of(variables: &[(String, Var)], updater: &Updater) -> Self {
        let bytes = |var: &Var| var.elem_count() * var.dtype().size_in_bytes();
        let gradients = updater.optimizer.bytes();
        Self {
            weights: variables.iter().map(|(_, var)| bytes(var)).sum(),
            optimizer: gradients * updater.optimizer.buffers(),
            gradients,
        }
    }

    /// The memory of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            weights: self.weights + other.weights,
            optimizer: self.optimizer + other.optimizer,
            gradients: self.gradients + other.gradients,
        }
    }
}

/// A method that trains by steps over batches.
pub trait Step {
    /// Trains on the views of one batch, each `(B, 3, S, S)`.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the loss is not a number: nothing was updated then but running
    /// statistics. Else if views are missing or do not fit the networks.
    fn step(&mut self, views: &[Tensor]) -> Result<StepReport>;

    /// The networks that the run is for, by the names of their arms.
    fn arms(&self) -> Vec<(&str, &Model)>;

    /// The networks whose running statistics a step changes.
    fn networks(&self) -> Vec<&Model> {
        self.arms().into_iter().map(|(_, model)| model).collect()
    }

    /// Forgets the gradients that were gathered of a step that was left in its middle.
    fn forget(&mut self);

    /// The memory that it takes whatever the images are.
    fn held(&self) -> Held;

    /// Everything that [`Step::load_state`] needs to continue as if never stopped: weights, running
    /// statistics, the optimisers' moments and step counts, a teacher. Some share memory with the
    /// step and change with it.
    ///
    /// # Errors
    /// If a copy fails.
    fn state(&self) -> Result<HashMap<String, Tensor>>;

    /// Takes over what [`Step::state`] of a step of the same settings gave.
    ///
    /// # Errors
    /// Naming the first tensor that is missing or does not fit; some are taken over then.
    fn load_state(&mut self, state: &HashMap<String, Tensor>) -> Result<()>;
}

/// How a step computes, whatever the method.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOptions {
    /// Whether gradients are zeroed before each step; otherwise they add up over all steps.
    pub zero_grad: bool,
    /// Images that go through the networks at once, their gradients gathered: less memory, and the same
    /// step but for BatchNorm, which normalises each part by itself, and for what a loss asks of all images
    /// together: a [`Guard`](crate::methods::Guard), VICReg's variances, the keys of a contrast.
    pub part: Option<usize>,
    /// Precision of the products in the forward and backward passes.
    pub precision: Precision,
    /// The norm that each arm's gradients are scaled down to where they exceed it.
    pub clip_norm: Option<f64>,
    /// Steps of the whole run, where they are known: what changes over a run is by them.
    pub steps: Option<u64>,
    /// Seed of what a method draws for itself, such as the weights of a projection.
    pub seed: u64,
}

impl Default for StepOptions {
    /// The paper's: gradients are zeroed, batches are whole, all is f32, nothing is clipped.
    fn default() -> Self {
        Self {
            zero_grad: true,
            part: None,
            precision: Precision::F32,
            clip_norm: None,
            steps: None,
            seed: 0,
        }
    }
}

/// What updates one set of parameters: the optimiser at the schedule's rate.
pub(crate) struct Updater {
    optimizer: Optimizer,
    schedule: Schedule,
}

impl Updater {
    /// An updater of those `params` that the arm trains of `model`, at the rates of their layers; what is none of
    /// the network's has the rate of the last.
    pub(crate) fn new(
        arm: &Arm,
        model: &Model,
        mut params: Vec<(String, Var)>,
        options: &StepOptions,
    ) -> Result<Self> {
        let trained: HashSet<String> = model.trained().into_iter().map(|(name, _)| name).collect();
        params.retain(|(name, _)| trained.contains(name) || model.params().get(name).is_none());
        let mut optimizer =
            Optimizer::new(&arm.optimizer, params)?.with_zero_grad(options.zero_grad);
        if let Some(decay) = arm.layer_decay {
            let layers = model.parameter_layers();
            let last = layers.values().copied().max().unwrap_or(0);
            optimizer.set_rates(|name, var| {
                let before = last - layers.get(name).copied().unwrap_or(last);
                Rate {
                    scale: decay.powi(before as i32),
                    decays: var.rank() > 1,
                }
            });
        }
        optimizer.set_clip_norm(options.clip_norm);
        Ok(Self {
            optimizer,
            schedule: Schedule::new(arm.schedule.clone(), arm.optimizer.lr()).over(options.steps),
        })
    }

    /// Adds the gradients of a part of a batch to the next update's.
    pub(crate) fn gather(&mut self, grads: &Gradients) -> Result<()> {
        self.optimizer.gather(grads)
    }

    /// Forgets what was gathered for the next update.
    pub(crate) fn forget(&mut self) {
        self.optimizer.forget();
    }

    /// Updates, moves the schedule on, and reports the rate that was used and the norm of the gradients of an arm
    /// that is trained.
    pub(crate) fn update(
        &mut self,
        grads: &Gradients,
        arm: &str,
        report: &mut StepReport,
    ) -> Result<()> {
        let lr = self.schedule.lr();
        let norm = self.optimizer.step_with_norm(grads, lr)?;
        self.schedule.step();
        if self.optimizer.bytes() > 0 {
            report.lr.insert(arm.into(), lr);
            report.grad_norm.insert(arm.into(), norm);
        }
        Ok(())
    }

    /// Steps taken so far.
    pub(crate) fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    pub(crate) fn state(&self) -> Result<Tensors> {
        self.optimizer.state()
    }

    /// The optimiser tells how far the schedule is: each rate follows from the one before.
    pub(crate) fn load_state(&mut self, state: &Tensors) -> Result<()> {
        self.optimizer.load_state(state)?;
        self.schedule.restart();
        (0..self.optimizer.steps()).for_each(|_| self.schedule.step());
        Ok(())
    }
}

/// The value of a loss at `step`, if training can continue with it.
pub(crate) fn finite(loss: &Tracked, step: u64) -> Result<f64> {
    let loss = loss.value();
    let loss = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::NonFinite {
            step,
            loss,
            last_good: None,
        })
    }
}

/// The views, if there are as many as the method takes.
pub(crate) fn views<const N: usize>(views: &[Tensor]) -> Result<&[Tensor; N]> {
    let found = views.len();
    let wrong = |_| Error::Mismatch(format!("a batch has {found} views: expected {N}"));
    views.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::ScheduleConfig;
    use cass_models::ModelOptions;
    use cass_testing::golden_folder;

    /// A factor of a learning rate and a weight decay.
    type Group = [f64; 2];

    #[test]
    fn rates_of_layers_are_timms() -> Result<()> {
        let file = golden_folder("layer_decay").join("golden.json");
        let mut golden: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        golden.remove("versions");
        assert!(golden.len() > 8);
        let mut arm = Arm::with_adam("vit", 1e-3, ScheduleConfig::Constant);
        arm.layer_decay = Some(0.75);
        for (name, groups) in golden {
            let groups: BTreeMap<String, Group> = serde_json::from_value(groups).unwrap();
            let options = ModelOptions {
                input_size: 224,
                ..ModelOptions::default()
            };
            let model = Model::new(&name, &options)?;
            let params = model.params().trainable();
            assert_eq!(params.len(), groups.len(), "{name}");
            let updater = Updater::new(&arm, &model, params, &StepOptions::default())?;
            for (parameter, [scale, decay]) in groups {
                let rate = updater.optimizer.rate(&parameter).unwrap();
                assert!(
                    (rate.scale - scale).abs() < 1e-12,
                    "{name} {parameter}: {rate:?} for {scale}"
                );
                assert_eq!(rate.decays, decay > 0.0, "{name} {parameter}");
            }
        }
        Ok(())
    }
}
