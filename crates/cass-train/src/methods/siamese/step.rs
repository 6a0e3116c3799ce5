use crate::error::{Error, Result};
use crate::methods::projector::{Projector, head_params};
use crate::settings::{Arm, Precision};
use crate::step::micro_batch::{MicroBatch, micro_batches};
use crate::step::state::{Tensors, put, put_all, take, under};
use crate::step::{Held, Step, StepOptions, StepReport, Updater, finite, views};
use candle_core::{Tensor, Var};
use cass_models::{Mode, Model};
use cass_ops::{Gradients, Tracked, compose};

/// Heads by their names, in the order in which features pass them.
pub(crate) type Heads = Vec<(&'static str, Projector)>;

/// A network that is shown two views of each image, with heads behind its features that are thrown away after
/// pretraining. The classifier is not trained.
pub(crate) struct SiameseStep<O> {
    online: Online,
    objective: O,
    updater: Updater,
    part: Option<usize>,
}

/// A network and its heads: the first head sees the features, the others what the one before gives.
pub(crate) struct Online {
    pub(crate) name: String,
    pub(crate) network: Model,
    pub(crate) heads: Heads,
    pub(crate) mode: Mode,
    pub(crate) precision: Precision,
}

impl Online {
    /// What each of the N heads gives in turn, `(B, K)`; with `frozen`, without a graph.
    pub(crate) fn project<const N: usize>(
        &self,
        view: &Tensor,
        frozen: bool,
    ) -> Result<[Tracked; N]> {
        let outputs = self.precision.run(|| {
            let mut x = if frozen {
                self.network.frozen()?.features(view, self.mode)? // (B, D)
            } else {
                self.network.features(view, self.mode)?
            };
            let mut outputs = Vec::new();
            for (_, head) in &self.heads {
                x = head.forward(&x, frozen)?; // (B, K)
                outputs.push(x.clone());
            }
            Ok::<_, Error>(outputs)
        })?;
        let found = outputs.len();
        let wrong = |_| Error::Mismatch(format!("there are {found} heads: expected {N}"));
        outputs.try_into().map_err(wrong)
    }

    /// What is trained of the heads, under their names.
    pub(crate) fn head_params(&self) -> Vec<(String, Var)> {
        of_heads(&self.heads)
    }

    /// Everything that it consists of.
    pub(crate) fn variables(&self) -> Vec<(String, Var)> {
        [self.network.params().all(), self.head_params()].concat()
    }
}

fn of_heads(heads: &Heads) -> Vec<(String, Var)> {
    head_params(heads.iter().map(|(name, head)| (*name, head)))
}

/// What a method asks of two views.
pub(crate) trait Objective {
    /// The loss of two views, a mean over their images.
    fn loss(&self, online: &Online, views: &[Tensor; 2]) -> Result<Tracked>;

    /// What follows the update of a step, counted from 0.
    fn follow(&mut self, _online: &Online, _step: u64) -> Result<()> {
        Ok(())
    }

    /// A network that is not trained by gradients but follows.
    fn target(&self) -> Option<&Online> {
        None
    }
}

impl<O: Objective> SiameseStep<O> {
    pub(crate) fn new(
        (name, arm): (&str, &Arm),
        network: Model,
        heads: Heads,
        objective: impl FnOnce(&Online) -> Result<O>,
        options: &StepOptions,
    ) -> Result<Self> {
        let network = arm.over(network)?;
        let params = [network.backbone_params(), of_heads(&heads)].concat();
        let updater = Updater::new(arm, &network, params, options)?;
        let online = Online {
            name: name.into(),
            network,
            heads,
            mode: arm.mode(),
            precision: options.precision,
        };
        Ok(Self {
            objective: objective(&online)?,
            online,
            updater,
            part: options.part,
        })
    }

    pub(crate) fn online(&self) -> &Online {
        &self.online
    }

    pub(crate) fn objective(&self) -> &O {
        &self.objective
    }

    /// The loss of a part of a batch, times its share, and its gradients.
    fn gradients(&self, part: &MicroBatch) -> Result<(f64, Gradients)> {
        let loss = self.objective.loss(&self.online, views(&part.views)?)?;
        let loss = match part.share {
            1.0 => loss,
            _ => compose(&[&loss], |loss| part.of(loss[0].clone()))?,
        };
        Ok((finite(&loss, self.updater.steps())?, loss.backward()?))
    }

    /// All that changes in training, by the prefix of its names in a state.
    fn variables(&self) -> Vec<(&'static str, Vec<(String, Var)>)> {
        let target = self.objective.target();
        let target = target.map(|target| ("target.", target.variables()));
        [("online.", self.online.variables())]
            .into_iter()
            .chain(target)
            .collect()
    }
}

impl<O: Objective> Step for SiameseStep<O> {
    /// The views are two.
    fn step(&mut self, images: &[Tensor]) -> Result<StepReport> {
        views::<2>(images)?;
        let mut report = StepReport::default();
        let mut parts = micro_batches(images, self.part)?.into_iter().peekable();
        while let Some(part) = parts.next() {
            let (loss, grads) = self.gradients(&part)?;
            report.loss += loss;
            if parts.peek().is_some() {
                self.updater.gather(&grads)?;
            } else {
                self.updater
                    .update(&grads, &self.online.name, &mut report)?;
            }
        }
        let step = self.updater.steps().saturating_sub(1);
        self.objective.follow(&self.online, step)?;
        Ok(report)
    }

    fn arms(&self) -> Vec<(&str, &Model)> {
        vec![(&self.online.name, &self.online.network)]
    }

    fn networks(&self) -> Vec<&Model> {
        let all = [Some(&self.online), self.objective.target()];
        all.into_iter().flatten().map(|of| &of.network).collect()
    }

    fn forget(&mut self) {
        self.updater.forget();
    }

    fn held(&self) -> Held {
        let variables = self.variables().into_iter();
        let variables: Vec<_> = variables.flat_map(|(_, variables)| variables).collect();
        Held::of(&variables, &self.updater)
    }

    fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for (prefix, variables) in self.variables() {
            put(&mut state, prefix, variables);
        }
        put_all(&mut state, "optimizer.", self.updater.state()?);
        Ok(state)
    }

    fn load_state(&mut self, state: &Tensors) -> Result<()> {
        for (prefix, variables) in self.variables() {
            take(state, prefix, variables)?;
        }
        self.updater.load_state(&under(state, "optimizer."))
    }
}
