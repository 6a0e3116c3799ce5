//! What trains on the labels: the classifier on frozen features, or the whole network.

use super::counts::MicroCounts;
use super::features::Features;
use super::head::Head;
use super::parts::Parts;
use super::probe::Tell;
use super::recipe::{ProbeMode, ProbeRecipe};
use crate::Result;
use candle_core::{DType, Tensor};
use cass_data::dataset::{Dataset, Part};
use cass_data::loader::Loader;
use cass_models::{Mode, Model};
use cass_ops::Tracked;
use cass_rng::Rng;
use cass_train::methods::{FocalLoss, StepReport, SupervisedStep, Trains};
use std::sync::Arc;

/// What one pass over the labelled images gave.
pub(crate) struct TrainedEpoch {
    /// Mean over the images.
    pub(crate) loss: f64,
    /// Counts of the decisions by the logits as they were at each step.
    pub(crate) counts: MicroCounts,
}

/// One step taken, for anyone who watches.
pub(crate) struct Taken {
    pub(crate) loss: f64,
    pub(crate) lr: f64,
    pub(crate) images: usize,
}

/// Trains by epochs, and gives logits of the other parts in between.
pub(crate) enum Learner<'a> {
    Linear(Box<Linear<'a>>),
    Finetune(Box<Finetune>),
}

impl<'a> Learner<'a> {
    pub(crate) fn new(
        recipe: &'a ProbeRecipe,
        parts: &Parts,
        model: Model,
        loss: FocalLoss,
        tell: &mut Tell,
    ) -> Result<Self> {
        if recipe.mode == ProbeMode::Linear {
            let linear = Linear::new(recipe, parts, model, loss, tell)?;
            return Ok(Self::Linear(Box::new(linear)));
        }
        Ok(Self::Finetune(Box::new(Finetune {
            train: parts.loader(Part::Train, true)?,
            val: parts.loader(Part::Val, false)?,
            test: parts.loader(Part::Test, false)?,
            step: SupervisedStep::new(model, Trains::Everything, &recipe.as_arm(), loss)?,
            dataset: parts.dataset.clone(),
        })))
    }

    pub(crate) fn model(&self) -> &Model {
        match self {
            Self::Linear(l) => l.trains.model(),
            Self::Finetune(l) => l.step.model(),
        }
    }

    pub(crate) fn loss(&self) -> &FocalLoss {
        match self {
            Self::Linear(l) => l.trains.loss(),
            Self::Finetune(l) => l.step.loss(),
        }
    }

    /// Steps an epoch.
    pub(crate) fn steps(&self) -> usize {
        match self {
            Self::Linear(l) => l.steps(),
            Self::Finetune(l) => l.train.batches(),
        }
    }

    pub(crate) fn train_epoch(
        &mut self,
        epoch: u64,
        watch: &mut dyn FnMut(Taken) -> Result<()>,
    ) -> Result<TrainedEpoch> {
        match self {
            Self::Linear(l) => l.train_epoch(epoch, watch),
            Self::Finetune(l) => l.train_epoch(epoch, watch),
        }
    }

    /// `(N, C)` of the validation or test images, in their order; f32 on the CPU.
    pub(crate) fn logits(&self, part: Part) -> Result<Tensor> {
        let logits = match self {
            Self::Linear(l) => l.logits(part)?,
            Self::Finetune(l) => l.logits(part)?,
        };
        Ok(logits
            .to_dtype(DType::F32)?
            .to_device(&candle_core::Device::Cpu)?)
    }

    /// Where the network before the classifier is frozen: the features of the images as they are.
    pub(crate) fn features(&self) -> Option<&Features> {
        match self {
            Self::Linear(l) => Some(&l.features),
            Self::Finetune(_) => None,
        }
    }
}

/// The classifier on features of a frozen network.
pub(crate) struct Linear<'a> {
    recipe: &'a ProbeRecipe,
    trains: Classifier,
    features: Features,
    /// Targets of the labelled images, `(N, C)`.
    targets: Vec<f32>,
    dataset: Arc<Dataset>,
}

/// How the classifier is trained.
enum Classifier {
    /// Trained on features that are computed once, in a step of its own, with each image's class.
    Fused(Head, Vec<usize>),
    /// Trained on the same features, for what that step does not do.
    Cached(SupervisedStep),
    /// Trained on features of newly augmented images in every epoch.
    Augmented(SupervisedStep, Loader),
}

impl Classifier {
    fn model(&self) -> &Model {
        match self {
            Self::Fused(head, _) => head.model(),
            Self::Cached(step) | Self::Augmented(step, _) => step.model(),
        }
    }

    fn loss(&self) -> &FocalLoss {
        match self {
            Self::Fused(head, _) => head.loss(),
            Self::Cached(step) | Self::Augmented(step, _) => step.loss(),
        }
    }
}

impl<'a> Linear<'a> {
    fn new(
        recipe: &'a ProbeRecipe,
        parts: &Parts,
        model: Model,
        loss: FocalLoss,
        tell: &mut Tell,
    ) -> Result<Self> {
        let features = Features::of(recipe, parts, &model, tell)?;
        let head = Head::new(recipe, &model, &loss)?;
        let general = || SupervisedStep::new(model, Trains::Classifier, &recipe.as_arm(), loss);
        let trains = match head {
            _ if recipe.augment => {
                Classifier::Augmented(general()?, parts.loader(Part::Train, true)?)
            }
            Some(head) => Classifier::Fused(head, parts.labels(Part::Train)),
            None => Classifier::Cached(general()?),
        };
        Ok(Self {
            recipe,
            features,
            targets: parts.targets(Part::Train),
            dataset: parts.dataset.clone(),
            trains,
        })
    }

