//! Vision Transformer and DeiT, as `timm.models.vision_transformer` and `timm.models.deit`.

use crate::{
    init::Init,
    intermediates::{Collector, Tap},
    layers::{LayerNorm, Linear, Mode},
    model::Network,
    params::Builder,
    resample::{Resampled, resample_abs_pos_embed},
    transformer::{LINEAR, Mlp, PatchEmbed},
};
use candle_core::{Result, Tensor};
use cass_ops::{Tracked, attention, attention_weights};
use std::sync::Arc;

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

/// A Vision Transformer with its classifier, or a distilled DeiT with its two.
#[derive(Debug)]
pub(crate) struct VisionTransformer {
    /// `(1, 1, D)` each: the class token, and the distillation token.
    prefix: Vec<Tracked>,
    pos_embed: Tracked,
    patch_embed: PatchEmbed,
    patch_embed_tap: Tap,
    blocks: Vec<Arc<Block>>,
    norm: LayerNorm,
    norm_tap: Tap,
    /// One for each prefix token.
    heads: Vec<Linear>,
    /// Where there are two.
    head_taps: Vec<Tap>,
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
        let d = cfg.embed_dim;
        let patches = PatchEmbed::side_of(input_size, cfg.patch_size)?.pow(2);
        let tokens = patches + 1 + usize::from(distilled);
        let normal = |std| Init::Normal { std };
        let mut prefix = vec![vb.parameter("cls_token", &[1, 1, d], normal(1e-6))?];
        let pos_embed = vb.parameter("pos_embed", &[1, tokens, d], normal(0.02))?;
        if distilled {
            prefix.push(vb.parameter("dist_token", &[1, 1, d], normal(0.02))?);
        }
        let embed_vb = vb.pp("patch_embed");
        let patch_embed = PatchEmbed::new(input_size, cfg.patch_size, d, &embed_vb)?;
        let patch_embed_tap = embed_vb.tap();
        let blocks_vb = vb.pp("blocks");
        let blocks = (0..cfg.depth)
            .map(|i| Block::new(cfg, &blocks_vb.pp(i)).map(Arc::new))
            .collect::<Result<_>>()?;
        let norm_vb = vb.pp("norm");
        let norm = LayerNorm::new(d, EPS, &norm_vb)?;
        let norm_tap = norm_vb.tap();
        let names = &["head", "head_dist"][..prefix.len()];
        let head_vbs: Vec<_> = names.iter().map(|name| vb.pp(name)).collect();
        let heads = head_vbs
            .iter()
            .map(|vb| Linear::new(d, num_classes, LINEAR, vb));
        let heads = heads.collect::<Result<_>>()?;
        let head_taps = match &head_vbs[..] {
            [_] => Vec::new(), // its output are the logits
            several => several.iter().map(Builder::tap).collect(),
        };
        Ok(Self {
            prefix,
            pos_embed,
            patch_embed,
            patch_embed_tap,
            blocks,
            norm,
            norm_tap,
            heads,
            head_taps,
        })
    }

    /// `(B, 3, S, S)` → the normalised prefix tokens, `(B, D)` each
    fn prefix_tokens(&self, x: &Tensor, taps: &mut Collector) -> Result<Vec<Tracked>> {
        let mut x = self.embed(x, taps)?;
        for block in &self.blocks {
            x = taps.block(block, &x, Block::forward)?;
        }
        taps.show(self.norm_tap, || {
            self.norm.forward(&x).map(Tracked::into_value)
        })?;
        // Rows are normalised one by one, so these tokens alone are enough.
        let (b, _, d) = x.value().dims3()?;
        let of = |i| self.norm.forward(&x.narrow(1, i, 1)?.reshape((b, d))?);
        (0..self.prefix.len()).map(of).collect()
    }

    /// `(B, 3, S, S)` → tokens `(B, prefix + (S/p)², D)`
    fn embed(&self, x: &Tensor, taps: &mut Collector) -> Result<Tracked> {
        let x = taps.take(self.patch_embed_tap, self.patch_embed.forward(x)?);
        let (b, _, d) = x.value().dims3()?;
        // Room for the prefix tokens, which the sum below fills: (B, 1, D) of zeros and the token.
        let room = Tensor::zeros((b, 1, d), x.value().dtype(), x.value().device())?;
        let room = Tracked::constant(&room);
        let prefix = self.prefix.iter().map(|token| room.broadcast_add(token));
        let tokens: Vec<_> = prefix.chain([Ok(x)]).collect::<Result<_>>()?;
        let tokens: Vec<_> = tokens.iter().collect();
        Tracked::cat(&tokens, 1)?.broadcast_add(&self.pos_embed)
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

    fn features(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        mean(self.prefix_tokens(x, taps)?)
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        let logits = self.heads.iter().map(|head| head.forward(features));
        mean(logits.collect::<Result<_>>()?)
    }

    /// Every head sees its own token, and the logits are their mean, in training too.
    fn forward(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<[Tracked; 2]> {
        let tokens = self.prefix_tokens(x, taps)?;
        let pairs = self.heads.iter().zip(&tokens);
        let logits = pairs.map(|(head, token)| head.forward(token));
        let mut logits: Vec<_> = logits.collect::<Result<_>>()?;
        for (&tap, logits) in self.head_taps.iter().zip(&mut logits) {
            *logits = taps.take(tap, logits.clone());
        }
        Ok([mean(tokens)?, mean(logits)?])
    }

    fn resample(&self, name: &str, value: &Tensor, _: &[usize]) -> Result<Option<Resampled>> {
        if name != "pos_embed" || value.rank() != 3 {
            return Ok(None);
        }
        resample_abs_pos_embed(value, self.patch_embed.side(), self.prefix.len())
    }
}

/// Of one tensor or two.
fn mean(tensors: Vec<Tracked>) -> Result<Tracked> {
    match &tensors[..] {
        [a, b] => a.broadcast_add(b)?.scale(0.5),
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
    mlp: Mlp,
    num_heads: usize,
    attn_tap: Tap,
    tap: Tap,
}

impl Block {
    fn new(cfg: &VitConfig, vb: &Builder) -> Result<Self> {
        let d = cfg.embed_dim;
        let attn = vb.pp("attn");
        Ok(Self {
            norm1: LayerNorm::new(d, EPS, &vb.pp("norm1"))?,
            qkv: Linear::new(d, 3 * d, LINEAR, &attn.pp("qkv"))?,
            proj: Linear::new(d, d, LINEAR, &attn.pp("proj"))?,
            norm2: LayerNorm::new(d, EPS, &vb.pp("norm2"))?,
            mlp: Mlp::new(d, &vb.pp("mlp"))?,
            num_heads: cfg.num_heads,
            attn_tap: attn.tap(),
            tap: vb.tap(),
        })
    }

    /// `(B, N, D)` → the same
    fn forward(&self, x: &Tracked, taps: &mut Collector) -> Result<Tracked> {
        let (qkv, heads) = (self.qkv.forward(&self.norm1.forward(x)?)?, self.num_heads); // (B, N, 3D)
        let attended = attention(&qkv, heads)?;
        taps.show(self.attn_tap, || attention_weights(qkv.value(), heads))?;
        let x = self.proj.forward_add(&attended, x)?;
        let x = self.mlp.forward_add(&self.norm2.forward(&x)?, &x)?;
        Ok(taps.take(self.tap, x))
    }
}
