//! One training step of each method, and nothing around it.

mod cass;
mod dino;
mod parts;
mod state;
mod supervised;

pub use cass::CassStep;
pub use dino::DinoStep;
pub use supervised::{SupervisedStep, Trains};

use crate::error::{Error, Result};
use crate::optim::Optimizer;
use crate::recipe::Arm;
use crate::schedule::Schedule;
use candle_core::{Tensor, Var};
use cass_models::Model;
use cass_ops::{Gradients, Tracked};
use state::Tensors;
use std::collections::{BTreeMap, HashMap};

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

impl StepReport {
    /// An arm's rate and norm.
    fn updated(&mut self, arm: &str, (lr, norm): (f64, f64)) {
        self.lr.insert(arm.into(), lr);
        self.grad_norm.insert(arm.into(), norm);
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

    /// Everything that [`Step::load_state`] needs to go on as if never stopped: weights, running
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

/// What updates one set of parameters: the optimiser at the schedule's rate.
pub(crate) struct Updater {
    optimizer: Optimizer,
    schedule: Schedule,
}

impl Updater {
    pub(crate) fn new(arm: &Arm, params: Vec<(String, Var)>, zero_grad: bool) -> Result<Self> {
        Ok(Self {
            optimizer: Optimizer::new(&arm.optimizer, params)?.with_zero_grad(zero_grad),
            schedule: Schedule::new(arm.schedule.clone(), arm.optimizer.lr()),
        })
    }

    /// Scales gradients down to a norm before they are used.
    fn clip(&mut self, clip_norm: Option<f64>) {
        self.optimizer.set_clip_norm(clip_norm);
    }

    /// Adds the gradients of a part of a batch to the next update's.
    fn gather(&mut self, grads: &Gradients) -> Result<()> {
        self.optimizer.gather(grads)
    }

    /// Updates and moves the schedule on; the rate that was used, and the norm of the gradients.
    pub(crate) fn update(&mut self, grads: &Gradients) -> Result<(f64, f64)> {
        let lr = self.schedule.lr();
        let norm = self.optimizer.step_with_norm(grads, lr)?;
        self.schedule.step();
        Ok((lr, norm))
    }

    /// Steps taken so far.
    pub(crate) fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    fn state(&self) -> Result<Tensors> {
        self.optimizer.state()
    }

    /// The optimiser tells how far the schedule is: each rate follows from the one before.
    fn load_state(&mut self, state: &Tensors) -> Result<()> {
        self.optimizer.load_state(state)?;
        self.schedule.restart();
        (0..self.optimizer.steps()).for_each(|_| self.schedule.step());
        Ok(())
    }
}

/// The value of a loss at `step`, if it is one to go on with.
fn finite(loss: &Tracked, step: u64) -> Result<f64> {
    let loss = loss.value();
    let loss = f64::from(loss.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()?);
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
fn views<const N: usize>(views: &[Tensor]) -> Result<&[Tensor; N]> {
    let found = views.len();
    let wrong = |_| Error::Mismatch(format!("train on a batch of {found} views: expected {N}"));
    views.try_into().map_err(wrong)
}
