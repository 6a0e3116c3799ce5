mod choices;
mod class_weights;
mod mode;
mod validate;

pub use class_weights::ClassWeights;
pub use mode::{LogisticRecipe, ProbeMode, Stopping};

use crate::{Error, Result};
use candle_core::{DType, Device};
use cass_data::cache::Storage;
use cass_data::recipe::DataRecipe;
use cass_models::{Model, ModelOptions};
use cass_train::methods::FocalForm;
use cass_train::optim::{AdamConfig, OptimizerConfig};
use cass_train::recipe::{Arm, Normalize, Portion};
use cass_train::schedule::{CosineConfig, ScheduleConfig};
use cass_train::{Protocol, Weights};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that decides a probe. Written to its folder as `recipe.toml`.
///
/// ```
/// use cass_probe::fit::{ProbeMode, ProbeRecipe};
/// use cass_train::Protocol;
/// let recipe = ProbeRecipe::preset(Protocol::Paper, ProbeMode::Linear);
/// assert_eq!((recipe.epochs, recipe.size), (50, 384));
/// assert!(recipe.deviations().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRecipe {
    /// How it probes: what is trained on the labels.
    pub mode: ProbeMode,
    /// Whose settings the unset fields had; the fields alone decide.
    pub protocol: Protocol,
    /// timm's name.
    pub network: String,
    /// The weights that are judged.
    pub weights: Weights,
    /// Arm of a pretraining that they are from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Height and width of the network's input, in pixels.
    pub size: usize,
    /// What images are normalised by.
    #[serde(default, skip_serializing_if = "Normalize::is_imagenet")]
    pub normalization: Normalize,
    /// Largest number of passes over the labelled images.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// Whether a linear classifier sees the features of newly augmented images in every epoch,
    /// rather than those of the images as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub augment: bool,
    /// Whether an image may be of any number of classes, each decided for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_label: bool,
    /// What images of a class weigh in a fit.
    #[serde(default = "ClassWeights::before")]
    pub class_weights: ClassWeights,
    /// How the penalty of a logistic regression is chosen; of mode `logistic` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logistic: Option<LogisticRecipe>,
    /// Form of the focal loss; `sigmoid` where an image may be of several classes.
    pub loss: FocalForm,
    /// When to stop early.
    pub stopping: Stopping,
    /// The optimiser and its arguments.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes, step by step.
    pub schedule: ScheduleConfig,
    /// Which parameters fine-tuning trains.
    #[serde(default, skip_serializing_if = "Portion::is_all")]
    pub train: Portion,
    /// The share of a layer's learning rate that the layer before it has in fine-tuning: see [`Arm::layer_decay`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// Whether fine-tuning keeps BatchNorm's running statistics and normalises by them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen_statistics: bool,
    /// Whether test images that the pretraining was trained on are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude_seen: bool,
    /// Whether the folder keeps the network with its classifier, which is as large as the network: without it, nothing
    /// can be predicted. Decides no score.
    #[serde(default = "kept", skip_serializing_if = "Clone::clone")]
    pub keep_network: bool,
    /// Device that computes: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Worker threads; 0 for one a core.
    pub threads: usize,
    /// Seed of the new head, the split, the order and the augmentation.
    pub seed: u64,
    /// The images, and the share of the training images whose labels are used.
    pub data: DataRecipe,
    /// Where resized pixels are kept, and which images decode. Decides no result either.
    #[serde(skip)]
    pub storage: Storage,
    /// Folder that keeps features between probes; none is kept without. Decides no result, so it is
    /// not part of the recipe's text.
    #[serde(skip)]
    pub feature_cache: Option<PathBuf>,
}

fn kept() -> bool {
    true
}

impl ProbeRecipe {
    /// A protocol's settings (appendix E.2), with the paper's CNN. `data.root` is empty and has to
    /// be set.
    pub fn preset(protocol: Protocol, mode: ProbeMode) -> Self {
        let paper = Self {
            mode,
            protocol,
            network: "resnet50.a1_in1k".into(),
            weights: Weights::Hub,
            arm: None,
            data: DataRecipe::default(),
            storage: Storage::default(),
            size: 384,
            normalization: Normalize::Imagenet,
            epochs: 50,
            batch: 16,
            augment: false,
            multi_label: false,
            class_weights: match mode {
                ProbeMode::Knn => ClassWeights::None,
                _ => ClassWeights::Paper,
            },
            logistic: (mode == ProbeMode::Logistic).then(LogisticRecipe::default),
            loss: FocalForm::Softmax,
            stopping: Stopping::Patience { epochs: 5 },
            optimizer: OptimizerConfig::Adam(AdamConfig {
                lr: 3e-4,
                ..AdamConfig::default()
            }),
            schedule: ScheduleConfig::Cosine(CosineConfig::default()),
            train: Portion::All,
            layer_decay: None,
            frozen_statistics: false,
            exclude_seen: false,
            keep_network: true,
            device: "auto".into(),
            threads: 0,
            seed: 0,
            feature_cache: None,
        };
        match protocol {
            Protocol::Paper => paper,
            Protocol::Notebook => Self {
                data: DataRecipe {
                    val_fraction: 0.2,
                    ..paper.data
                },
                loss: FocalForm::Sigmoid,
                stopping: Stopping::Notebook,
                seed: 77,
                ..paper
            },
        }
    }

    /// Adapts the settings to images of any number of classes: the paper's focal loss then is one of
    /// each class' sigmoid, as the published code has it.
    pub fn for_multi_label(self) -> Self {
        Self {
            multi_label: true,
            loss: FocalForm::Sigmoid,
            ..self
        }
    }

    /// The network, still without the weights that are judged.
    pub(crate) fn network(&self, num_classes: usize, device: Device) -> Result<Model> {
        let options = ModelOptions {
            num_classes,
            input_size: self.size,
            in_chans: self.data.in_chans,
            seed: self.seed,
            dtype: DType::F32,
            device,
        };
        let mut model = Model::new(&self.network, &options)?;
        model.set_normalization(self.normalization.of(&self.network, &self.weights)?)?;
        Ok(model)
    }

    /// Says so where the probe in `run` kept no network.
    pub(crate) fn expect_network(&self, run: &Path) -> Result<()> {
        if self.keep_network {
            return Ok(());
        }
        let why = "it kept its scores alone, and no network (keep_network = false): probe again without --scores-only";
        Err(Error::Run {
            path: run.into(),
            reason: why.into(),
        })
    }

    /// The network and how it is optimised.
    pub(crate) fn as_arm(&self) -> Arm {
        Arm {
            train: self.train,
            layer_decay: self.layer_decay,
            frozen_statistics: self.frozen_statistics,
            ..Arm::new(
                self.network.clone(),
                self.weights.clone(),
                self.optimizer.clone(),
                self.schedule.clone(),
            )
        }
    }

    /// Makes the paths of images and weights absolute: relative ones are of the folder `base`.
    pub fn resolve(&mut self, base: &Path) {
        self.data.resolve(base);
        self.weights.resolve(base);
    }

    /// The recipe as TOML text.
    pub fn to_toml(&self) -> String {
        cass_run::to_toml(self)
    }

    /// Reads a recipe; every field has to be there.
    ///
    /// # Errors
    /// Naming the line, and for an unknown key the nearest known one.
    pub fn from_toml(text: &str) -> Result<Self> {
        Ok(cass_run::from_toml(text)?)
    }
}
