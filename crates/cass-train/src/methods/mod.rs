//! What can be trained, a folder each: settings, views, loss and step.
//!
//! A method of pretraining is a type of settings that is a `MethodConfig`. Adding one is its folder and
//! its line in `methods!`: recipes, the command line, runs and replays ask the method.

mod byol;
mod cass;
mod contrast;
mod dino;
mod directions;
mod projector;
mod siamese;
mod simsiam;
mod supervised;
#[cfg(test)]
mod testing;
mod vicreg;

pub use crate::step::{Held, Step, StepOptions, StepReport};
pub use byol::ByolConfig;
pub use cass::{CassConfig, CassStep, Guard, cass_loss, variance_penalty};
pub use contrast::{ContrastConfig, ContrastStep, contrast_loss, prediction_loss};
pub use dino::{DinoConfig, DinoStep, dino_loss};
pub use projector::{Projector, ProjectorLayer};
pub use simsiam::{SimsiamConfig, simsiam_loss};
pub use supervised::{FocalForm, FocalLoss, SupervisedStep, Trains, class_weights};
pub use vicreg::{VicregConfig, vicreg_loss};

use crate::error::{Error, Result};
use crate::settings::{Arm, Arms, Protocol, Swa};
use crate::trajectory::{Deviation, Recorded, Replay};
use cass_data::augment::Pipeline;
use cass_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;

/// What a method decides. Its fields are the settings that only it has.
pub(crate) trait MethodConfig {
    /// The names of its networks, in alphabetical order.
    fn arms(&self) -> &'static [&'static str];

    /// The names of what its loss is the sum of.
    fn losses(&self) -> Vec<&'static str>;

    /// The networks, views and averaging of a protocol.
    fn preset(&self, protocol: Protocol) -> Preset;

    /// Changes what the preset has for weights that have learned before to what a network wants that begins at random.
    fn for_random(&self, _name: &str, _arm: &mut Arm) {}

    /// Gives the paper's networks those choices of `arms` that the paper makes, too.
    fn paper_for(&self, _arms: &Arms, _paper: &mut Arms) {}

    /// Checks the settings.
    fn check(&self) -> Result<()>;

    /// Checks that images become the views that the step takes.
    fn check_views(&self, pipeline: &Pipeline) -> Result<()>;

    /// What the paper's text leaves open and was chosen here, one sentence each.
    fn chosen(&self, arms: &Arms, pipeline: &Pipeline) -> Vec<String>;

    /// How often each image goes through a pipeline, each time with draws of its own.
    fn draws(&self, _pipeline: &Pipeline) -> usize {
        1
    }

    /// What a step costs for each image and network, in forward passes: one forward, and back twice as much.
    fn forwards(&self, frozen: bool) -> f64 {
        if frozen { 1.0 } else { 3.0 }
    }

    /// The memory that it takes at the least besides its networks, in bytes, where `copies` are kept of each
    /// weight that is trained.
    fn memory(&self, _copies: u128) -> u128 {
        0
    }

    /// What may be done where features collapse, if the recipe does not do it yet.
    fn remedy(&self) -> Option<&'static str> {
        None
    }

    /// What trains the networks, which are in the order of [`arms`](Self::arms).
    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>>;

    /// Replays a run that PyTorch recorded.
    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation>;
}

/// What a method decides of a recipe outside of its own table.
pub(crate) struct Preset {
    pub(crate) arms: Arms,
    pub(crate) pipeline: Pipeline,
    pub(crate) swa: Option<Swa>,
    pub(crate) zero_grad: bool,
}

/// The networks that a method trains, each with its name and settings.
fn with_arms<'a, const N: usize>(
    method: &str,
    arms: &'a Arms,
    networks: Vec<Model>,
) -> Result<[(&'a str, Model, &'a Arm); N]> {
    let both = arms.iter().zip(networks);
    let both: Vec<_> = both
        .map(|((name, arm), network)| (name.as_str(), network, arm))
        .collect();
    let found = both.len();
    both.try_into().map_err(|_| {
        Error::Mismatch(format!(
            "method {method} has {found} networks: expected {N}"
        ))
    })
}

/// Where a method trains one network, the paper trains it for each of its two.
fn paper_for_one(arms: &Arms, paper: &mut Arms) {
    if let (Some(arm), Some(own)) = (paper.get_mut("net"), arms.get("net"))
        && own.network.contains("vit_base_patch16_384")
    {
        arm.network.clone_from(&own.network);
    }
}

