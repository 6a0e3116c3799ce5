//! Vision Transformer and DeiT, as `timm.models.vision_transformer` and `timm.models.deit`.

use crate::{
    init::Init,
    layers::{LayerNorm, Linear, Mode},
    model::{Network, Output},
    params::Builder,
    resample::{Resampled, resample_abs_pos_embed},
};
use candle_core::{Result, Tensor, bail};
use cass_ops::{attention, gelu};

/// Shape of a Vision Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitConfig {
    /// Side of a square patch, px.
    pub patch_size: usize,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads a block.
    pub num_heads: usize,
}

impl VitConfig {
    const fn patch16(embed_dim: usize, depth: usize, num_heads: usize) -> Self {
        Self {
            patch_size: 16,
            embed_dim,
            depth,
            num_heads,
        }
    }

    /// `timm.models.vit_tiny_patch16_224` and `_384`.
    pub const fn vit_tiny_patch16() -> Self {
        Self::patch16(192, 12, 3)
    }

    /// `timm.models.vit_small_patch16_224` and `_384`.
    pub const fn vit_small_patch16() -> Self {
        Self::patch16(384, 12, 6)
    }

    /// `timm.models.vit_base_patch16_224` and `_384`.
    pub const fn vit_base_patch16() -> Self {
        Self::patch16(768, 12, 12)
    }

    /// `timm.models.vit_large_patch16_224` and `_384`.
    pub const fn vit_large_patch16() -> Self {
        Self::patch16(1024, 24, 16)
    }
}

const EPS: f64 = 1e-6;
const MLP_RATIO: usize = 4;
/// timm's `init_weights_vit_timm`: `trunc_normal_(std=.02)` and zero.
const LINEAR: [Init; 2] = [Init::Normal { std: 0.02 }, Init::Zeros];

/// A Vision Transformer with its classifier, or a distilled DeiT with its two.
#[derive(Debug)]
pub(crate) struct VisionTransformer {
    input_size: usize,
    patch_size: usize,
    /// `(1, 1, D)` each: the class token, and the distillation token.
    prefix: Vec<Tensor>,
    pos_embed: Tensor,
    patch_weight: Tensor,
    patch_bias: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// One for each prefix token.
    heads: Vec<Linear>,
}

impl VisionTransformer {
    /// `input_size` is the side of a square image, a multiple of the patch; `distilled` gives
    /// `VisionTransformerDistilled`.
    pub(crate) fn new(
        cfg: &VitConfig,
        distilled: bool,
        input_size: usize,
        num_classes: usize,
        vb: &Builder,
    ) -> Result<Self> {
        let (d, p) = (cfg.embed_dim, cfg.patch_size);
        if input_size == 0 || !input_size.is_multiple_of(p) {
            bail!("an input of {input_size} px does not divide into patches of {p} px");
        }
        let tokens = (input_size / p).pow(2) + 1 + usize::from(distilled);
        let normal = |std| Init::Normal { std };
        let mut prefix = vec![vb.parameter("cls_token", &[1, 1, d], normal(1e-6))?];
        let pos_embed = vb.parameter("pos_embed", &[1, tokens, d], normal(0.02))?;
        if distilled {
            prefix.push(vb.parameter("dist_token", &[1, 1, d], normal(0.02))?);
        }
        let patch_vb = vb.pp("patch_embed").pp("proj");
        let patch_init = Init::torch_default(3 * p * p);
        let patch_weight = patch_vb.parameter("weight", &[d, 3, p, p], patch_init)?;
        let patch_bias = patch_vb.parameter("bias", &[d], patch_init)?;
        let blocks_vb = vb.pp("blocks");
        let blocks = (0..cfg.depth)
            .map(|i| Block::new(cfg, &blocks_vb.pp(i)))
            .collect::<Result<_>>()?;
        let norm = LayerNorm::new(d, EPS, &vb.pp("norm"))?;
        let heads = ["head", "head_dist"][..prefix.len()]
            .iter()
            .map(|name| Linear::new(d, num_classes, LINEAR, &vb.pp(name)))
            .collect::<Result<_>>()?;
        Ok(Self {
            input_size,
            patch_size: p,
            prefix,
            pos_embed,
            patch_weight,
            patch_bias,
            blocks,
            norm,
            heads,
        })
    }

