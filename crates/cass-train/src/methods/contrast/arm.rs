//! One of the networks of a contrast, with what is trained on top of it.

use super::config::ContrastConfig;
use crate::error::Result;
use crate::methods::ProjectorLayer;
use crate::methods::projector::{Projector, head_params};
use crate::settings::{Arm, Precision};
use crate::step::state::{Tensors, put, put_all, take, under};
use crate::step::{Held, StepOptions, StepReport, Updater};
use candle_core::{Tensor, Var};
use cass_models::{Mode, Model};
use cass_ops::{Gradients, Tracked};

/// A network, its projector and what else reads its features, all but the network to be thrown away.
pub(super) struct ContrastArm {
    pub(super) name: String,
    mode: Mode,
    pub(super) model: Model,
    pub(super) updater: Updater,
    pub(super) projector: Projector,
    /// What predicts the network's own initial features.
    anchor: Option<Projector>,
    /// What predicts the other network's initial features.
    distil: Option<Projector>,
    /// The network as it was, where features of it are predicted.
    initial: Option<Model>,
    heads_updater: Updater,
    /// Projections of past images, the latest first; none before the first step.
    pub(super) queue: Option<Tensor>,
}

/// What an arm says of a batch.
pub(super) struct Said {
    pub(super) projections: Tracked,
    /// Predictions of its own initial features.
    pub(super) own: Option<Tracked>,
    /// Predictions of the other network's.
    pub(super) other: Option<Tracked>,
    /// Its own initial features.
    pub(super) initial: Option<Tensor>,
}

impl ContrastArm {
    /// The arm of number `which`, next to a network of `other` features.
    pub(super) fn new(
        (name, model, arm): (&str, Model, &Arm),
        (which, other): (u64, usize),
        config: &ContrastConfig,
        options: &StepOptions,
    ) -> Result<Self> {
        let model = arm.over(model)?;
        let (dtype, device) = (model.options().dtype, &model.options().device);
        let dim = model.feature_dim();
        let head = |layers: &[ProjectorLayer], kind: u64| {
            Projector::new(layers, options.seed, 2 * kind + which, device)?.to_dtype(dtype)
        };
        let linear = |weight: f64, outputs: usize, kind: u64| {
            let layers = ProjectorLayer::mlp(&[dim, outputs]);
            (weight > 0.0).then(|| head(&layers, kind)).transpose()
        };
        let mut of_heads = arm.clone();
        of_heads.optimizer.set_lr(config.projection_lr);
        of_heads.layer_decay = None;
        let (projector, anchor, distil) = (
            head(&config.projector(dim), 0)?,
            linear(config.anchor, dim, 1)?,
            linear(config.distil, other, 2)?,
        );
        let heads = head_params(heads(&projector, &anchor, &distil));
        let remembers = config.anchor > 0.0 || config.distil > 0.0;
        Ok(Self {
            name: name.into(),
            mode: arm.mode(),
            updater: Updater::new(arm, &model, model.backbone_params(), options)?,
            heads_updater: Updater::new(&of_heads, &model, heads, options)?,
            initial: remembers.then(|| model.deep_copy()).transpose()?,
            model,
            projector,
            anchor,
            distil,
            queue: None,
        })
    }

    /// Projections and predictions of a batch.
    pub(super) fn say(&self, images: &Tensor, precision: Precision) -> Result<Said> {
        precision.run(|| {
            let features = self.model.features(images, self.mode)?; // (2 B, D)
            let read = |head: &Option<Projector>| {
                let head = head.as_ref();
                head.map(|head| head.forward(&features, false)).transpose()
            };
            let initial = match &self.initial {
                Some(initial) => {
                    let features = initial.frozen()?.features(images, Mode::Eval)?;
                    Some(features.into_value())
                }
                None => None,
            };
            Ok(Said {
                projections: self.projector.forward(&features, false)?,
                own: read(&self.anchor)?,
                other: read(&self.distil)?,
                initial,
            })
        })
    }

    /// What is on top of the network, by what it is for.
    pub(super) fn heads(&self) -> Vec<(&'static str, &Projector)> {
        heads(&self.projector, &self.anchor, &self.distil)
    }

    /// Adds the gradients of a part of a batch to the next update's.
    pub(super) fn gather(&mut self, grads: &Gradients) -> Result<()> {
        self.updater.gather(grads)?;
        self.heads_updater.gather(grads)
    }

    /// Updates the network and what is on top of it; the network's rate and gradients are reported.
    pub(super) fn update(&mut self, grads: &Gradients, report: &mut StepReport) -> Result<()> {
        self.updater.update(grads, &self.name, report)?;
        let aside = &mut StepReport::default();
        self.heads_updater.update(grads, &self.name, aside)
    }

    pub(super) fn forget(&mut self) {
        self.updater.forget();
        self.heads_updater.forget();
    }

    /// Puts the latest projections in front of the queue.
    pub(super) fn keep(&mut self, latest: Tensor, most: usize) -> Result<()> {
        let all = match self.queue.take() {
            Some(before) => Tensor::cat(&[&latest, &before], 0)?,
            None => latest,
        };
        let rows = all.dim(0)?.min(most);
        self.queue = Some(all.narrow(0, 0, rows)?.contiguous()?);
        Ok(())
    }

    pub(super) fn held(&self) -> Held {
        let heads = Held::of(&head_params(self.heads()), &self.heads_updater);
        let mut held = Held::of(&self.model.params().all(), &self.updater).and(heads);
        for (_, var) in self.initial.iter().flat_map(|model| model.params().all()) {
            held.weights += var.elem_count() * var.dtype().size_in_bytes();
        }
        held
    }

    /// All that changes in training but the queue. The network as it was follows from the recipe.
    fn variables(&self) -> Vec<(String, Var)> {
        let network = self.model.params().all().into_iter();
        let network = network.map(|(name, var)| (format!("model.{name}"), var));
        network.chain(head_params(self.heads())).collect()
    }

    /// Adds everything that [`load_state`](Self::load_state) needs.
    pub(super) fn put_state(&self, state: &mut Tensors) -> Result<()> {
        let under = |what: &str| format!("{}.{what}", self.name);
        put(state, &under(""), self.variables());
        put_all(state, &under("optimizer."), self.updater.state()?);
        put_all(
            state,
            &under("heads_optimizer."),
            self.heads_updater.state()?,
        );
        if let Some(queue) = &self.queue {
            state.insert(under("queue"), queue.clone());
        }
        Ok(())
    }

    pub(super) fn load_state(&mut self, state: &Tensors) -> Result<()> {
        let state = under(state, &format!("{}.", self.name));
        take(&state, "", self.variables())?;
        self.updater.load_state(&under(&state, "optimizer."))?;
        let of_heads = under(&state, "heads_optimizer.");
        self.heads_updater.load_state(&of_heads)?;
        let device = &self.model.options().device;
        let queue = state.get("queue");
        self.queue = queue.map(|queue| queue.to_device(device)).transpose()?;
        Ok(())
    }
}

/// The heads that there are, by what they are for.
fn heads<'a>(
    projector: &'a Projector,
    anchor: &'a Option<Projector>,
    distil: &'a Option<Projector>,
) -> Vec<(&'static str, &'a Projector)> {
    let all = [
        ("projector", Some(projector)),
        ("anchor", anchor.as_ref()),
        ("distil", distil.as_ref()),
    ];
    all.into_iter()
        .filter_map(|(name, head)| Some((name, head?)))
        .collect()
}
