//! Optimisers with torch's defaults and argument names, whose state can be saved.

mod config;
mod inplace;
mod kernels;
mod norm;
mod reference;
mod together;
mod update;

pub use config::{AdamConfig, OptimizerConfig, SgdConfig};

use crate::error::{Error, Result};
use candle_core::{Tensor, Var};
use cass_ops::Gradients;
use kernels::{AddKernel, BlendKernel};
use std::collections::HashMap;
use update::{State, apply};

/// Updates named parameters from the gradients of a backward pass.
///
/// On a CPU each parameter is updated in place, in one parallel pass over it and its state; on a GPU
/// all are by a few launches; elsewhere by tensor operations. All follow `torch.optim` with the same arguments.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use cass_ops::{Tracked, compose};
/// use cass_train::optim::{AdamConfig, Optimizer, OptimizerConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let x = Var::new(&[3f32, -2.0], &Device::Cpu)?;
/// let adam = OptimizerConfig::Adam(AdamConfig::default());
/// let mut optimizer = Optimizer::new(&adam, vec![("x".into(), x.clone())])?;
/// for _ in 0..500 {
///     let loss = compose(&[&Tracked::from(&x)], |x| x[0].sqr()?.sum_all())?;
///     optimizer.step(&loss.backward()?, 0.05)?;
/// }
/// assert!(x.abs()?.max(0)?.to_scalar::<f32>()? < 1e-2);
/// # Ok(())
/// # }
/// ```
pub struct Optimizer {
    config: OptimizerConfig,
    slots: Vec<Slot>,
    steps: u64,
    zero_grad: bool,
    clip_norm: Option<f64>,
}

struct Slot {
    name: String,
    var: Var,
    /// The buffers that the rule needs: Adam two, momentum one, plain SGD none.
    state: Vec<State>,
    /// The sum of all gradients so far, where gradients are never zeroed.
    accumulated: Option<Tensor>,
    /// The sum of the gradients that the next step takes besides its own.
    gathered: Option<Tensor>,
    rate: Rate,
}

/// How a parameter is updated among others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Factor of the learning rate.
    pub scale: f64,
    /// Whether its weights decay, where the optimiser decays weights.
    pub decays: bool,
}

impl Optimizer {
    /// An optimiser of `params` whose state is zero and whose gradients are zeroed at every step.
    ///
    /// # Errors
    /// If there is no memory for the state.
    pub fn new(config: &OptimizerConfig, params: Vec<(String, Var)>) -> Result<Self> {
        let slots = params.into_iter().map(|(name, var)| {
            let state = (0..config.state_names().len())
                .map(|_| State::zeros(&var))
                .collect::<Result<_>>()?;
            Ok(Slot {
                name,
                var,
                state,
                accumulated: None,
                gathered: None,
                rate: Rate {
                    scale: 1.0,
                    decays: true,
                },
            })
        });
        Ok(Self {
            config: config.clone(),
            slots: slots.collect::<Result<_>>()?,
            steps: 0,
            zero_grad: true,
            clip_norm: None,
        })
    }

    /// Sets whether gradients begin at zero in every step; with `false` those of all steps are summed, as in a loop
    /// that never calls `zero_grad`.
    pub fn with_zero_grad(mut self, zero_grad: bool) -> Self {
        self.zero_grad = zero_grad;
        self
    }

    /// Gives each parameter a rate of its own.
    pub fn set_rates(&mut self, rate: impl Fn(&str, &Var) -> Rate) {
        for slot in &mut self.slots {
            slot.rate = rate(&slot.name, &slot.var);
        }
    }

    /// The rate of the parameter of this name, if it is one of the optimiser's.
    pub fn rate(&self, name: &str) -> Option<Rate> {
        let slot = self.slots.iter().find(|slot| slot.name == name);
        slot.map(|slot| slot.rate)
    }

    /// Sets the largest norm of the gradients over all parameters: longer ones are scaled down to it before
    /// each step (`torch.nn.utils.clip_grad_norm_`).
    pub fn set_clip_norm(&mut self, clip_norm: Option<f64>) {
        self.clip_norm = clip_norm;
    }

