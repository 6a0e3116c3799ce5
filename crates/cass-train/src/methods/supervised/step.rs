use super::loss::FocalLoss;
use crate::error::Result;
use crate::settings::Arm;
use crate::step::{Held, StepOptions, StepReport, Updater, finite};
use candle_core::Tensor;
use cass_models::{Mode, Model};
use cass_ops::{Tracked, compose};

/// What a [`SupervisedStep`] trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trains {
    /// All parameters, from images: fine-tuning, and from other weights the supervised baseline
    /// (paper, appendix E.2).
    Everything,
    /// The classifier, from features of the frozen network before it: linear evaluation (paper,
    /// section 4.2).
    Classifier,
}

/// Training on labels.
pub struct SupervisedStep {
    mode: Mode,
    model: Model,
    trains: Trains,
    updater: Updater,
    loss: FocalLoss,
}

impl SupervisedStep {
    /// A step for a network whose outputs are the classes of `loss`. Gradients are zeroed.
    ///
    /// # Errors
    /// If there is no memory for the optimiser's state.
    pub fn new(model: Model, trains: Trains, arm: &Arm, loss: FocalLoss) -> Result<Self> {
        let model = arm.over(model)?;
        let params = match trains {
            Trains::Everything => model.params().trainable(),
            Trains::Classifier => model.classifier_params(),
        };
        let updater = Updater::new(arm, &model, params, &StepOptions::default())?;
        Ok(Self {
            mode: arm.mode(),
            model,
            trains,
            updater,
            loss,
        })
    }

    /// The network in training.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The loss that it trains with.
    pub fn loss(&self) -> &FocalLoss {
        &self.loss
    }

    /// The memory that it takes whatever the images are.
    pub fn held(&self) -> Held {
        Held::of(&self.model.params().all(), &self.updater)
    }

    /// Trains on B inputs, images `(B, 3, S, S)` or features `(B, D)`, and their labels; gives the
    /// logits `(B, C)` that the loss was taken of, too.
    ///
    /// # Errors
    /// As [`Step::step`](crate::Step::step), and if a label is out of range.
    pub fn step(&mut self, inputs: &Tensor, labels: &[usize]) -> Result<(StepReport, Tensor)> {
        self.step_with(inputs, |loss, logits| loss.forward(logits, labels))
    }

    /// Trains on inputs that may be of any number of classes: `targets` as of
    /// [`FocalLoss::forward_targets`].
    ///
    /// # Errors
    /// As [`step`](Self::step), and if the loss takes a softmax and an input is not of one class.
    pub fn step_targets(
        &mut self,
        inputs: &Tensor,
        targets: &[f32],
    ) -> Result<(StepReport, Tensor)> {
        self.step_with(inputs, |loss, logits| loss.forward_targets(logits, targets))
    }

    fn step_with(
        &mut self,
        inputs: &Tensor,
        loss: impl Fn(&FocalLoss, &Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<(StepReport, Tensor)> {
        let logits = match self.trains {
            Trains::Everything => self.model.forward(inputs, self.mode)?.logits,
            Trains::Classifier => self.model.classify(&Tracked::constant(inputs))?,
        };
        let loss = compose(&[&logits], |t| loss(&self.loss, &t[0]))?;
        let value = finite(&loss, self.updater.steps())?;
        let mut report = StepReport {
            loss: value,
            ..StepReport::default()
        };
        self.updater.update(&loss.backward()?, "net", &mut report)?;
        Ok((report, logits.into_value()))
    }
}
