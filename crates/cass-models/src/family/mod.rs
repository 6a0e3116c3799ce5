//! Families of networks. Each is a room of its own, which says everything that the rest of the
//! workspace asks of a network: nothing outside it tells families apart.

mod convnext;
mod densenet;
mod efficientnet;
mod eva;
mod regnet;
mod resnet;
mod squeeze;
mod stage;
mod swin;
mod transformer;
mod vit;

pub use convnext::ConvNextConfig;
pub use densenet::DenseNetConfig;
pub use efficientnet::{EfficientNetConfig, MobileHead};
pub use eva::EvaConfig;
pub use regnet::RegNetConfig;
pub use resnet::{Block, ResNetConfig, Variant};
pub use swin::SwinConfig;
pub use vit::{VitConfig, VitPool};

use crate::cost::Cost;
use crate::intermediates::Collector;
use crate::layers::Mode;
use crate::options::ModelOptions;
use crate::params::Builder;
use crate::resample::Resampled;
use candle_core::{Result, Tensor};
use cass_ops::Tracked;
use std::fmt;

/// Shape of a network, by family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ModelConfig {
    /// Convolutional, residual.
    ResNet(ResNetConfig),
    /// Convolutional, residual, in groups of channels.
    RegNet(RegNetConfig),
    /// Convolutional, densely connected.
    DenseNet(DenseNetConfig),
    /// Convolutional, a kernel a channel: EfficientNet, MobileNetV2 and MobileNetV3.
    EfficientNet(EfficientNetConfig),
    /// Convolutional, a kernel a channel and linear layers as in a Transformer.
    ConvNext(ConvNextConfig),
    /// Transformer: ViT, DeiT, DINOv2, the image tower of CLIP.
    Vit(VitConfig),
    /// Transformer with rotary positions: DINOv3.
    Eva(EvaConfig),
    /// Transformer on shifted windows.
    Swin(SwinConfig),
}

/// What the classifier of a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// The mean over the pixels of the last map.
    Map(LastMap),
    /// The first `read` of the `prefix` tokens that stand before the patches: the class token, or that
    /// and a distillation token.
    Prefix {
        /// Tokens that the classifier sees.
        read: usize,
        /// Tokens before the patches.
        prefix: usize,
    },
    /// The mean of the patches.
    Patches {
        /// Tokens before the patches, which the classifier does not see.
        prefix: usize,
    },
}

/// The last map of a convolutional network or of one that keeps its tokens on a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastMap {
    /// Name of the intermediate output.
    pub name: &'static str,
    /// Whether it is `(B, H, W, C)`, not `(B, C, H, W)`.
    pub channels_last: bool,
}

/// Where a parameter stands, from the image on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// Before the blocks.
    Stem,
    /// In a block, by the numbers of its stage and of the block; with the largest number for the block, behind
    /// the stage's blocks, and for both, behind all.
    Block([usize; 2]),
    /// In the classifier, or what timm counts with it.
    Head,
}

impl Place {
    /// Behind the blocks.
    pub(crate) const BEHIND: Self = Self::Block([usize::MAX; 2]);

    /// In the block of these numbers.
    pub(crate) fn block(stage: &str, block: &str) -> Self {
        let number = |text: &str| text.parse().unwrap_or(0);
        Self::Block([number(stage), number(block)])
    }
}

/// What a family says of a shape before a network of it is built.
pub(crate) trait Family {
    /// A network with variables from `vb`.
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>>;

    /// See [`ModelConfig::cost`].
    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost;