    /// The size of all its parameters in memory.
    pub(crate) fn bytes(&self) -> usize {
        let vars = self.slots.iter().map(|slot| &slot.var);
        vars.map(|var| var.elem_count() * var.dtype().size_in_bytes())
            .sum()
    }

    /// How many buffers it keeps for each parameter.
    pub(crate) fn buffers(&self) -> usize {
        self.config.state_names().len()
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Adds gradients to those that the next step takes: a batch may come in parts.
    ///
    /// # Errors
    /// If a parameter has no gradient: nothing is added then.
    pub fn gather(&mut self, grads: &Gradients) -> Result<()> {
        let grads = found(&self.slots, grads)?;
        for (slot, grad) in self.slots.iter_mut().zip(&grads) {
            accumulate(&mut slot.gathered, grad)?;
        }
        Ok(())
    }

    /// Forgets the gradients that were gathered for the next step.
    pub(crate) fn forget(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.gathered = None);
    }

    /// Takes one step with learning rate `lr`.
    ///
    /// # Errors
    /// If a parameter has no gradient: nothing is updated then.
    pub fn step(&mut self, grads: &Gradients, lr: f64) -> Result<()> {
        let grads = self.take(grads)?;
        self.clip_and_apply(grads, lr, None)
    }

    /// Takes one step, and gives the norm of the gradients over all parameters, before any clipping.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_with_norm(&mut self, grads: &Gradients, lr: f64) -> Result<f64> {
        let grads = self.take(grads)?;
        let norm = norm::of(&grads)?;
        self.clip_and_apply(grads, lr, Some(norm))?;
        Ok(norm)
    }

    /// The gradients of a step: its own, those gathered, and where they add up those before.
    fn take(&mut self, grads: &Gradients) -> Result<Vec<Tensor>> {
        let mut grads = found(&self.slots, grads)?;
        for (slot, grad) in self.slots.iter_mut().zip(&mut grads) {
            if let Some(mut gathered) = slot.gathered.take() {
                add(&mut gathered, grad)?;
                *grad = gathered;
            }
            if !self.zero_grad {
                *grad = accumulate(&mut slot.accumulated, grad)?;
            }
        }
        Ok(grads)
    }

    fn clip_and_apply(&mut self, mut grads: Vec<Tensor>, lr: f64, norm: Option<f64>) -> Result<()> {
        if let Some(most) = self.clip_norm {
            let norm = norm.map_or_else(|| norm::of(&grads), Ok)?;
            let scale = most / (norm + 1e-6);
            if self.zero_grad && self.apply_together(&grads, lr, scale.min(1.0))? {
                return Ok(());
            }
            for (slot, grad) in self.slots.iter_mut().zip(&mut grads) {
                if scale < 1.0 {
                    *grad = (&*grad * scale)?;
                    // As torch clips: in place, so that what adds up is what was clipped.
                    slot.accumulated = slot.accumulated.take().map(|_| grad.clone());
                }
            }
        }
        if self.apply_together(&grads, lr, 1.0)? {
            return Ok(());
        }
        self.steps += 1;
        let without_decay = self.config.without_decay();
        for (slot, grad) in self.slots.iter_mut().zip(&grads) {
            let (var, state, Rate { scale, decays }) = (&slot.var, &mut slot.state, slot.rate);
            let config = if decays { &self.config } else { &without_decay };
            apply(config, self.steps, lr * scale, var, grad, state)?;
        }
        Ok(())
    }

    /// Takes the step by a GPU's kernels, where they take all parameters.
    fn apply_together(&mut self, grads: &[Tensor], lr: f64, grad_scale: f64) -> Result<bool> {
        let step = self.steps + 1;
        let done = together::apply(&self.config, step, lr, &self.slots, grads, grad_scale)?;
        self.steps += u64::from(done);
        Ok(done)
    }

    /// Everything a later [`Optimizer::load_state`] needs to continue as if never stopped: for each
    /// parameter `<name>.<torch's name of the buffer>`, `<name>.grad` where gradients accumulate,
    /// and `steps` (1 value, i64). Deep copies.
    ///
    /// # Errors
    /// If a copy fails.
    pub fn state(&self) -> Result<HashMap<String, Tensor>> {
        let mut state = HashMap::new();
        let steps = Tensor::new(&[self.steps as i64], &candle_core::Device::Cpu)?;
        state.insert("steps".to_string(), steps);
        for slot in &self.slots {
            for (part, buffer) in self.config.state_names().iter().zip(&slot.state) {
                state.insert(format!("{}.{part}", slot.name), buffer.tensor(&slot.var)?);
            }
            if let Some(grad) = &slot.accumulated {
                state.insert(format!("{}.grad", slot.name), grad.copy()?);
            }
        }
        Ok(state)
    }

    /// Takes over what [`Optimizer::state`] gave. Nothing is changed if anything is missing or of
    /// another shape or dtype.
    ///
    /// # Errors
    /// Naming the first buffer that is missing or does not fit.
    pub fn load_state(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        let missing = |name: &str| Error::State(name.to_string());
        let steps = state.get("steps").ok_or_else(|| missing("steps"))?;
        let steps = steps.to_vec1::<i64>()?.first().copied().unwrap_or(0) as u64;
        let mut loaded = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let buffers = self.config.state_names().iter().map(|part| {
                let name = format!("{}.{part}", slot.name);
                let buffer = state.get(&name).filter(|b| fits(b, &slot.var));
                State::from_tensor(buffer.ok_or_else(|| missing(&name))?, &slot.var)
            });
            let buffers = buffers.collect::<Result<Vec<_>>>()?;
            let name = format!("{}.grad", slot.name);
            let grad = match state.get(&name) {
                Some(grad) if !fits(grad, &slot.var) => return Err(missing(&name)),
                Some(grad) => Some(grad.to_device(slot.var.device())?.copy()?),
                None if self.zero_grad || steps == 0 => None,
                None => return Err(missing(&name)),
            };
            loaded.push((buffers, grad));
        }
        for (slot, (buffers, grad)) in self.slots.iter_mut().zip(loaded) {
            (slot.state, slot.accumulated) = (buffers, grad);
        }
        self.steps = steps;
        Ok(())
    }
}

