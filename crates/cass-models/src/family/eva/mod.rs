//! Vision Transformer with rotary positions: DINOv3 (`timm.models.eva`).

mod network;

use super::{Family, ModelConfig, Network, Readout};
use crate::cost::Cost;
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::Result;
use network::Eva;

/// Shape of a Vision Transformer with rotary positions. The fields are timm's constructor arguments.
///
/// Its classifier sees the mean of the normalised patches (timm's default, `global_pool="avg"`); DINOv3's authors take
/// the class token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaConfig {
    /// Side of a square patch, px.
    pub patch_size: usize,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads a block; each has a width that four divides.
    pub num_heads: usize,
    /// Whether queries and values have a bias.
    pub qkv_bias: bool,
    /// Tokens behind the class token that no classifier sees.
    pub num_reg_tokens: usize,
    /// What each branch's LayerScale begins with.
    pub init_values: f64,
    /// Longest period of the angles over the shortest.
    pub rope_temperature: f64,
    /// What normalisation adds to variances.
    pub eps: f64,
}

impl EvaConfig {
    /// DINOv3 of a width.
    const fn dinov3(embed_dim: usize, depth: usize, num_heads: usize) -> Self {
        Self {
            patch_size: 16,
            embed_dim,
            depth,
            num_heads,
            qkv_bias: false,
            num_reg_tokens: 4,
            init_values: 1e-5,
            rope_temperature: 100.0,
            eps: 1e-5,
        }
    }

    /// `timm.models.vit_small_patch16_dinov3`.
    pub const fn vit_small_patch16_dinov3() -> Self {
        Self::dinov3(384, 12, 6)
    }

    /// `timm.models.vit_base_patch16_dinov3`.
    pub const fn vit_base_patch16_dinov3() -> Self {
        Self::dinov3(768, 12, 12)
    }

    /// `timm.models.vit_large_patch16_dinov3`.
    pub const fn vit_large_patch16_dinov3() -> Self {
        Self::dinov3(1024, 24, 16)
    }

    /// `timm.models.vit_*_dinov3_qkvb`, of the width given.
    pub const fn qkvb(self) -> Self {
        Self {
            qkv_bias: true,
            ..self
        }
    }

    /// Tokens before the patches.
    fn prefix_tokens(&self) -> usize {
        1 + self.num_reg_tokens
    }
}

impl Family for EvaConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        Ok(Box::new(Eva::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (d, patches) = (self.embed_dim, (input_size / self.patch_size).pow(2));
        let prefix = self.prefix_tokens();
        let tokens = patches + prefix;
        cost.linear(in_chans * self.patch_size.pow(2), d, patches);
        cost.parameters += prefix * d;
        for _ in 0..self.depth {
            cost.norm(d);
            cost.attention(d, tokens, 1);
            cost.parameters -= if self.qkv_bias { d } else { 3 * d }; // keys never have one
            cost.norm(d);
            cost.mlp(d, tokens);
            cost.parameters += 2 * d; // LayerScale
        }
        cost.norm(d);
        cost.linear(d, num_classes, 1);
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        &["head"]
    }

    fn first_conv(&self) -> &'static str {
        "patch_embed.proj"
    }

    fn readout(&self) -> Readout {
        Readout::Patches {
            prefix: self.prefix_tokens(),
        }
    }

    fn is_layer(&self, name: &str) -> bool {
        name == "patch_embed" || name.starts_with("blocks.") && !name.ends_with(".attn")
    }

    fn fixed_input_size(&self) -> bool {
        true
    }

    fn set(&mut self, argument: &str, value: &str) -> Option<()> {
        let number = || value.parse::<usize>().ok().filter(|&n| n > 0);
        let positive = || {
            value
                .parse::<f64>()
                .ok()
                .filter(|&v| v.is_finite() && v > 0.0)
        };
        match argument {
            "patch_size" => self.patch_size = number()?,
            "embed_dim" => self.embed_dim = number()?,
            "depth" => self.depth = number()?,
            "num_heads" => self.num_heads = number()?,
            "qkv_bias" => self.qkv_bias = matches!(value, "true" | "True"),
            "num_reg_tokens" => self.num_reg_tokens = value.parse().ok()?,
            "init_values" => self.init_values = positive()?,
            "rope_temperature" => self.rope_temperature = positive()?,
            _ => return None,
        }
        Some(())
    }

    fn shrunk(&self) -> ModelConfig {
        ModelConfig::Eva(Self {
            patch_size: 16,
            embed_dim: 12,
            depth: 1,
            num_heads: 3,
            init_values: 0.1,
            ..*self
        })
    }
}