    /// See [`ModelConfig::classifier`].
    fn classifier(&self) -> &'static [&'static str];

    /// See [`ModelConfig::first_conv`].
    fn first_conv(&self) -> &'static str;

    /// See [`ModelConfig::readout`].
    fn readout(&self) -> Readout;

    /// Whether the intermediate output `name` is the stem's or what a block passes on.
    fn is_layer(&self, name: &str) -> bool;

    /// Where the parameter of this name stands, as timm's `group_matcher` has it: a Transformer's, unless a family
    /// says otherwise.
    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        match parts[..] {
            ["blocks", block, ..] => Place::block(block, "0"),
            ["norm", ..] => Place::BEHIND,
            ["head" | "head_dist" | "fc_norm", ..] => Place::Head,
            _ => Place::Stem,
        }
    }

    /// See [`ModelConfig::fixed_input_size`].
    fn fixed_input_size(&self) -> bool {
        false
    }

    /// Takes one of timm's constructor arguments.
    fn set(&mut self, argument: &str, value: &str) -> Option<()> {
        let _ = (argument, value);
        None
    }

    /// The same kind of network with few channels and layers.
    fn shrunk(&self) -> ModelConfig;
}

/// What a network of each family does.
pub(crate) trait Network: fmt::Debug + Send + Sync {
    /// Width of the features.
    fn feature_dim(&self) -> usize;

    /// `(B, C, S, S)` → `(B, D)`
    fn features(&self, x: &Tensor, mode: Mode, taps: &mut Collector) -> Result<Tracked>;

    /// `(B, D)` → `(B, K)`
    fn classify(&self, features: &Tracked) -> Result<Tracked>;

    /// `(B, C, S, S)` → features `(B, D)` and logits `(B, K)`
    fn forward(&self, x: &Tensor, mode: Mode, taps: &mut Collector) -> Result<[Tracked; 2]> {
        let features = self.features(x, mode, taps)?;
        let logits = self.classify(&features)?;
        Ok([features, logits])
    }

    /// Where the parameter `name` holds positions: `value`, of a network for another input size,
    /// resampled to what its `shape` asks for.
    fn resample(&self, name: &str, value: &Tensor, shape: &[usize]) -> Result<Option<Resampled>> {
        let _ = (name, value, shape);
        Ok(None)
    }

    /// Whether older files of timm hold `name`, which follows from the network's shape.
    fn derives(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

/// The one place that tells families apart.
macro_rules! family_of {
    ($config:expr) => {
        match $config {
            Self::ResNet(c) => c,
            Self::RegNet(c) => c,
            Self::DenseNet(c) => c,
            Self::EfficientNet(c) => c,
            Self::ConvNext(c) => c,
            Self::Vit(c) => c,
            Self::Eva(c) => c,
            Self::Swin(c) => c,
        }
    };
}

impl ModelConfig {
    pub(crate) fn family(&self) -> &dyn Family {
        family_of!(self)
    }

    fn family_mut(&mut self) -> &mut dyn Family {
        family_of!(self)
    }

    /// Cost of the network on square images of `input_size` px and `in_chans` channels with
    /// `num_classes` outputs. An input size that the network does not take is rounded as the layers
    /// round.
    pub fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        self.family().cost(input_size, in_chans, num_classes)
    }

    /// Names of the classifier's layers: one, or two for a distilled DeiT.
    pub fn classifier(&self) -> &'static [&'static str] {
        self.family().classifier()
    }

    /// Name of the convolution that sees the image.
    pub fn first_conv(&self) -> &'static str {
        self.family().first_conv()
    }

    /// What the classifier sees.
    pub fn readout(&self) -> Readout {
        self.family().readout()
    }

    /// Whether a built network takes one input size only.
    pub fn fixed_input_size(&self) -> bool {
        self.family().fixed_input_size()
    }

    /// Sets one of timm's constructor arguments, `init_values` to `1e-5` for instance.
    ///
    /// # Errors
    /// In words, if the family has no such argument or it takes no such value.
    pub fn set(&mut self, argument: &str, value: &str) -> std::result::Result<(), String> {
        let taken = self.family_mut().set(argument, value);
        taken.ok_or_else(|| format!("it takes no argument {argument}={value}"))
    }

    /// A network of the same kind with few channels and layers, which takes images of any multiple of
    /// 64 px: for tests of what trains or inspects networks.
    pub fn shrunk(&self) -> Self {
        self.family().shrunk()
    }
}
