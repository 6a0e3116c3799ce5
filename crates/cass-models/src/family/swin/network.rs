use super::windows::{Windows, pad};
use super::{EPS, SwinConfig};
use crate::family::Network;
use crate::family::transformer::{LINEAR, Mlp, PatchEmbed};
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{LayerNorm, Linear, Mode};
use crate::options::ModelOptions;
use crate::params::Builder;
use crate::resample::{Resampled, resize_rel_pos_bias_table};
use candle_core::{Result, Tensor};
use cass_ops::Tracked;
use cass_ops::nn::{window_attention, window_attention_weights};
use std::sync::Arc;

/// A Swin Transformer with its classifier.
#[derive(Debug)]
pub(super) struct SwinTransformer {
    patch_embed: PatchEmbed,
    patch_norm: LayerNorm,
    patch_embed_tap: Tap,
    stages: Vec<Stage>,
    norm: LayerNorm,
    norm_tap: Tap,
    head: Linear,
    width: usize,
}

impl SwinTransformer {
    pub(super) fn new(cfg: &SwinConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let embed_vb = vb.pp("patch_embed");
        let patch_embed = PatchEmbed::new(options, cfg.patch_size, cfg.embed_dim, true, &embed_vb)?;
        let patch_norm = LayerNorm::new(cfg.embed_dim, EPS, &embed_vb.pp("norm"))?;
        let patch_embed_tap = embed_vb.tap();
        let mut side = patch_embed.side();
        let mut stages = Vec::with_capacity(cfg.depths.len());
        for i in 0..cfg.depths.len() {
            if i > 0 {
                side = side.div_ceil(2);
            }
            stages.push(Stage::new(cfg, i, side, &vb.pp("layers").pp(i))?);
        }
        let width = cfg.embed_dim << (stages.len() - 1);
        let norm_vb = vb.pp("norm");
        let norm = LayerNorm::new(width, EPS, &norm_vb)?;
        let head = Linear::new(width, options.num_classes, LINEAR, &vb.pp("head").pp("fc"))?;
        Ok(Self {
            patch_embed,
            patch_norm,
            patch_embed_tap,
            stages,
            norm,
            norm_tap: norm_vb.tap(),
            head,
            width,
        })
    }
}

impl Network for SwinTransformer {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = self.patch_norm.forward(&self.patch_embed.forward(x)?)?;
        let mut x = take_map(taps, self.patch_embed_tap, x)?;
        for stage in &self.stages {
            x = stage.forward(x, taps)?;
        }
        let x = take_map(taps, self.norm_tap, self.norm.forward(&x)?)?;
        x.mean(1) // (B, N, D) → (B, D)
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        self.head.forward(features)
    }

    fn resample(&self, name: &str, value: &Tensor, shape: &[usize]) -> Result<Option<Resampled>> {
        if !name.ends_with("relative_position_bias_table") || value.rank() != 2 {
            return Ok(None);
        }
        resize_rel_pos_bias_table(value, shape[0].isqrt())
    }

    fn derives(&self, name: &str) -> bool {
        name.ends_with("relative_position_index") || name.ends_with("attn_mask")
    }
}

/// Blocks on maps of one size, behind the merging that made it but for the first.
#[derive(Debug)]
struct Stage {
    downsample: Option<PatchMerging>,
    blocks: Vec<Arc<Block>>,
    tap: Tap,
}

impl Stage {
    fn new(cfg: &SwinConfig, number: usize, side: usize, vb: &Builder) -> Result<Self> {
        let (width, heads) = (cfg.embed_dim << number, cfg.num_heads[number]);
        let downsample = match number {
            0 => None,
            _ => Some(PatchMerging::new(width / 2, &vb.pp("downsample"))?),
        };
        let block = |i: usize| {
            let windows = Windows::new(side, cfg.window_size, i % 2 == 1);
            Block::new(width, heads, windows, &vb.pp("blocks").pp(i)).map(Arc::new)
        };
        Ok(Self {
            downsample,
            blocks: (0..cfg.depths[number]).map(block).collect::<Result<_>>()?,
            tap: vb.tap(),
        })
    }

    /// `(B, H², C)` → `(B, H'², C')`
    fn forward(&self, mut x: Tracked, taps: &mut Collector) -> Result<Tracked> {
        if let Some(merging) = &self.downsample {
            x = merging.forward(&x)?;
        }
        for block in &self.blocks {
            x = taps.block(block, &x, Block::forward)?;
        }
        take_map(taps, self.tap, x)
    }
}

