use super::arm::{ContrastArm, Said};
use super::config::ContrastConfig;
use super::loss::{contrast_loss, prediction_loss};
use crate::error::Result;
use crate::methods::Projector;
use crate::settings::{Arm, Precision};
use crate::step::micro_batch::{MicroBatch, micro_batches};
use crate::step::state::Tensors;
use crate::step::{Held, Step, StepOptions, StepReport, finite, views};
use candle_core::Tensor;
use cass_models::Model;
use cass_ops::{Gradients, Tracked, compose};

/// Two networks, each with a projector, see two views of every image: each tells its projection of an image in one
/// view from those of other images by its own and by the other network's projection of the other view.
///
/// Features, not the classifiers' logits, are projected: classifiers are not trained. The projectors have
/// optimisers of their own and are thrown away.
pub struct ContrastStep {
    arms: [ContrastArm; 2],
    config: ContrastConfig,
    part: Option<usize>,
    precision: Precision,
}

impl ContrastStep {
    /// A step for two networks and fresh projectors of their features, each network with its name and settings.
    ///
    /// # Errors
    /// If there is no memory for the projectors.
    pub fn new(
        arms: [(&str, Model, &Arm); 2],
        config: &ContrastConfig,
        options: &StepOptions,
    ) -> Result<Self> {
        let [a, b] = arms;
        let [of_a, of_b] = [a.1.feature_dim(), b.1.feature_dim()];
        Ok(Self {
            arms: [
                ContrastArm::new(a, (0, of_b), config, options)?,
                ContrastArm::new(b, (1, of_a), config, options)?,
            ],
            config: config.clone(),
            part: options.part,
            precision: options.precision,
        })
    }

    /// What is on top of each network, by what it is for, in the order of the arms: `projector`, and `anchor` and
    /// `distil` where they have a weight.
    pub fn heads(&self) -> [Vec<(&'static str, &Projector)>; 2] {
        let [a, b] = &self.arms;
        [a.heads(), b.heads()]
    }

    /// The projections of past images that each network keeps.
    pub fn queues(&self) -> [Option<&Tensor>; 2] {
        let [a, b] = &self.arms;
        [a.queue.as_ref(), b.queue.as_ref()]
    }

    /// The loss of a part of a batch, times its share, its gradients, and the projections.
    fn gradients(&self, part: &MicroBatch) -> Result<(f64, Gradients, [Tensor; 2])> {
        let images = Tensor::cat(views::<2>(&part.views)?, 0)?; // (2 B, C, S, S)
        let [a, b] = &self.arms;
        let (said_a, said_b) = (
            a.say(&images, self.precision)?,
            b.say(&images, self.precision)?,
        );
        let mut losses = vec![self.contrast(&said_a.projections, &said_b.projections)?];
        losses.extend(self.predictions(&said_a, &said_b)?);
        let loss = compose(&losses.iter().collect::<Vec<_>>(), |losses| {
            part.of(Tensor::stack(losses, 0)?.sum(0)?)
        })?;
        drop(losses);
        let projections = [said_a, said_b].map(|said| said.projections.into_value());
        let value = finite(&loss, a.updater.steps())?;
        Ok((value, loss.backward()?, projections))
    }

    /// Both contrasts of projections.
    fn contrast(&self, p: &Tracked, q: &Tracked) -> Result<Tracked> {
        let ContrastConfig {
            temperature,
            within,
            across,
            ..
        } = self.config;
        let [of_a, of_b] = [0, 1].map(|i: usize| self.arms[i].queue.as_ref());
        let loss = compose(&[p, q], |t| {
            let (p, q) = (&t[0], &t[1]);
            let mut sum = Tensor::zeros((), p.dtype(), p.device())?;
            for (weight, pairs) in [
                (within, [(p, p, of_a), (q, q, of_b)]),
                (across, [(p, q, of_b), (q, p, of_a)]),
            ] {
                if weight > 0.0 {
                    for (queries, keys, others) in pairs {
                        let loss = contrast_loss(queries, keys, others, temperature)?;
                        sum = (sum + (loss * (weight / 2.0))?)?;
                    }
                }
            }
            Ok(sum)
        })?;
        Ok(loss)
    }

    /// What predictions of initial features are off by.
    fn predictions(&self, a: &Said, b: &Said) -> Result<Vec<Tracked>> {
        let mut losses = Vec::new();
        for (weight, prediction, target) in [
            (self.config.anchor, &a.own, &a.initial),
            (self.config.anchor, &b.own, &b.initial),
            (self.config.distil, &a.other, &b.initial),
            (self.config.distil, &b.other, &a.initial),
        ] {
            if let (Some(prediction), Some(target)) = (prediction, target) {
                losses.push(compose(&[prediction], |t| {
                    prediction_loss(&t[0], target)? * (weight / 2.0)
                })?);
            }
        }
        Ok(losses)
    }
}

impl Step for ContrastStep {
    fn step(&mut self, images: &[Tensor]) -> Result<StepReport> {
        views::<2>(images)?;
        let mut report = StepReport::default();
        let mut latest = [Vec::new(), Vec::new()];
        let mut parts = micro_batches(images, self.part)?.into_iter().peekable();
        while let Some(part) = parts.next() {
            let (loss, grads, projections) = self.gradients(&part)?;
            report.loss += loss;
            for (latest, projections) in latest.iter_mut().zip(projections) {
                latest.push(projections);
            }
            for arm in &mut self.arms {
                if parts.peek().is_some() {
                    arm.gather(&grads)?;
                } else {
                    arm.update(&grads, &mut report)?;
                }
            }
        }
        if self.config.queue > 0 {
            for (arm, latest) in self.arms.iter_mut().zip(latest) {
                arm.keep(Tensor::cat(&latest, 0)?, self.config.queue)?;
            }
        }
        Ok(report)
    }

    fn arms(&self) -> Vec<(&str, &Model)> {
        let arms = self.arms.iter();
        arms.map(|arm| (arm.name.as_str(), &arm.model)).collect()
    }

    fn forget(&mut self) {
        self.arms.iter_mut().for_each(ContrastArm::forget);
    }

    fn held(&self) -> Held {
        let [a, b] = &self.arms;
        a.held().and(b.held())
    }

    fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for arm in &self.arms {
            arm.put_state(&mut state)?;
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &Tensors) -> Result<()> {
        self.arms
            .iter_mut()
            .try_for_each(|arm| arm.load_state(state))
    }
}
