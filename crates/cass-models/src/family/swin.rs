//! Swin Transformer, as `timm.models.swin_transformer`.

use super::transformer::{LINEAR, Mlp, PatchEmbed};
use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{LayerNorm, Linear, Mode};
use crate::model::ModelOptions;
use crate::params::Builder;
use crate::resample::{Resampled, resize_rel_pos_bias_table};
use candle_core::{Result, Tensor};
use cass_ops::{Tracked, window_attention, window_attention_weights};
use std::sync::Arc;

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

/// A Swin Transformer with its classifier.
#[derive(Debug)]
pub(crate) struct SwinTransformer {
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
    fn new(cfg: &SwinConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
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
        cass_ops::linear(&self.norm.forward(&x)?, &self.reduction, None)
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
            mlp: Mlp::new(width, cass_ops::gelu, &vb.pp("mlp"))?,
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

/// How a square map is cut into square windows.
#[derive(Debug, Clone, Copy)]
struct Windows {
    /// Of the map, tokens.
    side: usize,
    /// Of a window, tokens.
    size: usize,
    /// By how much the map is rolled before it is cut.
    shift: usize,
}

impl Windows {
    /// A map that fits one window is one, without a shift.
    fn new(side: usize, size: usize, shifted: bool) -> Self {
        Self {
            side,
            size: size.min(side),
            shift: if shifted && side > size { size / 2 } else { 0 },
        }
    }

    /// Windows along a side; the last may reach over the border.
    fn count(&self) -> usize {
        self.side.div_ceil(self.size)
    }

    /// `(B, H², C)` → `(B windows, size², C)`, zeros over the border
    fn partition(&self, x: &Tracked) -> Result<Tracked> {
        let (b, _, c) = x.value().dims3()?;
        let (n, w) = (self.count(), self.size);
        let x = x.reshape((b, self.side, self.side, c))?;
        pad(&roll(&x, -(self.shift as i32))?, n * w)?
            .reshape((b, n, w, n, w, c))?
            .permute(&[0, 1, 3, 2, 4, 5])?
            .reshape((b * n * n, w * w, c))
    }

    /// `(B windows, size², C)` → `(B, H², C)`
    fn reverse(&self, x: &Tracked) -> Result<Tracked> {
        let (windows, _, c) = x.value().dims3()?;
        let (n, w) = (self.count(), self.size);
        let b = windows / (n * n);
        let x = x
            .reshape((b, n, n, w, w, c))?
            .permute(&[0, 1, 3, 2, 4, 5])?
            .reshape((b, n * w, n * w, c))?
            .narrow(1, 0, self.side)?
            .narrow(2, 0, self.side)?;
        roll(&x, self.shift as i32)?.reshape((b, self.side * self.side, c))
    }

    /// For every pair of tokens of a window, in rows, its row of the bias table.
    fn relative_positions(&self) -> Vec<u32> {
        let w = self.size;
        let along = |a: usize, b: usize| w - 1 + a - b;
        let tokens = || (0..w * w).map(|i| (i / w, i % w));
        tokens()
            .flat_map(|a| tokens().map(move |b| along(a.0, b.0) * (2 * w - 1) + along(a.1, b.1)))
            .map(|row| row as u32)
            .collect()
    }

    /// -100 between tokens that only the roll made neighbours, else 0: `(windows, size², size²)`
    /// like the tensor `like`. Nothing without a shift.
    fn mask(&self, like: &Tensor) -> Result<Option<Tensor>> {
        if self.shift == 0 {
            return Ok(None);
        }
        let (n, w) = (self.count(), self.size);
        let region = |i: usize| usize::from(i >= n * w - w) + usize::from(i >= n * w - self.shift);
        let mut mask = Vec::with_capacity(n * n * w.pow(4));
        for window in 0..n * n {
            let (top, left) = (window / n * w, window % n * w);
            let regions: Vec<_> = (0..w * w)
                .map(|i| (region(top + i / w), region(left + i % w)))
                .collect();
            for a in &regions {
                mask.extend(regions.iter().map(|b| if a == b { 0f32 } else { -100. }));
            }
        }
        let mask = Tensor::from_vec(mask, (n * n, w * w, w * w), like.device())?;
        mask.to_dtype(like.dtype()).map(Some)
    }
}

/// Zeros below and on the right of maps `(B, H, H, C)`, to `side` tokens.
fn pad(x: &Tracked, side: usize) -> Result<Tracked> {
    let more = side - x.dims()[1];
    x.pad_with_zeros(1, 0, more)?.pad_with_zeros(2, 0, more)
}

/// Moves maps `(B, H, W, C)` in a circle along both directions.
fn roll(x: &Tracked, by: i32) -> Result<Tracked> {
    if by == 0 {
        return Ok(x.clone());
    }
    x.roll(by, 1)?.roll(by, 2)
}
