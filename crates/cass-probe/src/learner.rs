//! What trains on the labels: the classifier on frozen features, or the whole network.

use crate::{
    Result,
    counts::MicroCounts,
    parts::{Part, Parts},
    recipe::{Mode as ProbeMode, ProbeRecipe},
};
use candle_core::{DType, Tensor};
use cass_data::Loader;
use cass_models::{Mode, Model};
use cass_ops::{Rng, Tracked};
use cass_train::{FocalLoss, SupervisedStep, Trains};

/// What one pass over the labelled images gave.
pub(crate) struct TrainedEpoch {
    /// Mean over the images.
    pub(crate) loss: f64,
    /// Of the logits as they were at each step.
    pub(crate) counts: MicroCounts,
}

/// One step taken, for whoever watches.
pub(crate) struct Taken {
    pub(crate) loss: f64,
    pub(crate) lr: f64,
    pub(crate) images: usize,
}

/// Trains by epochs, and gives logits of the other parts in between.
pub(crate) enum Learner<'a> {
    Linear(Linear<'a>),
    Finetune(Finetune),
}

impl<'a> Learner<'a> {
    pub(crate) fn new(
        recipe: &'a ProbeRecipe,
        parts: &Parts,
        model: Model,
        loss: FocalLoss,
    ) -> Result<Self> {
        let trains = match recipe.mode {
            ProbeMode::Linear => Trains::Classifier,
            ProbeMode::Finetune => Trains::Everything,
        };
        let step = SupervisedStep::new(model, trains, &recipe.as_arm(), loss)?;
        Ok(match recipe.mode {
            ProbeMode::Linear => Self::Linear(Linear::new(recipe, parts, step)?),
            ProbeMode::Finetune => Self::Finetune(Finetune {
                train: parts.loader(Part::Train, true, recipe)?,
                val: parts.loader(Part::Val, false, recipe)?,
                test: parts.loader(Part::Test, false, recipe)?,
                step,
            }),
        })
    }

    pub(crate) fn model(&self) -> &Model {
        match self {
            Self::Linear(l) => l.step.model(),
            Self::Finetune(l) => l.step.model(),
        }
    }

    pub(crate) fn loss(&self) -> &FocalLoss {
        match self {
            Self::Linear(l) => l.step.loss(),
            Self::Finetune(l) => l.step.loss(),
        }
    }

    /// Steps an epoch.
    pub(crate) fn steps(&self) -> usize {
        match self {
            Self::Linear(l) => l.labels.len().div_ceil(l.recipe.batch),
            Self::Finetune(l) => l.train.batches(),
        }
    }

    pub(crate) fn train_epoch(
        &mut self,
        epoch: u64,
        watch: &mut dyn FnMut(Taken) -> Result<()>,
    ) -> Result<TrainedEpoch> {
        match self {
            Self::Linear(l) => l.train_epoch(epoch),
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

    /// `(N, D)` features of the test images, where the network before the classifier is frozen.
    pub(crate) fn test_features(&self) -> Option<&Tensor> {
        match self {
            Self::Linear(l) => Some(&l.features[Part::Test as usize]),
            Self::Finetune(_) => None,
        }
    }
}

/// The classifier on features that are computed once.
pub(crate) struct Linear<'a> {
    recipe: &'a ProbeRecipe,
    step: SupervisedStep,
    /// `(N, D)` of each part.
    features: [Tensor; 3],
    labels: Vec<usize>,
}

impl<'a> Linear<'a> {
    fn new(recipe: &'a ProbeRecipe, parts: &Parts, step: SupervisedStep) -> Result<Self> {
        let frozen = step.model().frozen()?;
        let of = |part| {
            let loader = parts.loader(part, false, recipe)?;
            collect(&loader, |images| {
                Ok(frozen.features(images, Mode::Eval)?.into_value())
            })
        };
        Ok(Self {
            recipe,
            features: [of(Part::Train)?, of(Part::Val)?, of(Part::Test)?],
            labels: parts.labels(Part::Train),
            step,
        })
    }

    fn train_epoch(&mut self, epoch: u64) -> Result<TrainedEpoch> {
        let mut order: Vec<u32> = (0..self.labels.len() as u32).collect();
        Rng::new(self.recipe.seed, "probe", [epoch, 0], 0).shuffle(&mut order);
        let mut sum = Summed::default();
        let features = &self.features[Part::Train as usize];
        for batch in order.chunks(self.recipe.batch) {
            let rows = Tensor::from_slice(batch, batch.len(), features.device())?;
            let labels: Vec<usize> = batch.iter().map(|&i| self.labels[i as usize]).collect();
            let (report, logits) = self.step.step(&features.index_select(&rows, 0)?, &labels)?;
            sum.add(report.loss, &logits, &labels)?;
        }
        Ok(sum.epoch())
    }

    fn logits(&self, part: Part) -> Result<Tensor> {
        let model = self.step.model().frozen()?;
        let features = Tracked::constant(&self.features[part as usize]);
        Ok(model.classify(&features)?.into_value())
    }
}

/// All parameters on augmented images.
pub(crate) struct Finetune {
    step: SupervisedStep,
    train: Loader,
    val: Loader,
    test: Loader,
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
            let (report, logits) = self.step.step(batch.images(), &batch.labels)?;
            sum.add(report.loss, &logits, &batch.labels)?;
            watch(Taken {
                loss: report.loss,
                lr: report.lr.values().copied().next().unwrap_or_default(),
                images: sum.images,
            })?;
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

#[derive(Default)]
struct Summed {
    images: usize,
    loss: f64,
    counts: MicroCounts,
}

impl Summed {
    fn add(&mut self, loss: f64, logits: &Tensor, labels: &[usize]) -> Result<()> {
        self.images += labels.len();
        self.loss += loss * labels.len() as f64;
        self.counts.add(logits, labels)?;
        Ok(())
    }

    fn epoch(self) -> TrainedEpoch {
        TrainedEpoch {
            loss: self.loss / self.images.max(1) as f64,
            counts: self.counts,
        }
    }
}
