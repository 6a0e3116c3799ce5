use super::state::{Tensors, put, put_all, take, under};
use super::{Step, StepReport, Updater, finite, views};
use crate::error::{Error, Result};
use crate::loss::cass_loss;
use crate::recipe::Arm;
use candle_core::Tensor;
use cass_models::{Mode, Model};
use cass_ops::compose;

/// CASS: two networks see one view and are pulled towards the same direction of logits (paper,
/// algorithm 1). Each has its own optimiser and schedule.
pub struct CassStep {
    arms: [CassArm; 2],
}

struct CassArm {
    name: String,
    model: Model,
    updater: Updater,
}

impl CassStep {
    /// A step for two networks with as many outputs, each with its name and settings. With
    /// `zero_grad` false, gradients add up over all steps.
    ///
    /// # Errors
    /// If the networks have different numbers of outputs.
    pub fn new(arms: [(&str, Model, &Arm); 2], zero_grad: bool) -> Result<Self> {
        let [a, b] = [arms[0].1.num_classes(), arms[1].1.num_classes()];
        if a != b {
            return Err(Error::Mismatch(format!(
                "compare networks with {a} and {b} outputs"
            )));
        }
        let [a, b] = arms.map(|(name, model, arm)| {
            let updater = Updater::new(arm, model.params().trainable(), zero_grad)?;
            Ok::<_, Error>(CassArm {
                name: name.into(),
                model,
                updater,
            })
        });
        Ok(Self { arms: [a?, b?] })
    }
}

impl Step for CassStep {
    fn step(&mut self, images: &[Tensor]) -> Result<StepReport> {
        let [images] = views(images)?;
        let [a, b] = &self.arms;
        let (r, t) = (
            a.model.forward(images, Mode::Train)?.logits,
            b.model.forward(images, Mode::Train)?.logits,
        );
        let loss = compose(&[&r, &t], |t| cass_loss(&t[0], &t[1]))?;
        let value = finite(&loss, a.updater.steps())?;
        let grads = loss.backward()?;
        let mut lr = std::collections::BTreeMap::new();
        for arm in &mut self.arms {
            lr.insert(arm.name.clone(), arm.updater.update(&grads)?);
        }
        Ok(StepReport { loss: value, lr })
    }

    fn arms(&self) -> Vec<(&str, &Model)> {
        self.arms
            .iter()
            .map(|arm| (arm.name.as_str(), &arm.model))
            .collect()
    }

    fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for CassArm {
            name,
            model,
            updater,
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
        } in &mut self.arms
        {
            take(state, &format!("{name}.model."), model.params().all())?;
            updater.load_state(&under(state, &format!("{name}.optimizer.")))?;
        }
        Ok(())
    }
}
