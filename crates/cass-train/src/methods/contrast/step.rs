use super::config::ContrastConfig;
use super::loss::contrast_loss;
use crate::error::Result;
use crate::methods::Projector;
use crate::settings::{Arm, Precision};
use crate::step::micro_batch::{MicroBatch, micro_batches};
use crate::step::state::{Tensors, put, put_all, take, under};
use crate::step::{Held, Step, StepOptions, StepReport, Updater, finite, views};
use candle_core::{Tensor, Var};
use cass_models::{Mode, Model};
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

struct ContrastArm {
    name: String,
    mode: Mode,
    model: Model,
    updater: Updater,
    projector: Projector,
    projector_updater: Updater,
    /// Projections of past images, the latest first; none before the first step.
    queue: Option<Tensor>,
}

impl ContrastArm {
    fn new(
        (name, model, arm): (&str, Model, &Arm),
        which: u64,
        config: &ContrastConfig,
        options: &StepOptions,
    ) -> Result<Self> {
        let model = arm.over(model)?;
        let (dtype, device) = (model.options().dtype, &model.options().device);
        let layers = config.projector(model.feature_dim());
        let projector = Projector::new(&layers, options.seed, which, device)?.to_dtype(dtype)?;
        let mut of_projector = arm.clone();
        of_projector.optimizer.set_lr(config.projection_lr);
        let projection = projector.trainable().into_iter();
        let projection = projection.map(|(name, var)| (format!("projector.{name}"), var));
        Ok(Self {
            name: name.into(),
            mode: arm.mode(),
            updater: Updater::new(arm, &model, model.backbone_params(), options)?,
            projector_updater: Updater::new(&of_projector, &model, projection.collect(), options)?,
            model,
            projector,
            queue: None,
        })
    }

    /// Projections of a batch.
    fn project(&self, images: &Tensor, precision: Precision) -> Result<Tracked> {
        precision.run(|| {
            let features = self.model.features(images, self.mode)?; // (2 B, D)
            self.projector.forward(&features, false)
        })
    }

    /// Puts the latest projections in front of the queue.
    fn keep(&mut self, latest: Tensor, most: usize) -> Result<()> {
        let all = match self.queue.take() {
            Some(before) => Tensor::cat(&[&latest, &before], 0)?,
            None => latest,
        };
        let rows = all.dim(0)?.min(most);
        self.queue = Some(all.narrow(0, 0, rows)?.contiguous()?);
        Ok(())
    }

    /// All that changes in training but the queue, by the end of its prefix in a state.
    fn variables(&self) -> [(&'static str, Vec<(String, Var)>); 2] {
        [
            ("model.", self.model.params().all()),
            ("projector.", self.projector.trainable()),
        ]
    }
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
        Ok(Self {
            arms: [
                ContrastArm::new(a, 0, config, options)?,
                ContrastArm::new(b, 1, config, options)?,
            ],
            config: config.clone(),
            part: options.part,
            precision: options.precision,
        })
    }

    /// The networks' projectors, in the order of the arms.
    pub fn projectors(&self) -> [&Projector; 2] {
        let [a, b] = &self.arms;
        [&a.projector, &b.projector]
    }

    /// Each arm's name, network, projector and queue.
    pub(super) fn parts(&self) -> [(&str, &Model, &Projector, Option<&Tensor>); 2] {
        let [a, b] = &self.arms;
        [a, b].map(|arm| {
            let (name, queue) = (arm.name.as_str(), arm.queue.as_ref());
            (name, &arm.model, &arm.projector, queue)
        })
    }

    /// The loss of a part of a batch, times its share, its gradients, and the projections.
    fn gradients(&self, part: &MicroBatch) -> Result<(f64, Gradients, [Tensor; 2])> {
        let images = Tensor::cat(views::<2>(&part.views)?, 0)?; // (2 B, C, S, S)
        let [a, b] = &self.arms;
        let (p, q) = (
            a.project(&images, self.precision)?,
            b.project(&images, self.precision)?,
        );
        let ContrastConfig {
            temperature,
            within,
            across,
            ..
        } = self.config;
        let (of_a, of_b) = (a.queue.as_ref(), b.queue.as_ref());
        let loss = compose(&[&p, &q], |t| {
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
            part.of(sum)
        })?;
        let projections = [p.into_value(), q.into_value()];
        Ok((
            finite(&loss, a.updater.steps())?,
            loss.backward()?,
            projections,
        ))
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
                    arm.updater.gather(&grads)?;
                    arm.projector_updater.gather(&grads)?;
                } else {
                    arm.updater.update(&grads, &arm.name, &mut report)?;
                    let aside = &mut StepReport::default();
                    arm.projector_updater.update(&grads, &arm.name, aside)?;
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
        for arm in &mut self.arms {
            arm.updater.forget();
            arm.projector_updater.forget();
        }
    }

    fn held(&self) -> Held {
        let held = |arm: &ContrastArm| {
            let projection = Held::of(&arm.projector.trainable(), &arm.projector_updater);
            Held::of(&arm.model.params().all(), &arm.updater).and(projection)
        };
        let [a, b] = &self.arms;
        held(a).and(held(b))
    }

    fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for arm in &self.arms {
            let name = &arm.name;
            for (kind, variables) in arm.variables() {
                put(&mut state, &format!("{name}.{kind}"), variables);
            }
            put_all(
                &mut state,
                &format!("{name}.optimizer."),
                arm.updater.state()?,
            );
            let prefix = format!("{name}.projector_optimizer.");
            put_all(&mut state, &prefix, arm.projector_updater.state()?);
            if let Some(queue) = &arm.queue {
                state.insert(queue_name(name), queue.clone());
            }
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &Tensors) -> Result<()> {
        for arm in &mut self.arms {
            let name = &arm.name;
            for (kind, variables) in arm.variables() {
                take(state, &format!("{name}.{kind}"), variables)?;
            }
            let of_optimizer = under(state, &format!("{name}.optimizer."));
            arm.updater.load_state(&of_optimizer)?;
            let of_optimizer = under(state, &format!("{name}.projector_optimizer."));
            arm.projector_updater.load_state(&of_optimizer)?;
            let device = &arm.model.options().device;
            let queue = state.get(&queue_name(name));
            arm.queue = queue.map(|queue| queue.to_device(device)).transpose()?;
        }
        Ok(())
    }
}

/// The name of an arm's queue in a state.
fn queue_name(arm: &str) -> String {
    format!("{arm}.queue")
}
