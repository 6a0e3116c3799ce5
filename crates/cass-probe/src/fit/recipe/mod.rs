mod class_weights;

pub use class_weights::ClassWeights;

use super::logistic::LogisticConfig;
use crate::{Error, Result};
use candle_core::{DType, Device};
use cass_data::cache::Storage;
use cass_data::recipe::DataRecipe;
use cass_models::{Model, ModelOptions};
use cass_train::memory::network_memory;
use cass_train::methods::FocalForm;
use cass_train::optim::{AdamConfig, OptimizerConfig};
use cass_train::recipe::{Arm, Normalize, Portion, normalized};
use cass_train::schedule::{CosineConfig, ScheduleConfig};
use cass_train::{Protocol, Weights};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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

/// What is trained on the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMode {
    /// The classifier, on frozen features of the images as they are (section 4.2).
    Linear,
    /// A logistic regression on standardised features ([`Logistic`](super::Logistic)), which converges to one
    /// answer however large or small features are.
    Logistic,
    /// All parameters, on augmented images (the published code; also the supervised baseline).
    Finetune,
    /// Nothing: the nearest labelled images vote ([`Knn`](super::Knn)). Their number is the one of
    /// [`KNN_NEIGHBOURS`](super::KNN_NEIGHBOURS) with the best macro F1 on the labelled images
    /// themselves, each left out in turn.
    Knn,
}

impl ProbeMode {
    /// `linear`, `logistic`, `finetune` or `knn`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logistic => "logistic",
            Self::Finetune => "finetune",
            Self::Knn => "knn",
        }
    }

    /// Whether it trains for epochs, under a stopping rule.
    pub fn has_epochs(self) -> bool {
        matches!(self, Self::Linear | Self::Finetune)
    }
}

/// How a logistic probe chooses its penalty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticRecipe {
    /// Inverse strengths that are tried, rising: the one with the best macro F1 on the validation images is taken,
    /// of equal ones the strongest penalty.
    pub grid: Vec<f64>,
    /// Length of the gradient at which a fit has converged.
    pub tolerance: f64,
    /// Iterations of L-BFGS at most, each.
    pub iterations: usize,
    /// Whether the chosen penalty is fitted again to training and validation images together.
    pub refit: bool,
}

impl Default for LogisticRecipe {
    /// Inverse strengths from 10⁻⁴ to 10², a decade apart.
    fn default() -> Self {
        let LogisticConfig {
            tolerance,
            iterations,
            ..
        } = LogisticConfig::default();
        Self {
            grid: vec![1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0],
            tolerance,
            iterations,
            refit: false,
        }
    }
}

