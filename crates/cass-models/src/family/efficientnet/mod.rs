//! EfficientNet, EfficientNetV2, MobileNetV2 and MobileNetV3 (`timm.models.efficientnet`,
//! `timm.models.mobilenetv3`): a stem, inverted residuals, a head.

mod blocks;
mod network;

use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::options::ModelOptions;
use crate::params::Builder;
use blocks::{Block, Kind, round_channels};
use candle_core::{Result, bail};
use cass_ops::nn::Activation;
use network::EfficientNet;

/// Layers that follow the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MobileHead {
    /// A 1x1 convolution, normalised, then the mean over pixels.
    BeforePool,
    /// The mean over pixels, then a 1x1 convolution with bias: MobileNetV3.
    BehindPool,
}

/// Shape of a mobile network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EfficientNetConfig {
    /// Width of the stem.
    pub stem: usize,
    /// The blocks of every stage in timm's notation, `ir_r2_k3_s2_e6_c24_se0.25` for two inverted
    /// residuals; of several kinds, spaces stand between them.
    pub stages: &'static [&'static str],
    /// Width of the head.
    pub num_features: usize,
    /// Activation that follows normalisation.
    pub activation: Activation,
    /// Place of the head's convolution. That of MobileNetV3 comes with gates that are hard sigmoids
    /// and squeezed channels in multiples of 8.
    pub head: MobileHead,
    /// Whether images are padded, and variances kept from 0, as TensorFlow does: timm's `tf_*`.
    pub tf: bool,
}

impl EfficientNetConfig {
    /// `timm.models.mobilenetv2_100`.
    pub const fn mobilenetv2_100() -> Self {
        Self {
            stem: 32,
            stages: &[
                "ds_r1_k3_s1_c16",
                "ir_r2_k3_s2_e6_c24",
                "ir_r3_k3_s2_e6_c32",
                "ir_r4_k3_s2_e6_c64",
                "ir_r3_k3_s1_e6_c96",
                "ir_r3_k3_s2_e6_c160",
                "ir_r1_k3_s1_e6_c320",
            ],
            num_features: 1280,
            activation: Activation::Relu6,
            head: MobileHead::BeforePool,
            tf: false,
        }
    }

    /// `timm.models.mobilenetv3_large_100`.
    pub const fn mobilenetv3_large_100() -> Self {
        Self {
            stem: 16,
            stages: &[
                "ds_r1_k3_s1_e1_c16_nre",
                "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
                "ir_r3_k5_s2_e3_c40_se0.25_nre",
                "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
                "ir_r2_k3_s1_e6_c112_se0.25",
                "ir_r3_k5_s2_e6_c160_se0.25",
                "cn_r1_k1_s1_c960",
            ],
            num_features: 1280,
            activation: Activation::HardSwish,
            head: MobileHead::BehindPool,
            tf: false,
        }
    }

    /// `timm.models.efficientnet_b0`.
    pub const fn efficientnet_b0() -> Self {
        Self {
            stem: 32,
            stages: &[
                "ds_r1_k3_s1_e1_c16_se0.25",
                "ir_r2_k3_s2_e6_c24_se0.25",
                "ir_r2_k5_s2_e6_c40_se0.25",
                "ir_r3_k3_s2_e6_c80_se0.25",
                "ir_r3_k5_s1_e6_c112_se0.25",
                "ir_r4_k5_s2_e6_c192_se0.25",
                "ir_r1_k3_s1_e6_c320_se0.25",
            ],
            num_features: 1280,
            activation: Activation::Silu,
            head: MobileHead::BeforePool,
            tf: false,
        }
    }

    /// `timm.models.efficientnetv2_rw_s`.
    pub const fn efficientnetv2_rw_s() -> Self {
        Self {
            stem: 24,
            stages: &[
                "er_r2_k3_s1_e1_c24",
                "er_r4_k3_s2_e4_c48",
                "er_r4_k3_s2_e4_c64",
                "ir_r6_k3_s2_e4_c128_se0.25",
                "ir_r9_k3_s1_e6_c160_se0.25",
                "ir_r15_k3_s2_e6_c272_se0.25",
            ],
            num_features: 1792,
            activation: Activation::Silu,
            head: MobileHead::BeforePool,
            tf: false,
        }
    }

    /// `timm.models.tf_efficientnetv2_s`.
    pub const fn tf_efficientnetv2_s() -> Self {
        Self {
            stages: &[
                "cn_r2_k3_s1_e1_c24_skip",
                "er_r4_k3_s2_e4_c48",
                "er_r4_k3_s2_e4_c64",
                "ir_r6_k3_s2_e4_c128_se0.25",
                "ir_r9_k3_s1_e6_c160_se0.25",
                "ir_r15_k3_s2_e6_c256_se0.25",
            ],
            num_features: 1280,
            tf: true,
            ..Self::efficientnetv2_rw_s()
        }
    }

