//! Swin Transformer, as `timm.models.swin_transformer`.

mod network;
mod windows;

use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::Result;
use network::SwinTransformer;

/// Shape of a Swin Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwinConfig {
    /// Side of a square patch, px.
    pub patch_size: usize,
    /// Width of a token in the first stage; every stage doubles it.
    pub embed_dim: usize,
    /// Blocks a stage.
    pub depths: [usize; 4],
    /// Attention heads of a stage's blocks.
    pub num_heads: [usize; 4],
    /// Patches a side of a window, where the map is not smaller.
    pub window_size: usize,
}

impl SwinConfig {
    const fn patch4(embed_dim: usize, deep: usize, window_size: usize) -> Self {
        let heads = embed_dim / 32;
        Self {
            patch_size: 4,
            embed_dim,
            depths: [2, 2, deep, 2],
            num_heads: [heads, 2 * heads, 4 * heads, 8 * heads],
            window_size,
        }
    }

    /// `timm.models.swin_tiny_patch4_window7_224`.
    pub const fn swin_tiny_patch4_window7() -> Self {
        Self::patch4(96, 6, 7)
    }

    /// `timm.models.swin_small_patch4_window7_224`.
    pub const fn swin_small_patch4_window7() -> Self {
        Self::patch4(96, 18, 7)
    }

    /// `timm.models.swin_base_patch4_window7_224`.
    pub const fn swin_base_patch4_window7() -> Self {
        Self::patch4(128, 18, 7)
    }

    /// `timm.models.swin_base_patch4_window12_384`.
    pub const fn swin_base_patch4_window12() -> Self {
        Self::patch4(128, 18, 12)
    }

    /// `timm.models.swin_large_patch4_window12_384`.
    pub const fn swin_large_patch4_window12() -> Self {
        Self::patch4(192, 18, 12)
    }
}

const EPS: f64 = 1e-5;

impl Family for SwinConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        Ok(Box::new(SwinTransformer::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (mut width, mut side) = (self.embed_dim, input_size / self.patch_size);
        cost.linear(in_chans * self.patch_size.pow(2), width, side * side);
        cost.norm(width);
        for (stage, (&depth, &heads)) in self.depths.iter().zip(&self.num_heads).enumerate() {
            if stage > 0 {
                side = side.div_ceil(2);
                cost.norm(4 * width);
                cost.conv(4 * width, 2 * width, 1, side);
                width *= 2;
            }
            let window = self.window_size.min(side);
            let windows = side.div_ceil(window.max(1)).pow(2);
            for _ in 0..depth {
                cost.norm(width);
                cost.attention(width, window * window, windows);
                cost.parameters += (2 * window).saturating_sub(1).pow(2) * heads;
                cost.norm(width);
                cost.mlp(width, side * side);
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
        "patch_embed.proj"
    }

    fn readout(&self) -> Readout {
        Readout::Map(LastMap {
            name: "norm",
            channels_last: true,
        })
    }

    fn is_layer(&self, name: &str) -> bool {
        name == "patch_embed" || name.contains(".blocks.") && !name.ends_with(".attn")
    }

    fn fixed_input_size(&self) -> bool {
        true
    }

    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        match parts[..] {
            ["layers", stage, "blocks", block, ..] => Place::block(stage, block),
            ["layers", stage, ..] => Place::block(stage, "0"),
            ["norm", ..] => Place::BEHIND,
            ["head", ..] => Place::Head,
            _ => Place::Stem,
        }
    }

    fn shrunk(&self) -> ModelConfig {
        ModelConfig::Swin(Self {
            embed_dim: 4,
            depths: [1, 2, 1, 1],
            num_heads: [1, 1, 2, 2],
            window_size: 4,
            ..*self
        })
    }
}