/// When to stop before the last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase", deny_unknown_fields)]
pub enum Stopping {
    /// After so many epochs in a row without a lower validation loss; the best epoch is kept.
    Patience {
        /// Epochs without improvement.
        epochs: usize,
    },
    /// The published code: validates only after epochs whose training score rose, counts those
    /// whose validation loss lies above the last one, stops when the count passes 5, keeps the
    /// best validation score.
    Notebook,
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
            seed: self.seed,
            dtype: DType::F32,
            device,
            ..ModelOptions::default()
        };
        let mut model = Model::new(&self.network, &options)?;
        model.set_normalization(self.normalization.of(&self.network, &self.weights)?)?;
        Ok(model)
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

    /// Checks every field.
    ///
    /// # Errors
    /// Naming the first field that no probe can have, its value and what was expected.
    pub fn validate(&self) -> Result<()> {
        cass_run::check_numbers(self)?;
        let check = |field: &str, value: f64, good: bool, expected: &str| {
            if good {
                return Ok(());
            }
            Err(Error::Train(cass_train::Error::Field {
                field: field.into(),
                value: value.to_string(),
                expected: expected.into(),
            }))
        };
        self.normalization.check()?;
        self.as_arm().check_portion("")?;
        let whole = self.train.is_all() && self.layer_decay.is_none() && !self.frozen_statistics;
        if !whole && self.mode != ProbeMode::Finetune {
            return Err(Error::Train(cass_train::Error::Field {
                field: "mode".into(),
                value: self.mode.name().into(),
                expected: "finetune where train, layer_decay or frozen_statistics is set".into(),
            }));
        }
        let val = self.data.val_fraction;
        check("val_fraction", val, val != 0.0, "a share above 0, below 1")?;
        self.data.check()?;
        self.as_arm().check("")?;
        check("epochs", self.epochs as f64, self.epochs > 0, "at least 1")?;
        check("batch", self.batch as f64, self.batch > 1, "at least 2")?;
        check("size", self.size as f64, self.size > 0, "at least 1")?;
        check(
            "augment",
            1.0,
            !self.augment || self.mode == ProbeMode::Linear,
            "false unless the mode is linear: finetune always augments, logistic and knn never",
        )?;
        if let Some(logistic) = &self.logistic {
            let rises = logistic.grid.is_sorted_by(|a, b| a < b);
            let good = |c: &f64| c.is_finite() && *c > 0.0;
            if logistic.grid.is_empty() || !rises || !logistic.grid.iter().all(good) {
                return Err(Error::Train(cass_train::Error::Field {
                    field: "logistic.grid".into(),
                    value: format!("{:?}", logistic.grid),
                    expected: "rising numbers above 0".into(),
                }));
            }
            let tolerance = logistic.tolerance;
            check("logistic.tolerance", tolerance, tolerance > 0.0, "above 0")?;
            let iterations = logistic.iterations;
            check(
                "logistic.iterations",
                iterations as f64,
                iterations > 0,
                "at least 1",
            )?;
        }
        let fits = self.logistic.is_some() == (self.mode == ProbeMode::Logistic);
        if !fits {
            return Err(Error::Train(cass_train::Error::Field {
                field: "logistic".into(),
                value: if self.logistic.is_some() {
                    "a table"
                } else {
                    "nothing"
                }
                .into(),
                expected: "a table under mode logistic, and no other".into(),
            }));
        }
        if self.multi_label && self.loss == FocalForm::Softmax {
            return Err(Error::Train(cass_train::Error::Field {
                field: "loss".into(),
                value: "softmax".into(),
                expected: "sigmoid where an image may be of several classes".into(),
            }));
        }
        Ok(())
    }

    /// Checks that this computer has the memory that the probe takes at the least, before anything of it
    /// is asked for. GPUs say themselves what they lack.
    ///
    /// # Errors
    /// Naming what is needed and what is there; if the network is unknown.
    pub fn expect_memory(&self) -> Result<()> {
        if self.device.starts_with("cuda") || cfg!(feature = "cuda") && self.device == "auto" {
            return Ok(());
        }
        let copies = match self.mode {
            ProbeMode::Finetune => 2 + self.optimizer.state_names().len(),
            _ => 1,
        };
        let bytes = network_memory(&self.network, 1, self.size, copies, self.batch)?;
        Ok(cass_run::expect_memory(bytes)?)
    }

    /// What differs from the paper's settings, as `field = value (paper: value)`. Left out: what
    /// every probe chooses or what decides no result.
    pub fn deviations(&self) -> Vec<String> {
        const OWN: [&str; 11] = [
            "arm",
            "data.fraction",
            "data.name",
            "data.root",
            "data.skip_bad",
            "device",
            "multi_label",
            "network",
            "protocol",
            "seed",
            "threads",
        ];
        let mut paper = Self::preset(Protocol::Paper, self.mode);
        if self.multi_label {
            paper = paper.for_multi_label();
        }
        if self.arm.is_some() {
            // Weights of a pretraining are what the paper probes.
            paper.weights = self.weights.clone();
        }
        // A commit is a state of what the paper means, not another thing.
        let recipe = Self {
            weights: self.weights.without_commit(&self.network),
            ..self.clone()
        };
        cass_run::deviations(&recipe, &paper, &OWN)
    }

    /// What the paper's text leaves open and was chosen here, one sentence each.
    pub fn chosen(&self) -> Vec<String> {
        let mut chosen = vec![
            "headline F1 is macro; micro and weighted stand beside it".to_string(),
            "label fractions are stratified, nested, at least one image a class".to_string(),
        ];
        let (network, weights) = (&self.network, &self.weights);
        chosen.extend(normalized(
            "the network",
            network,
            weights,
            &self.normalization,
        ));
        if self.mode != ProbeMode::Knn {
            chosen.push(
                match self.class_weights {
                    ClassWeights::Paper => {
                        "class weights run from 0.2 (rarest) to 1 (most frequent), as in the published code"
                    }
                    ClassWeights::None => "class weights: none, all images weigh the same",
                    ClassWeights::Balanced => "class weights: every class weighs the same",
                }
                .to_string(),
            );
        }
        if self.multi_label {
            chosen.push(
                "several labels an image: focal loss of each class' sigmoid, decided at 0.5 (thresholds \
                 that suit the validation images stand beside it, under `tuned`)"
                    .into(),
            );
        }
        match self.mode {
            ProbeMode::Linear if self.augment => {
                chosen.push("linear: features of newly augmented images in every epoch".into());
            }
            ProbeMode::Linear => {
                chosen.push("linear: features of the images as they are, without augmentation".into());
            }
            ProbeMode::Knn => chosen.push(
                "knn: cosine, votes weighted by exp(cosine / 0.07), neighbours chosen by leaving one out"
                    .into(),
            ),
            ProbeMode::Logistic => {
                let logistic = self.logistic.clone().unwrap_or_default();
                let refit = if logistic.refit { ", then fitted to both" } else { "" };
                chosen.push(format!(
                    "logistic: L2 penalty on standardised features, C from {:?} by the validation images{refit}",
                    logistic.grid
                ));
            }
            ProbeMode::Finetune => {}
        }
        chosen
    }
}