    fn blocks(&self) -> Result<Vec<Vec<Block>>> {
        let read = |stage: &&str| match blocks::parse(stage) {
            Some(blocks) => Ok(blocks),
            None => bail!("{stage:?} is no stage in timm's notation"),
        };
        self.stages.iter().map(read).collect()
    }

    /// Width of a block's middle.
    fn middle(&self, block: &Block, width: usize) -> usize {
        match block.kind {
            Kind::DepthwiseSeparable | Kind::Conv => width,
            _ => round_channels(width as f64 * block.expansion),
        }
    }

    /// What a block's middle is squeezed to.
    fn squeezed(&self, block: &Block, middle: usize) -> Option<usize> {
        let share = block.squeeze?;
        Some(match self.head {
            MobileHead::BehindPool => round_channels(middle as f64 * share),
            MobileHead::BeforePool => {
                (middle as f64 * (share / block.expansion)).round_ties_even() as usize
            }
        })
    }
}

/// The last stage of every network here that has its head behind the pool.
const NAMES: [&str; 10] = [
    "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5", "blocks.6", "blocks.7",
    "blocks.8", "blocks.9",
];

impl Family for EfficientNetConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        if !(1..=NAMES.len()).contains(&self.stages.len()) {
            bail!(
                "{} stages: expected 1 to {}",
                self.stages.len(),
                NAMES.len()
            );
        }
        Ok(Box::new(EfficientNet::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let mut side = input_size.div_ceil(2);
        cost.conv(in_chans, self.stem, 3, side);
        cost.norm(self.stem);
        let mut width = self.stem;
        for block in self.blocks().unwrap_or_default().iter().flatten() {
            let (before, middle) = (side, self.middle(block, width));
            side = side.div_ceil(block.stride);
            match block.kind {
                Kind::Conv => cost.conv(width, block.channels, block.kernel, side),
                Kind::EdgeResidual => cost.conv(width, middle, block.kernel, side),
                Kind::InvertedResidual => {
                    cost.conv(width, middle, 1, before);
                    cost.norm(middle);
                    cost.conv(1, middle, block.kernel, side);
                }
                Kind::DepthwiseSeparable => cost.conv(1, middle, block.kernel, side),
            }
            if block.kind != Kind::Conv {
                cost.norm(middle);
                if let Some(squeezed) = self.squeezed(block, middle) {
                    cost.linear(middle, squeezed, 1);
                    cost.linear(squeezed, middle, 1);
                }
                cost.conv(middle, block.channels, 1, side);
            }
            cost.norm(block.channels);
            width = block.channels;
        }
        match self.head {
            MobileHead::BeforePool => {
                cost.conv(width, self.num_features, 1, side);
                cost.norm(self.num_features);
            }
            MobileHead::BehindPool => cost.linear(width, self.num_features, 1),
        }
        cost.linear(self.num_features, num_classes, 1);
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        &["classifier"]
    }

    fn first_conv(&self) -> &'static str {
        "conv_stem"
    }

    fn readout(&self) -> Readout {
        let last = self.stages.len().clamp(1, NAMES.len()) - 1;
        Readout::Map(LastMap {
            name: match self.head {
                MobileHead::BeforePool => "bn2",
                MobileHead::BehindPool => NAMES[last],
            },
            channels_last: false,
        })
    }

    /// A stage gives what its last block does.
    fn is_layer(&self, name: &str) -> bool {
        name == "bn1" || name == "bn2" || name.matches('.').count() == 2
    }

    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        match (&parts[..], self.head) {
            (["blocks", stage, block, ..], _) => Place::block(stage, block),
            (["classifier", ..], _) | (["conv_head" | "norm_head", ..], MobileHead::BehindPool) => {
                Place::Head
            }
            (["conv_head" | "bn2", ..], _) => Place::BEHIND,
            _ => Place::Stem,
        }
    }

    fn shrunk(&self) -> ModelConfig {
        let stages: &[&str] = match (self.head, self.stages[0].starts_with("ds")) {
            (MobileHead::BehindPool, _) => &[
                "ds_r1_k3_s1_e1_c8_nre",
                "ir_r2_k5_s2_e2_c8_se0.25",
                "cn_r1_k1_s1_c16",
            ],
            (_, true) => &["ds_r1_k3_s1_e1_c8_se0.25", "ir_r2_k5_s2_e2_c8_se0.25"],
            (_, false) => &[
                "cn_r1_k3_s1_e1_c8_skip",
                "er_r1_k3_s2_e2_c8",
                "ir_r1_k3_s2_e2_c8",
            ],
        };
        ModelConfig::EfficientNet(Self {
            stem: 8,
            stages,
            num_features: 16,
            ..*self
        })
    }
}