/// Takes tokens `(B, H², C)` as the map `(B, H, H, C)` that timm has here.
fn take_map(taps: &mut Collector, tap: Tap, x: Tracked) -> Result<Tracked> {
    if !taps.wants(tap) {
        return Ok(x);
    }
    let (b, tokens, c) = x.value().dims3()?;
    let side = tokens.isqrt();
    let map = taps.take(tap, x.reshape((b, side, side, c))?);
    map.reshape((b, tokens, c))
}

/// Every 2x2 tokens to one that is twice as wide.
#[derive(Debug)]
struct PatchMerging {
    norm: LayerNorm,
    reduction: Tracked,
}

impl PatchMerging {
    fn new(width: usize, vb: &Builder) -> Result<Self> {
        let shape = [2 * width, 4 * width];
        Ok(Self {
            norm: LayerNorm::new(4 * width, EPS, &vb.pp("norm"))?,
            reduction: vb.pp("reduction").parameter("weight", &shape, LINEAR[0])?,
        })
    }

    /// `(B, H², C)` → `(B, ⌈H/2⌉², 2C)`
    fn forward(&self, x: &Tracked) -> Result<Tracked> {
        let (b, tokens, c) = x.value().dims3()?;
        let side = tokens.isqrt();
        let half = side.div_ceil(2);
        let x = pad(&x.reshape((b, side, side, c))?, 2 * half)?
            .reshape((b, half, 2, half, 2, c))?
            .permute(&[0, 1, 3, 4, 2, 5])? // (B, H/2, W/2, 2 of W, 2 of H, C)
            .reshape((b, half * half, 4 * c))?;
        cass_ops::nn::linear(&self.norm.forward(&x)?, &self.reduction, None)
    }
}

/// `x + attn(norm1(x))` within windows, then `x + mlp(norm2(x))`.
#[derive(Debug)]
struct Block {
    windows: Windows,
    norm1: LayerNorm,
    bias_table: Tracked,
    bias_index: Tensor,
    mask: Option<Tensor>,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    mlp: Mlp,
    num_heads: usize,
    attn_tap: Tap,
    tap: Tap,
}

impl Block {
    fn new(width: usize, num_heads: usize, windows: Windows, vb: &Builder) -> Result<Self> {
        let norm1 = LayerNorm::new(width, EPS, &vb.pp("norm1"))?;
        let attn = vb.pp("attn");
        let shape = [(2 * windows.size - 1).pow(2), num_heads];
        let normal = Init::Normal { std: 0.02 };
        let bias_table = attn.parameter("relative_position_bias_table", &shape, normal)?;
        Ok(Self {
            norm1,
            bias_index: Tensor::new(windows.relative_positions(), bias_table.value().device())?,
            mask: windows.mask(bias_table.value())?,
            bias_table,
            qkv: Linear::new(width, 3 * width, LINEAR, &attn.pp("qkv"))?,
            proj: Linear::new(width, width, LINEAR, &attn.pp("proj"))?,
            norm2: LayerNorm::new(width, EPS, &vb.pp("norm2"))?,
            mlp: Mlp::new(width, cass_ops::nn::gelu, &vb.pp("mlp"))?,
            windows,
            num_heads,
            attn_tap: attn.tap(),
            tap: vb.tap(),
        })
    }

    /// `(B, H², C)` → the same
    fn forward(&self, x: &Tracked, taps: &mut Collector) -> Result<Tracked> {
        let y = self.windows.partition(&self.norm1.forward(x)?)?; // (B windows, N, C)
        let (qkv, bias) = (self.qkv.forward(&y)?, self.bias()?);
        let (heads, mask) = (self.num_heads, self.mask.as_ref());
        let y = window_attention(&qkv, heads, &bias, mask)?;
        taps.show(self.attn_tap, || {
            window_attention_weights(qkv.value(), heads, bias.value(), mask)
        })?;
        let x = x.broadcast_add(&self.windows.reverse(&self.proj.forward(&y)?)?)?;
        let x = self.mlp.forward_add(&self.norm2.forward(&x)?, &x)?;
        take_map(taps, self.tap, x)
    }

    /// `(heads, N, N)`
    fn bias(&self) -> Result<Tracked> {
        let tokens = self.windows.size.pow(2);
        self.bias_table
            .rows(&self.bias_index)? // (N², heads)
            .permute(&[1, 0])?
            .reshape((self.num_heads, tokens, tokens))
    }
}
