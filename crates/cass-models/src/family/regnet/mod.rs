//! RegNetY (`timm.models.regnet`): bottlenecks that do not narrow, with 3x3 convolutions in groups and a gate a channel.

mod network;

use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, bail};
use network::RegNet;

/// Shape of a RegNetY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegNetConfig {
    /// Width of the stem.
    pub stem_width: usize,
    /// Width a stage.
    pub widths: [usize; 4],
    /// Blocks a stage.
    pub depths: [usize; 4],
    /// Channels of a group, a divisor of each width.
    pub group_size: usize,
}

impl RegNetConfig {
    const fn y(widths: [usize; 4], depths: [usize; 4], group_size: usize) -> Self {
        Self {
            stem_width: 32,
            widths,
            depths,
            group_size,
        }
    }

    /// `timm.models.regnety_002`: 0.2 billion multiply-adds at 224 px.
    pub const fn regnety_002() -> Self {
        Self::y([24, 56, 152, 368], [1, 1, 4, 7], 8)
    }

    /// `timm.models.regnety_008`: 0.8 billion.
    pub const fn regnety_008() -> Self {
        Self::y([64, 128, 320, 768], [1, 3, 8, 2], 16)
    }

    /// `timm.models.regnety_016`: 1.6 billion.
    pub const fn regnety_016() -> Self {
        Self::y([48, 120, 336, 888], [2, 6, 17, 2], 24)
    }

    /// `timm.models.regnety_032`: 3.2 billion.
    pub const fn regnety_032() -> Self {
        Self::y([72, 216, 576, 1512], [2, 5, 13, 1], 24)
    }

    /// What a block's gate is squeezed to: a quarter of the block's input.
    fn squeezed(input: usize) -> usize {
        (input as f64 * 0.25).round_ties_even() as usize
    }
}

impl Family for RegNetConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        let group = self.group_size;
        let uneven = |width: &&usize| group == 0 || !width.is_multiple_of(group);
        if let Some(width) = self.widths.iter().find(uneven) {
            bail!("a width of {width} in groups of {group} channels: expected a multiple");
        }
        Ok(Box::new(RegNet::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (mut width, mut side) = (self.stem_width, input_size.div_ceil(2));
        cost.conv(in_chans, width, 3, side);
        cost.norm(width);
        for (&o, &depth) in self.widths.iter().zip(&self.depths) {
            for block in 0..depth {
                let before = side;
                if block == 0 {
                    side = side.div_ceil(2);
                    cost.conv(width, o, 1, side); // the shortcut
                    cost.norm(o);
                }
                cost.conv(width, o, 1, before);
                cost.conv(self.group_size, o, 3, side);
                cost.conv(o, o, 1, side);
                (0..3).for_each(|_| cost.norm(o));
                cost.linear(o, Self::squeezed(width), 1);
                cost.linear(Self::squeezed(width), o, 1);
                width = o;
            }
        }
        cost.linear(width, num_classes, 1);
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        &["head.fc"]
    }

    fn first_conv(&self) -> &'static str {
        "stem.conv"
    }

    fn readout(&self) -> Readout {
        Readout::Map(LastMap {
            name: "s4",
            channels_last: false,
        })
    }

    /// A stage gives what its last block does.
    fn is_layer(&self, name: &str) -> bool {
        name == "stem" || name.matches('.').count() == 1
    }

    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        match parts[..] {
            ["head", ..] => Place::Head,
            ["stem", ..] => Place::Stem,
            [stage, block, ..] => Place::block(&stage[1..], &block[1..]),
            _ => Place::Stem,
        }
    }

    fn shrunk(&self) -> ModelConfig {
        // Gates of eight units: all of fewer may lie below 0 in a fresh network, where none has a gradient.
        ModelConfig::RegNet(Self {
            stem_width: 32,
            widths: [32; 4],
            depths: [1; 4],
            group_size: 8,
        })
    }
}