    /// `(B, 3, S, S)` → the normalised prefix tokens, `(B, D)` each
    fn prefix_tokens(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = self.embed(x)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        // Rows are normalised one by one, so these tokens alone are enough.
        let of = |i| self.norm.forward(&x.narrow(1, i, 1)?.squeeze(1)?);
        (0..self.prefix.len()).map(of).collect()
    }

    /// `(B, 3, S, S)` → tokens `(B, prefix + (S/p)², D)`: a convolution whose windows do not overlap is
    /// one matrix product over the patches.
    fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, h, w) = x.dims4()?;
        let (s, p) = (self.input_size, self.patch_size);
        if (c, h, w) != (3, s, s) {
            bail!("image is ({c}, {h}, {w}), the network was built for (3, {s}, {s})");
        }
        let d = self.patch_bias.dim(0)?;
        let patches = x
            .reshape((b, c, h / p, p, w / p, p))?
            .permute((0, 2, 4, 1, 3, 5))? // (B, S/p, S/p, 3, p, p)
            .reshape((b, (h / p) * (w / p), c * p * p))?;
        let weight = self.patch_weight.reshape((d, c * p * p))?;
        let x = cass_ops::linear(&patches, &weight, Some(&self.patch_bias))?;
        let prefix = self
            .prefix
            .iter()
            .map(|token| token.broadcast_as((b, 1, d)));
        let tokens: Vec<_> = prefix.chain([Ok(x)]).collect::<Result<_>>()?;
        Tensor::cat(&tokens, 1)?.broadcast_add(&self.pos_embed)
    }
}

impl Network for VisionTransformer {
    fn classifier(&self) -> &'static [&'static str] {
        const NAMES: &[&str] = &[
            "head.weight",
            "head.bias",
            "head_dist.weight",
            "head_dist.bias",
        ];
        &NAMES[..2 * self.heads.len()]
    }

    fn feature_dim(&self) -> usize {
        self.pos_embed.dims()[2]
    }

    fn features(&self, x: &Tensor, _mode: Mode) -> Result<Tensor> {
        mean(self.prefix_tokens(x)?)
    }

    fn classify(&self, features: &Tensor) -> Result<Tensor> {
        let logits = self.heads.iter().map(|head| head.forward(features));
        mean(logits.collect::<Result<_>>()?)
    }

    /// Every head sees its own token.
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Output> {
        let tokens = self.prefix_tokens(x)?;
        let pairs = self.heads.iter().zip(&tokens);
        let logits = pairs.map(|(head, token)| head.forward(token));
        Ok(Output {
            logits: mean(logits.collect::<Result<_>>()?)?,
            features: mean(tokens)?,
        })
    }

    fn resample(&self, name: &str, value: &Tensor) -> Result<Option<Resampled>> {
        if name != "pos_embed" || value.rank() != 3 {
            return Ok(None);
        }
        resample_abs_pos_embed(value, self.input_size / self.patch_size, self.prefix.len())
    }
}

/// Of one tensor or two.
fn mean(tensors: Vec<Tensor>) -> Result<Tensor> {
    match &tensors[..] {
        [a, b] => (a + b)? * 0.5,
        _ => Ok(tensors[0].clone()),
    }
}

/// `x + attn(norm1(x))`, then `x + mlp(norm2(x))`.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    num_heads: usize,
}

impl Block {
    fn new(cfg: &VitConfig, vb: &Builder) -> Result<Self> {
        let d = cfg.embed_dim;
        let (attn, mlp) = (vb.pp("attn"), vb.pp("mlp"));
        Ok(Self {
            norm1: LayerNorm::new(d, EPS, &vb.pp("norm1"))?,
            qkv: Linear::new(d, 3 * d, LINEAR, &attn.pp("qkv"))?,
            proj: Linear::new(d, d, LINEAR, &attn.pp("proj"))?,
            norm2: LayerNorm::new(d, EPS, &vb.pp("norm2"))?,
            fc1: Linear::new(d, MLP_RATIO * d, LINEAR, &mlp.pp("fc1"))?,
            fc2: Linear::new(MLP_RATIO * d, d, LINEAR, &mlp.pp("fc2"))?,
            num_heads: cfg.num_heads,
        })
    }

    /// `(B, N, D)` → the same
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?; // (B, N, 3D)
        let x = (x + self.proj.forward(&attention(&qkv, self.num_heads)?)?)?;
        let hidden = gelu(&self.fc1.forward(&self.norm2.forward(&x)?)?)?; // (B, N, 4D)
        &x + self.fc2.forward(&hidden)?
    }
}