    fn steps(&self) -> usize {
        match &self.trains {
            Classifier::Augmented(_, loader) => loader.batches(),
            _ => self.images().div_ceil(self.recipe.batch),
        }
    }

    /// Labelled images.
    fn images(&self) -> usize {
        self.targets.len() / self.dataset.classes.len()
    }

    fn train_epoch(
        &mut self,
        epoch: u64,
        watch: &mut dyn FnMut(Taken) -> Result<()>,
    ) -> Result<TrainedEpoch> {
        let mut order: Vec<u32> = (0..self.images() as u32).collect();
        Rng::new(self.recipe.seed, "probe", [epoch, 0], 0).shuffle(&mut order);
        let rows = self.features.rows(Part::Train);
        let mut sum = Summed::default();
        match &mut self.trains {
            Classifier::Fused(head, labels) => {
                return head.train_epoch(rows, labels, &order, self.recipe.batch);
            }
            Classifier::Cached(step) => {
                let device = &step.model().options().device.clone();
                let features = self.features.tensor(Part::Train, device)?;
                let classes = self.dataset.classes.len();
                for batch in order.chunks(self.recipe.batch) {
                    let rows = Tensor::from_slice(batch, batch.len(), device)?;
                    let rows = features.index_select(&rows, 0)?;
                    let targets = batch.iter().map(|&i| i as usize * classes);
                    let targets: Vec<f32> = targets
                        .flat_map(|start| &self.targets[start..start + classes])
                        .copied()
                        .collect();
                    let (report, logits) = step.step_targets(&rows, &targets)?;
                    sum.add(report.loss, &logits, &targets)?;
                }
            }
            Classifier::Augmented(step, loader) => {
                let frozen = step.model().frozen()?;
                for batch in loader.epoch(epoch) {
                    let batch = batch?;
                    let rows = frozen.features(batch.images(), Mode::Eval)?;
                    let targets = self.dataset.targets(&batch.samples);
                    let (report, logits) = step.step_targets(rows.value(), &targets)?;
                    sum.add(report.loss, &logits, &targets)?;
                    watch(sum.taken(&report))?;
                }
            }
        }
        Ok(sum.epoch())
    }

    fn logits(&self, part: Part) -> Result<Tensor> {
        let model = self.trains.model().frozen()?;
        let features = self.features.tensor(part, &model.options().device)?;
        Ok(model.classify(&Tracked::constant(&features))?.into_value())
    }
}

/// All parameters on augmented images.
pub(crate) struct Finetune {
    step: SupervisedStep,
    train: Loader,
    val: Loader,
    test: Loader,
    dataset: Arc<Dataset>,
}

impl Finetune {
    fn train_epoch(
        &mut self,
        epoch: u64,
        watch: &mut dyn FnMut(Taken) -> Result<()>,
    ) -> Result<TrainedEpoch> {
        let mut sum = Summed::default();
        for batch in self.train.epoch(epoch) {
            let batch = batch?;
            let targets = self.dataset.targets(&batch.samples);
            let (report, logits) = self.step.step_targets(batch.images(), &targets)?;
            sum.add(report.loss, &logits, &targets)?;
            watch(sum.taken(&report))?;
        }
        Ok(sum.epoch())
    }

    fn logits(&self, part: Part) -> Result<Tensor> {
        let frozen = self.step.model().frozen()?;
        let loader = match part {
            Part::Train => &self.train,
            Part::Val => &self.val,
            Part::Test => &self.test,
        };
        collect(loader, |images| {
            Ok(frozen.forward(images, Mode::Eval)?.logits.into_value())
        })
    }
}

/// `f` of every batch of a loader, one below the other.
fn collect(loader: &Loader, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let rows = loader.epoch(0).map(|batch| f(batch?.images()));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&rows, 0)?)
}

/// Losses and decisions of an epoch so far.
#[derive(Default)]
pub(crate) struct Summed {
    images: usize,
    loss: f64,
    counts: MicroCounts,
}

impl Summed {
    /// Adds a step of mean loss `loss` over the images of `logits` and `targets`, `(B, C)` both.
    pub(crate) fn add(&mut self, loss: f64, logits: &Tensor, targets: &[f32]) -> Result<()> {
        let mut counts = MicroCounts::default();
        counts.add(logits, targets)?;
        self.add_counted(loss, logits.dims2()?.0, counts);
        Ok(())
    }

    /// As [`Summed::add`], with the decisions counted already.
    pub(crate) fn add_counted(&mut self, loss: f64, images: usize, counts: MicroCounts) {
        self.images += images;
        self.loss += loss * images as f64;
        self.counts.merge(counts);
    }

    fn taken(&self, report: &StepReport) -> Taken {
        Taken {
            loss: report.loss,
            lr: report.lr.values().copied().next().unwrap_or_default(),
            images: self.images,
        }
    }

    pub(crate) fn epoch(self) -> TrainedEpoch {
        TrainedEpoch {
            loss: self.loss / self.images.max(1) as f64,
            counts: self.counts,
        }
    }
}
