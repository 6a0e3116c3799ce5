//! Everything that decides a run, in one TOML file.

mod chosen;
mod normalize;
mod validate;

pub use crate::settings::{Arm, Arms, Keep, Portion, Precision, Protocol, Swa, Weights};
pub use chosen::{channels, normalized};
pub use normalize::Normalize;
pub use validate::ValidRecipe;

use crate::error::Result;
use crate::methods::{Method, Preset};
use crate::step::{Step, StepOptions};
use cass_data::augment::Pipeline;
use cass_data::recipe::DataRecipe;
use cass_models::Model;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that decides a run. Written to the run folder as `recipe.toml`.
///
/// ```
/// use cass_train::methods::CassConfig;
/// use cass_train::Recipe;
/// let mut recipe = Recipe::paper(CassConfig::default());
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
    /// Whose settings the unset fields had; the fields alone decide.
    pub protocol: Protocol,
    /// Height and width of the networks' input, in pixels.
    pub size: usize,
    /// How an image becomes the method's views: a name, or a list of torchvision's transforms.
    pub pipeline: Pipeline,
    /// What images are normalised by.
    #[serde(default, skip_serializing_if = "Normalize::is_imagenet")]
    pub normalization: Normalize,
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
    /// Precision of the products in a training step.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
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
    /// Which epoch's networks the run is for.
    #[serde(default, skip_serializing_if = "Keep::is_last")]
    pub keep: Keep,
    /// What is trained, with the settings that only it has.
    pub method: Method,
    /// The images that pretraining sees.
    pub data: DataRecipe,
    /// The networks and how each is optimised: `cnn` and `vit` for CASS, `net` for DINO.
    pub arms: Arms,
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

impl Recipe {
    /// The paper's settings (section 4.1, appendix E), with its standard pair of networks, or its
    /// CNN for DINO. `data.root` is empty and has to be set.
    pub fn paper(method: impl Into<Method>) -> Self {
        Self::preset(Protocol::Paper, method)
    }

    /// What the authors' published code does: no averaging, gradients never zeroed under CASS, a
    /// tenth of the images, another split.
    pub fn notebook(method: impl Into<Method>) -> Self {
        Self::preset(Protocol::Notebook, method)
    }

    /// The preset of a protocol.
    pub fn preset(protocol: Protocol, method: impl Into<Method>) -> Self {
        let method = method.into();
        let Preset {
            arms,
            pipeline,
            swa,
            zero_grad,
        } = method.config().preset(protocol);
        let (data, seed) = match protocol {
            Protocol::Paper => (DataRecipe::default(), 0),
            Protocol::Notebook => {
                let data = DataRecipe {
                    val_fraction: 0.2,
                    fraction: 0.1,
                    ..DataRecipe::default()
                };
                (data, 77)
            }
        };
        Self {
            protocol,
            size: 384,
            pipeline,
            normalization: Normalize::Imagenet,
            epochs: 100,
            batch: 16,
            accumulate: 1,
            clip_grad_norm: None,
            precision: Precision::F32,
            outputs: 1000,
            zero_grad,
            device: "auto".into(),
            threads: 0,
            seed,
            swa,
            keep: Keep::Last,
            method,
            data,
            arms,
        }
    }

    /// The preset of a protocol for networks that begin from these weights, by their names in [`Method::arms`]: a method
    /// may want other rates for random ones. A network without weights here begins from those of the preset.
    ///
    /// ```
    /// use cass_train::methods::ContrastConfig;
    /// use cass_train::{Protocol, Recipe, Weights};
    /// let weights = [("vit".into(), Weights::Random)].into();
    /// let recipe = Recipe::from_weights(Protocol::Paper, ContrastConfig::default(), &weights);
    /// assert_eq!(recipe.arms["vit"].optimizer.lr(), 3e-4);
    /// assert!(recipe.arms["cnn"].frozen_statistics && recipe.arms["cnn"].weights == Weights::Hub);
    /// ```
    pub fn from_weights(
        protocol: Protocol,
        method: impl Into<Method>,
        weights: &BTreeMap<String, Weights>,
    ) -> Self {
        let mut recipe = Self::preset(protocol, method);
        for (name, arm) in &mut recipe.arms {
            let Some(weights) = weights.get(name) else {
                continue;
            };
            arm.weights = weights.clone();
            if arm.weights == Weights::Random {
                recipe.method.config().for_random(name, arm);
            }
        }
        recipe
    }

    /// The paper's preset with every network from random weights, and what the method wants for these.
    pub fn from_random(method: impl Into<Method>) -> Self {
        let method = method.into();
        let weights = method.arms().iter();
        let weights = weights.map(|arm| ((*arm).to_owned(), Weights::Random));
        let weights = weights.collect();
        Self::from_weights(Protocol::Paper, method, &weights)
    }

    /// What trains the networks as the recipe says: one for each arm, in the order of their names.
    ///
    /// # Errors
    /// If there are more or fewer networks than the method has arms, or they do not go together.
    pub fn step(&self, networks: Vec<Model>) -> Result<Box<dyn Step>> {
        self.step_of(networks, None)
    }

    /// The same for a run of so many steps, where they are known.
    pub(crate) fn step_of(
        &self,
        networks: Vec<Model>,
        steps: Option<u64>,
    ) -> Result<Box<dyn Step>> {
        let options = StepOptions {
            steps,
            ..self.step_options()
        };
        self.method.config().step(&self.arms, &options, networks)
    }

    /// How a step computes.
    pub(crate) fn step_options(&self) -> StepOptions {
        StepOptions {
            zero_grad: self.zero_grad,
            part: self.part(),
            precision: self.precision,
            clip_norm: self.clip_grad_norm,
            steps: None,
            seed: self.seed,
        }
    }

    /// How many views of each image a step takes.
    pub fn views(&self) -> usize {
        self.pipeline.views() * self.method.draws(&self.pipeline)
    }

    /// Images that go through the networks at once, where a batch goes in parts.
    pub(crate) fn part(&self) -> Option<usize> {
        (self.accumulate > 1).then(|| self.batch.div_ceil(self.accumulate))
    }

    /// Makes the paths of images and weights absolute: relative ones are of the folder `base`.
    pub fn resolve(&mut self, base: &Path) {
        self.data.resolve(base);
        let arms = self.arms.values_mut();
        arms.for_each(|arm| arm.weights.resolve(base));
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
    /// use cass_train::methods::CassConfig;
    /// use cass_train::Recipe;
    /// let recipe = Recipe::paper(CassConfig::default()).set("arms.vit.schedule.t_max=32").unwrap();
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
        let mut paper = Self::paper(self.method.plain());
        self.method.config().paper_for(&self.arms, &mut paper.arms);
        // A commit is a state of what the paper means, not another thing.
        let mut recipe = self.clone();
        for arm in recipe.arms.values_mut() {
            arm.weights = arm.weights.without_commit(&arm.network);
        }
        cass_run::deviations(&recipe, &paper, &own)
    }
}

#[cfg(test)]
mod tests;