macro_rules! methods {
    ($($(#[doc = $about:literal])+ $name:literal: $method:ident($config:ty),)+) => {
        /// What is trained, with the settings that only it has: the `[method]` table of a recipe.
        ///
        /// ```
        /// use cass_train::methods::DinoConfig;
        /// use cass_train::Method;
        /// let method: Method = "dino".parse().unwrap();
        /// assert_eq!(method, DinoConfig::default().into());
        /// assert_eq!((method.name(), method.arms()), ("dino", &["net"][..]));
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum Method {
            $($(#[doc = $about])+ #[serde(rename = $name)] $method($config),)+
        }

        impl Method {
            /// Every method, with the settings that it has by default.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$method(<$config>::default()),)+]
            }

            /// The name in a recipe and on the command line.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$method(_) => $name,)+
                }
            }

            /// What it is, in a sentence.
            pub fn about(&self) -> &'static str {
                match self {
                    $(Self::$method(_) => concat!($($about),+).trim(),)+
                }
            }

            pub(crate) fn config(&self) -> &dyn MethodConfig {
                match self {
                    $(Self::$method(config) => config,)+
                }
            }

        }

        $(impl From<$config> for Method {
            fn from(config: $config) -> Self {
                Self::$method(config)
            }
        })+
    };
}

methods! {
    /// Cross-architectural self-supervision: two networks agree on one view of each image.
    "cass": Cass(CassConfig),
    /// Self-distillation: one network and its moving average agree on crops of each image.
    "dino": Dino(DinoConfig),
    /// Variance, invariance, covariance: one network agrees with itself on two views of each image.
    "vicreg": Vicreg(VicregConfig),
    /// A network predicts from one view of an image what it says of the other, which no gradient reaches.
    "simsiam": Simsiam(SimsiamConfig),
    /// A network predicts from one view of an image what its moving average says of the other.
    "byol": Byol(ByolConfig),
    /// CASS by contrast: two networks tell each image, in two views, from the others of its batch, by their own and each other's projections.
    "cass-contrast": Contrast(ContrastConfig),
}

impl Method {
    /// The names of its networks.
    pub fn arms(&self) -> &'static [&'static str] {
        self.config().arms()
    }

    /// The names of what its loss is the sum of.
    pub fn losses(&self) -> Vec<&'static str> {
        self.config().losses()
    }

    /// How often each image goes through a pipeline, each time with draws of its own.
    pub(crate) fn draws(&self, pipeline: &Pipeline) -> usize {
        self.config().draws(pipeline)
    }

    /// What a step costs for each image and network, in forward passes.
    pub(crate) fn forwards(&self, frozen: bool) -> f64 {
        self.config().forwards(frozen)
    }

    /// What may be done where features collapse, if these settings do not do it yet.
    pub fn remedy(&self) -> Option<&'static str> {
        self.config().remedy()
    }

    /// The memory that it takes at the least besides its networks, in bytes.
    pub(crate) fn memory(&self, copies: u128) -> u128 {
        self.config().memory(copies)
    }

    /// Replays the run of PyTorch in `folder`: `trajectory.safetensors` (batches, crops or views, losses, what
    /// was there after the last step) from the weights in `cnn.safetensors` and `vit.safetensors`, or
    /// `net.safetensors`, and those of the heads in `projector.safetensors` and its like. Their header names the network by timm's
    /// `architecture`, or gives its `config`. Settings of the method that the files hold are taken from there.
    ///
    /// # Errors
    /// If a file is missing or malformed, a tensor is missing, or networks and batches do not fit.
    pub fn replay(&self, replay: &Replay, folder: &Path) -> Result<Deviation> {
        let recorded = Recorded::open(&folder.join("trajectory.safetensors"), &replay.device)?;
        self.config().replay(replay, folder, &recorded)
    }

    /// The same method with the settings that it has by default.
    pub(crate) fn plain(&self) -> Self {
        let plain = Self::all()
            .into_iter()
            .find(|method| method.name() == self.name());
        plain.unwrap_or_else(|| self.clone())
    }
}

impl FromStr for Method {
    type Err = String;

    /// The method of this name, with the settings that it has by default.
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::all().iter().map(Self::name).collect();
            format!("{name} is no method: expected {}", known.join(" or "))
        })
    }
}
