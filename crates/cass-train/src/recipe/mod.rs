//! Everything that decides a run, in one TOML file.

mod chosen;
mod validate;
mod weights;

pub use validate::ValidRecipe;
pub use weights::Weights;

use crate::error::Result;
use crate::optim::{AdamConfig, OptimizerConfig};
use crate::schedule::{CosineConfig, ScheduleConfig};
use cass_data::augment::Pipeline;
use cass_data::recipe::DataRecipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decides a run. Written to the run folder as `recipe.toml`.
///
/// ```
/// use cass_train::{Method, Recipe};
/// let mut recipe = Recipe::paper(Method::Cass);
/// recipe.size = 64;
/// let same = Recipe::from_toml(&recipe.to_toml()).unwrap();
/// assert_eq!(recipe, same);
/// assert!(recipe.deviations().contains(&"size = 64 (paper: 384)".to_string()));
/// let error = Recipe::from_toml("epoch = 3").unwrap_err().to_string();
/// assert!(error.contains("did you mean `epochs`?"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What is trained.
    pub method: Method,
    /// Whose settings the unset fields had; the fields alone decide.
    pub protocol: Protocol,
    /// Height and width of the networks' input, in pixels.
    pub size: usize,
    /// How an image becomes the method's views: a name, or a list of torchvision's transforms.
    pub pipeline: Pipeline,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// Parts that a batch goes through the networks in, their gradients gathered: less memory, and
    /// the same step but for BatchNorm, which normalises each part by itself.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// The norm that each arm's gradients are scaled down to where they exceed it; none for no
    /// clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// Of the products in a training step.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Beyond the paper: what keeps CASS from collapsing from random weights; none for the paper's loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Outputs of the classifiers, which CASS compares and DINO leaves alone.
    pub outputs: usize,
    /// Whether gradients are zeroed before each step; otherwise they add up over the whole run.
    pub zero_grad: bool,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Worker threads; 0 for one a core.
    pub threads: usize,
    /// Seed of weights, split, order and augmentation.
    pub seed: u64,
    /// Averaging of weights, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swa: Option<Swa>,
    /// What only DINO has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dino: Option<DinoConfig>,
    /// The images that pretraining sees.
    pub data: DataRecipe,
    /// The networks and how each is optimised: `cnn` and `vit` for CASS, `net` for DINO.
    pub arms: BTreeMap<String, Arm>,
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Cross-architectural self-supervision: two networks agree on one view.
    Cass,
    /// Self-distillation: one network and its moving average agree on crops.
    Dino,
}

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The paper's text.
    Paper,
    /// The authors' published notebooks, quirks included.
    Notebook,
}

/// What keeps CASS from collapsing. Not in the paper: from random weights its loss is met by two
/// networks that give every image the same logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// The loss is added [VICReg's penalty](crate::variance_penalty) of each arm's logits: outputs are
    /// to differ between images, and from each other.
    Variance,
}

/// Of the products in a training step. What is measured of networks, and the re-estimation of
/// averaged networks' BatchNorm statistics, is always in f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As the paper's.
    #[default]
    F32,
    /// Of convolutions, linear maps and attention; all else, weights, their gradients and updates,
    /// normalisation and losses, stays f32: see [`cass_ops::autocast`]. On a GPU only, unless
    /// [`emulate_bf16`](crate::PretrainOptions::emulate_bf16).
    Bf16,
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Runs a forward pass in it.
    pub(crate) fn run<R>(self, forward: impl FnOnce() -> R) -> R {
        cass_ops::autocast(self == Self::Bf16, forward)
    }
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

/// One network and how it is optimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// timm's name, weights' tag included or not.
    pub network: String,
    /// Initial weights.
    pub weights: Weights,
    /// The optimiser and its arguments.
    pub optimizer: OptimizerConfig,
    /// How its learning rate changes.
    pub schedule: ScheduleConfig,
}

/// Stochastic weight averaging: the equal mean of the weights after each epoch from `start` on,
/// with BatchNorm statistics re-estimated by one pass over the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swa {
    /// Share of the epochs after which averaging starts, in [0, 1).
    pub start: f64,
}

/// vit-pytorch's `Dino`, under its arguments' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinoConfig {
    /// Width of the projector's hidden layers.
    pub projection_hidden_size: usize,
    /// Linear layers of the projector, the last one (to K outputs) included.
    pub projection_layers: usize,
    /// Outputs of the projector.
    pub num_classes_k: usize,
    /// Temperature of the student's softmax.
    pub student_temp: f64,
    /// Temperature of the teacher's softmax.
    pub teacher_temp: f64,
    /// How much of the teacher stays at each step.
    pub moving_average_decay: f64,
    /// How much of the centres stays at each step.
    pub center_moving_average_decay: f64,
}

impl Default for DinoConfig {
    fn default() -> Self {
        Self {
            projection_hidden_size: 256,
            projection_layers: 4,
            num_classes_k: 65_336,
            student_temp: 0.9,
            teacher_temp: 0.04,
            moving_average_decay: 0.9,
            center_moving_average_decay: 0.9,
        }
    }
}

