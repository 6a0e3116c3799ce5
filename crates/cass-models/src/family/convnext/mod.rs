//! ConvNeXt, as `timm.models.convnext`.

mod network;

use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::Result;
use network::ConvNext;

/// Shape of a ConvNeXt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvNextConfig {
    /// Blocks a stage.
    pub depths: [usize; 4],
    /// Width a stage.
    pub dims: [usize; 4],
    /// Initial scale of each branch.
    pub ls_init_value: f64,
}

impl ConvNextConfig {
    /// `timm.models.convnext_tiny`.
    pub const fn convnext_tiny() -> Self {
        Self {
            depths: [3, 3, 9, 3],
            dims: [96, 192, 384, 768],
            ls_init_value: 1e-6,
        }
    }

    /// `timm.models.convnext_small`.
    pub const fn convnext_small() -> Self {
        Self {
            depths: [3, 3, 27, 3],
            ..Self::convnext_tiny()
        }
    }

    /// `timm.models.convnext_base`.
    pub const fn convnext_base() -> Self {
        Self {
            depths: [3, 3, 27, 3],
            dims: [128, 256, 512, 1024],
            ..Self::convnext_tiny()
        }
    }
}

/// Side of the stem's patches, px.
const PATCH: usize = 4;
/// Side of the convolution a channel.
const KERNEL: usize = 7;

impl Family for ConvNextConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        Ok(Box::new(ConvNext::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (mut width, mut side) = (self.dims[0], input_size / PATCH);
        cost.linear(in_chans * PATCH * PATCH, width, side * side);
        cost.norm(width);
        for (stage, (&depth, &d)) in self.depths.iter().zip(&self.dims).enumerate() {
            if stage > 0 {
                side /= 2;
                cost.norm(width);
                cost.linear(4 * width, d, side * side);
                width = d;
            }
            for _ in 0..depth {
                cost.conv(1, d, KERNEL, side);
                cost.parameters += 2 * d; // its bias, and what scales the branch
                cost.norm(d);
                cost.mlp(d, side * side);
            }
        }
        cost.norm(width);
        cost.linear(width, num_classes, 1);
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        &["head.fc"]
    }

    fn first_conv(&self) -> &'static str {
        "stem.0"
    }

    fn readout(&self) -> Readout {
        Readout::Map(LastMap {
            name: "stages.3",
            channels_last: false,
        })
    }

    /// A stage gives what its last block does.
    fn is_layer(&self, name: &str) -> bool {
        name == "stem" || name.contains(".blocks.")
    }

    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        match parts[..] {
            ["stages", stage, "blocks", block, ..] => Place::block(stage, block),
            ["stages", stage, ..] => Place::block(stage, "0"),
            ["norm_pre", ..] => Place::BEHIND,
            ["stem", ..] => Place::Stem,
            _ => Place::Head,
        }
    }

    fn shrunk(&self) -> ModelConfig {
        ModelConfig::ConvNext(Self {
            depths: [1, 1, 2, 1],
            dims: [4, 4, 8, 8],
            ls_init_value: 0.1,
        })
    }
}
