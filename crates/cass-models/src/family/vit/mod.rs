//! Vision Transformer with all that its descendants change: DeiT, MAE, the image tower of CLIP,
//! DINOv2 with and without registers (`timm.models.vision_transformer`, `timm.models.deit`).

mod network;

use super::{Family, ModelConfig, Network, Readout};
use crate::cost::Cost;
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::Result;
use network::VisionTransformer;

/// What a Vision Transformer's classifier sees: timm's `global_pool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VitPool {
    /// The class token, or the class and the distillation token, each by a classifier of its own.
    Token,
    /// The mean of the patches.
    Avg,
}

/// Shape of a Vision Transformer. The fields are timm's constructor arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VitConfig {
    /// Side of a square patch, px.
    pub patch_size: usize,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads a block.
    pub num_heads: usize,
    /// Whether a class token stands before the patches.
    pub class_token: bool,
    /// Whether a distillation token stands there too, with a classifier of its own: DeiT.
    pub distilled: bool,
    /// Tokens more that stand before the patches and that no classifier sees: DINOv2's registers.
    pub reg_tokens: usize,
    /// Whether the tokens before the patches have no positions.
    pub no_embed_class: bool,
    /// Whether tokens are normalised before the blocks, and the patch embedding has no bias: CLIP.
    pub pre_norm: bool,
    /// Initial value of each branch's LayerScale; `None` without LayerScale.
    pub init_values: Option<f64>,
    /// What the classifier sees.
    pub global_pool: VitPool,
    /// Whether the last normalisation follows the pool; `None` means where the pool is a mean.
    pub fc_norm: Option<bool>,
    /// Whether the activation is `x sigmoid(1.702 x)` instead of GELU: OpenAI's CLIP.
    pub quick_gelu: bool,
    /// Summand that normalisation adds to variances.
    pub eps: f64,
}

impl VitConfig {
    /// A plain Vision Transformer: class token, no more.
    pub const fn plain(
        patch_size: usize,
        embed_dim: usize,
        depth: usize,
        num_heads: usize,
    ) -> Self {
        Self {
            patch_size,
            embed_dim,
            depth,
            num_heads,
            class_token: true,
            distilled: false,
            reg_tokens: 0,
            no_embed_class: false,
            pre_norm: false,
            init_values: None,
            global_pool: VitPool::Token,
            fc_norm: None,
            quick_gelu: false,
            eps: 1e-6,
        }
    }

    /// `timm.models.vit_tiny_patch16_224` and `_384`.
    pub const fn vit_tiny_patch16() -> Self {
        Self::plain(16, 192, 12, 3)
    }

    /// `timm.models.vit_small_patch16_224` and `_384`.
    pub const fn vit_small_patch16() -> Self {
        Self::plain(16, 384, 12, 6)
    }

    /// `timm.models.vit_base_patch16_224` and `_384`.
    pub const fn vit_base_patch16() -> Self {
        Self::plain(16, 768, 12, 12)
    }

    /// `timm.models.vit_large_patch16_224` and `_384`.
    pub const fn vit_large_patch16() -> Self {
        Self::plain(16, 1024, 24, 16)
    }

    /// `timm.models.deit_base_distilled_patch16_224`, of the width given.
    pub const fn distilled(self) -> Self {
        Self {
            distilled: true,
            ..self
        }
    }

    /// `timm.models.vit_*_patch14_dinov2`, of the width given.
    pub const fn dinov2(self) -> Self {
        Self {
            patch_size: 14,
            init_values: Some(1e-5),
            ..self
        }
    }

    /// `timm.models.vit_*_patch14_reg4_dinov2`, of the width given.
    pub const fn reg4_dinov2(self) -> Self {
        Self {
            reg_tokens: 4,
            no_embed_class: true,
            ..self.dinov2()
        }
    }

    /// `timm.models.vit_*_clip_*`, of the width given.
    pub const fn clip(self) -> Self {
        Self {
            pre_norm: true,
            eps: 1e-5,
            ..self
        }
    }

    /// `timm.models.vit_*_clip_quickgelu_*`, of the width given.
    pub const fn clip_quickgelu(self) -> Self {
        Self {
            quick_gelu: true,
            ..self.clip()
        }
    }

    /// Tokens that classifiers see one by one.
    fn read_tokens(&self) -> usize {
        usize::from(self.class_token) + usize::from(self.distilled)
    }

    /// Tokens before the patches.
    fn prefix_tokens(&self) -> usize {
        self.read_tokens() + self.reg_tokens
    }

    /// Whether the last normalisation follows the pool.
    fn norm_follows_pool(&self) -> bool {
        self.fc_norm.unwrap_or(self.global_pool == VitPool::Avg)
    }
}

impl Family for VitConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        Ok(Box::new(VisionTransformer::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (d, patches) = (self.embed_dim, (input_size / self.patch_size).pow(2));
        let prefix = self.prefix_tokens();
        let tokens = patches + prefix;
        cost.linear(in_chans * self.patch_size.pow(2), d, patches);
        if self.pre_norm {
            cost.parameters -= d; // no bias there
            cost.norm(d);
        }
        let positions = if self.no_embed_class { patches } else { tokens };
        cost.parameters += (prefix + positions) * d;
        for _ in 0..self.depth {
            cost.norm(d);
            cost.attention(d, tokens, 1);
            cost.norm(d);
            cost.mlp(d, tokens);
            if self.init_values.is_some() {
                cost.parameters += 2 * d;
            }
        }
        cost.norm(d);
        for _ in self.classifier() {
            cost.linear(d, num_classes, 1);
        }
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        if self.distilled {
            &["head", "head_dist"]
        } else {
            &["head"]
        }
    }

    fn first_conv(&self) -> &'static str {
        "patch_embed.proj"
    }

    fn readout(&self) -> Readout {
        let prefix = self.prefix_tokens();
        match self.global_pool {
            VitPool::Token => Readout::Prefix {
                read: self.read_tokens(),
                prefix,
            },
            VitPool::Avg => Readout::Patches { prefix },
        }
    }

    fn is_layer(&self, name: &str) -> bool {
        name == "patch_embed" || name.starts_with("blocks.") && !name.ends_with(".attn")
    }

    fn fixed_input_size(&self) -> bool {
        true
    }

    fn set(&mut self, argument: &str, value: &str) -> Option<()> {
        let flag = || match value {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => None,
        };
        let number = || value.parse::<usize>().ok().filter(|&n| n > 0);
        match argument {
            "patch_size" => self.patch_size = number()?,
            "embed_dim" => self.embed_dim = number()?,
            "depth" => self.depth = number()?,
            "num_heads" => self.num_heads = number()?,
            "class_token" => self.class_token = flag()?,
            "reg_tokens" => self.reg_tokens = value.parse().ok()?,
            "no_embed_class" => self.no_embed_class = flag()?,
            "pre_norm" => self.pre_norm = flag()?,
            "init_values" => {
                let finite = |v: &f64| v.is_finite();
                self.init_values = Some(value.parse().ok().filter(finite)?);
            }
            "global_pool" => {
                self.global_pool = match value {
                    "token" => VitPool::Token,
                    "avg" => VitPool::Avg,
                    _ => return None,
                }
            }
            "fc_norm" => self.fc_norm = Some(flag()?),
            _ => return None,
        }
        Some(())
    }

    fn shrunk(&self) -> ModelConfig {
        ModelConfig::Vit(Self {
            patch_size: 16,
            embed_dim: 12,
            depth: 1,
            num_heads: 3,
            init_values: self.init_values.map(|_| 0.1),
            ..*self
        })
    }
}
