use super::config::{CassConfig, Guard};
use super::loss::{cass_loss, variance_penalty};
use crate::error::{Error, Result};
use crate::settings::{Arm, Precision};
use crate::step::micro_batch::{MicroBatch, micro_batches};
use crate::step::state::{Tensors, put, put_all, take, under};
use crate::step::{Held, Step, StepOptions, StepReport, Updater, finite, views};
use candle_core::Tensor;
use cass_models::{Mode, Model};
use cass_ops::{Gradients, compose};

/// CASS: two networks see one view and are pulled towards the same direction of logits (paper,
/// algorithm 1). Each has its own optimiser and schedule.
pub struct CassStep {
    arms: [CassArm; 2],
    part: Option<usize>,
    guard: Option<Guard>,
    precision: Precision,
}

struct CassArm {
    name: String,
    mode: Mode,
    model: Model,
    updater: Updater,
}

impl CassStep {
    /// A step for two networks with as many outputs, each with its name and settings.
    ///
    /// # Errors
    /// If the networks have different numbers of outputs.
    pub fn new(
        arms: [(&str, Model, &Arm); 2],
        config: &CassConfig,
        options: &StepOptions,
    ) -> Result<Self> {
        let [a, b] = [arms[0].1.num_classes(), arms[1].1.num_classes()];
        if a != b {
            return Err(Error::Mismatch(format!(
                "the networks have {a} and {b} outputs: expected as many of each"
            )));
        }
        let [a, b] = arms.map(|(name, model, arm)| {
            let model = arm.over(model)?;
            let updater = Updater::new(arm, &model, model.params().trainable(), options)?;
            Ok::<_, Error>(CassArm {
                name: name.into(),
                mode: arm.mode(),
                model,
                updater,
            })
        });
        Ok(Self {
            arms: [a?, b?],
            part: options.part,
            guard: config.guard,
            precision: options.precision,
        })
    }

    /// The loss of a part of a batch, times its share, and its gradients.
    fn gradients(&self, part: &MicroBatch) -> Result<(f64, Gradients)> {
        let [images] = views(&part.views)?;
        let [a, b] = &self.arms;
        let logits = |arm: &CassArm| {
            let output = self.precision.run(|| arm.model.forward(images, arm.mode))?;
            Ok::<_, Error>(output.logits)
        };
        let (r, t) = (logits(a)?, logits(b)?);
        let loss = compose(&[&r, &t], |t| {
            let (r, t) = (&t[0], &t[1]);
            let agreement = cass_loss(r, t)?;
            part.of(match self.guard {
                None => agreement,
                Some(Guard::Variance) => {
                    (agreement + (variance_penalty(r)? + variance_penalty(t)?)?)?
                }
            })
        })?;
        Ok((finite(&loss, a.updater.steps())?, loss.backward()?))
    }
}

impl Step for CassStep {
    fn step(&mut self, images: &[Tensor]) -> Result<StepReport> {
        views::<1>(images)?;
        let mut report = StepReport::default();
        let mut parts = micro_batches(images, self.part)?.into_iter().peekable();
        while let Some(part) = parts.next() {
            let (loss, grads) = self.gradients(&part)?;
            report.loss += loss;
            for CassArm { name, updater, .. } in &mut self.arms {
                if parts.peek().is_some() {
                    updater.gather(&grads)?;
                } else {
                    updater.update(&grads, name, &mut report)?;
                }
            }
        }
        Ok(report)
    }

    fn arms(&self) -> Vec<(&str, &Model)> {
        self.arms
            .iter()
            .map(|arm| (arm.name.as_str(), &arm.model))
            .collect()
    }

    fn forget(&mut self) {
        self.arms.iter_mut().for_each(|arm| arm.updater.forget());
    }

    fn held(&self) -> Held {
        let [a, b] = &self.arms;
        let [a, b] = [a, b].map(|arm| Held::of(&arm.model.params().all(), &arm.updater));
        a.and(b)
    }

    fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for CassArm {
            name,
            model,
            updater,
            ..
        } in &self.arms
        {
            put(&mut state, &format!("{name}.model."), model.params().all());
            put_all(&mut state, &format!("{name}.optimizer."), updater.state()?);
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &Tensors) -> Result<()> {
        for CassArm {
            name,
            model,
            updater,
            ..
        } in &mut self.arms
        {
            take(state, &format!("{name}.model."), model.params().all())?;
            updater.load_state(&under(state, &format!("{name}.optimizer.")))?;
        }
        Ok(())
    }
}