/// `target = keep * target + (1 - keep) * source` of every pair, in place.
pub(crate) fn blend_all(pairs: &[(Var, Tensor)], keep: f64) -> Result<()> {
    if together::blend(pairs, keep)? {
        return Ok(());
    }
    pairs
        .iter()
        .try_for_each(|(target, source)| blend(target, source, keep))
}

fn blend(target: &Var, source: &Tensor, keep: f64) -> Result<()> {
    if target.device().is_cpu() {
        return Ok(inplace::update(&BlendKernel { keep }, target, source, [])?);
    }
    Ok(
        target
            .set(&((target.as_detached_tensor() * keep)? + (source.detach() * (1.0 - keep))?)?)?,
    )
}

fn fits(tensor: &Tensor, var: &Var) -> bool {
    tensor.dims() == var.dims() && tensor.dtype() == var.dtype()
}

/// The gradient of every parameter.
fn found(slots: &[Slot], grads: &Gradients) -> Result<Vec<Tensor>> {
    let of = |slot: &Slot| grads.get(&slot.var).cloned();
    let of = |slot| of(slot).ok_or_else(|| Error::NoGradient(slot.name.clone()));
    slots.iter().map(of).collect()
}

/// Adds to a sum of its own storage, which begins with a copy.
fn accumulate(sum: &mut Option<Tensor>, grad: &Tensor) -> Result<Tensor> {
    match sum {
        Some(sum) => add(sum, grad)?,
        None => *sum = Some(grad.copy()?),
    }
    Ok(sum.as_ref().unwrap_or(grad).clone())
}

fn add(sum: &mut Tensor, grad: &Tensor) -> Result<()> {
    if sum.device().is_cpu() {
        return Ok(inplace::update(&AddKernel, sum, grad, [])?);
    }
    *sum = (&*sum + grad)?;
    Ok(())
}

#[cfg(test)]
mod tests;