impl Recipe {
    /// The paper's settings (section 4.1, appendix E), with its standard pair of networks, or its
    /// CNN for DINO. `data.root` is empty and has to be set.
    pub fn paper(method: Method) -> Self {
        let adam = |network: &str, lr, schedule| Arm {
            network: network.into(),
            weights: Weights::Hub,
            optimizer: OptimizerConfig::Adam(AdamConfig {
                lr,
                ..AdamConfig::default()
            }),
            schedule,
        };
        let cosine = || ScheduleConfig::Cosine(CosineConfig::default());
        let (cnn, vit) = (
            "resnet50.a1_in1k",
            "vit_base_patch16_384.augreg_in21k_ft_in1k",
        );
        let arms = match method {
            Method::Cass => vec![
                ("cnn", adam(cnn, 1e-3, cosine())),
                ("vit", adam(vit, 1e-3, cosine())),
            ],
            Method::Dino => vec![("net", adam(cnn, 3e-4, ScheduleConfig::Constant))],
        };
        let cass = method == Method::Cass;
        Self {
            method,
            protocol: Protocol::Paper,
            data: DataRecipe::default(),
            size: 384,
            pipeline: if cass {
                Pipeline::Paper
            } else {
                Pipeline::Dino
            },
            epochs: 100,
            batch: 16,
            accumulate: 1,
            clip_grad_norm: None,
            precision: Precision::F32,
            guard: None,
            outputs: 1000,
            zero_grad: true,
            device: "auto".into(),
            threads: 0,
            seed: 0,
            swa: cass.then_some(Swa { start: 0.75 }),
            dino: (!cass).then(DinoConfig::default),
            arms: arms
                .into_iter()
                .map(|(name, arm)| (name.to_string(), arm))
                .collect(),
        }
    }

    /// What the authors' published code does: no averaging, gradients never zeroed under CASS, a
    /// tenth of the images, another split.
    pub fn notebook(method: Method) -> Self {
        let paper = Self::paper(method);
        Self {
            protocol: Protocol::Notebook,
            data: DataRecipe {
                val_fraction: 0.2,
                fraction: 0.1,
                ..paper.data
            },
            zero_grad: method == Method::Dino,
            seed: 77,
            swa: None,
            ..paper
        }
    }

    /// The preset of a protocol.
    pub fn preset(protocol: Protocol, method: Method) -> Self {
        match protocol {
            Protocol::Paper => Self::paper(method),
            Protocol::Notebook => Self::notebook(method),
        }
    }

    /// Images that go through the networks at once, where a batch goes in parts.
    pub(crate) fn part(&self) -> Option<usize> {
        (self.accumulate > 1).then(|| self.batch.div_ceil(self.accumulate))
    }

    /// Reads a recipe; every field has to be there.
    ///
    /// # Errors
    /// Naming the line, and for an unknown key the nearest known one.
    pub fn from_toml(text: &str) -> Result<Self> {
        Ok(cass_run::from_toml(text)?)
    }

    /// The recipe with one field changed, as [`cass_run::assign`] does it.
    ///
    /// ```
    /// use cass_train::{Method, Recipe};
    /// let recipe = Recipe::paper(Method::Cass).set("arms.vit.schedule.t_max=32").unwrap();
    /// assert_eq!(recipe.deviations(), ["arms.vit.schedule.t_max = 32 (paper: 16)"]);
    /// let error = recipe.set("zero_gard=false").unwrap_err().to_string();
    /// assert!(error.contains("did you mean `zero_grad`?"), "{error}");
    /// ```
    ///
    /// # Errors
    /// If there is no such field (naming the nearest), or its value is of another kind.
    pub fn set(&self, assignment: &str) -> Result<Self> {
        Ok(cass_run::assign(self, assignment)?)
    }

    /// The recipe as TOML text.
    pub fn to_toml(&self) -> String {
        cass_run::to_toml(self)
    }

    /// What differs from the paper's settings, as `field = value (paper: value)`. Left out: what
    /// every run chooses (data, seed) or what decides no result (device, threads, `skip_bad`).
    pub fn deviations(&self) -> Vec<String> {
        let own = [
            "data.name",
            "data.root",
            "data.skip_bad",
            "seed",
            "device",
            "threads",
            "protocol",
        ];
        let mut paper = Self::paper(self.method);
        if self.method == Method::Dino
            && let (Some(arm), Some(own)) = (paper.arms.get_mut("net"), self.arms.get("net"))
            && own.network.contains("vit_base_patch16_384")
        {
            // The paper trains DINO once for each of its networks.
            arm.network.clone_from(&own.network);
        }
        // A commit is a state of what the paper means, not another thing.
        let mut recipe = self.clone();
        for arm in recipe.arms.values_mut() {
            arm.weights = arm.weights.without_commit(&arm.network);
        }
        cass_run::deviations(&recipe, &paper, &own)
    }
}

impl Guard {
    /// As in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Variance => "variance",
        }
    }
}

impl Method {
    /// As in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cass => "cass",
            Self::Dino => "dino",
        }
    }

    /// The names of the method's arms.
    pub fn arms(self) -> &'static [&'static str] {
        match self {
            Self::Cass => &["cnn", "vit"],
            Self::Dino => &["net"],
        }
    }
}

#[cfg(test)]
mod tests;
