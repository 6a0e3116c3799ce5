use super::{ConvNextConfig, KERNEL, PATCH};
use crate::family::Network;
use crate::family::transformer::{LINEAR, Mlp};
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{Conv2d, LayerNorm, Linear, Mode};
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor, bail};
use cass_ops::Tracked;
use cass_ops::nn::{channels_first, channels_last};
use std::sync::Arc;

const EPS: f64 = 1e-6;

/// A ConvNeXt with its classifier. Maps have their channels last, as all but the convolutions a channel
/// work on channels.
#[derive(Debug)]
pub(super) struct ConvNext {
    stem: PatchConv,
    stem_norm: LayerNorm,
    stem_tap: Tap,
    stages: Vec<Stage>,
    norm: LayerNorm,
    fc: Linear,
    width: usize,
}

/// Blocks on maps of one size, behind the convolution that made it but for the first.
#[derive(Debug)]
struct Stage {
    downsample: Option<(LayerNorm, PatchConv)>,
    blocks: Vec<Arc<Block>>,
    tap: Tap,
}

impl ConvNext {
    pub(super) fn new(cfg: &ConvNextConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let stem_vb = vb.pp("stem");
        let mut width = cfg.dims[0];
        let stem = PatchConv::new([options.in_chans, width], PATCH, &stem_vb.pp(0))?;
        let stem_norm = LayerNorm::new(width, EPS, &stem_vb.pp(1))?;
        let stem_tap = stem_vb.tap();
        let mut stages = Vec::with_capacity(cfg.dims.len());
        for (i, (&depth, &d)) in cfg.depths.iter().zip(&cfg.dims).enumerate() {
            let vb = vb.pp("stages").pp(i);
            let downsample = if i > 0 {
                let vb = vb.pp("downsample");
                let norm = LayerNorm::new(width, EPS, &vb.pp(0))?;
                Some((norm, PatchConv::new([width, d], 2, &vb.pp(1))?))
            } else {
                None
            };
            width = d;
            let block =
                |n: usize| Block::new(d, cfg.ls_init_value, &vb.pp("blocks").pp(n)).map(Arc::new);
            stages.push(Stage {
                downsample,
                blocks: (0..depth).map(block).collect::<Result<_>>()?,
                tap: vb.tap(),
            });
        }
        let head = vb.pp("head");
        Ok(Self {
            stem,
            stem_norm,
            stem_tap,
            stages,
            norm: LayerNorm::new(width, EPS, &head.pp("norm"))?,
            fc: Linear::new(width, options.num_classes, LINEAR, &head.pp("fc"))?,
            width,
        })
    }
}

impl Network for ConvNext {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = Tracked::constant(x).permute(&[0, 2, 3, 1])?;
        let x = self.stem_norm.forward(&self.stem.forward(&x)?)?;
        let mut x = take_map(taps, self.stem_tap, x)?; // (B, H/4, W/4, C)
        for stage in &self.stages {
            if let Some((norm, conv)) = &stage.downsample {
                x = conv.forward(&norm.forward(&x)?)?;
            }
            for block in &stage.blocks {
                x = taps.block(block, &x, Block::forward)?;
            }
            x = take_map(taps, stage.tap, x)?;
        }
        let (b, h, w, c) = x.value().dims4()?;
        self.norm.forward(&x.reshape((b, h * w, c))?.mean(1)?)
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        self.fc.forward(features)
    }
}

/// Takes a map `(B, H, W, C)` as the `(B, C, H, W)` that timm has here.
fn take_map(taps: &mut Collector, tap: Tap, x: Tracked) -> Result<Tracked> {
    if !taps.wants(tap) {
        return Ok(x);
    }
    channels_last(&taps.take(tap, channels_first(&x)?))
}

/// A convolution with bias whose windows do not overlap: one matrix product over the patches.
#[derive(Debug)]
struct PatchConv {
    weight: Tracked,
    bias: Tracked,
}

impl PatchConv {
    fn new([i, o]: [usize; 2], side: usize, vb: &Builder) -> Result<Self> {
        Ok(Self {
            weight: vb.parameter("weight", &[o, i, side, side], LINEAR[0])?,
            bias: vb.parameter("bias", &[o], Init::Zeros)?,
        })
    }

    /// `(B, H, W, I)` → `(B, H/p, W/p, O)`; pixels left over at the border are dropped
    fn forward(&self, x: &Tracked) -> Result<Tracked> {
        let (b, h, w, c) = x.value().dims4()?;
        let &[o, i, p, _] = self.weight.dims() else {
            bail!("a convolution's weight is {:?}", self.weight.dims());
        };
        let (rows, columns) = (h / p, w / p);
        if c != i || rows == 0 || columns == 0 {
            bail!("maps are ({c}, {h}, {w}), expected {i} channels and at least {p} px a side");
        }
        let mut x = x.clone();
        if (h, w) != (rows * p, columns * p) {
            x = x.narrow(1, 0, rows * p)?.narrow(2, 0, columns * p)?;
        }
        let patches = x
            .reshape((b, rows, p, columns, p, c))?
            .permute(&[0, 1, 3, 2, 4, 5])? // (B, H/p, W/p, p, p, I)
            .reshape((b, rows, columns, p * p * c))?;
        let weight = self
            .weight
            .permute(&[0, 2, 3, 1])?
            .reshape((o, p * p * c))?;
        cass_ops::nn::linear(&patches, &weight, Some(&self.bias))
    }
}

/// `x + gamma mlp(norm(conv_dw(x)))`
#[derive(Debug)]
struct Block {
    gamma: Tracked,
    conv_dw: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
    tap: Tap,
}

impl Block {
    fn new(d: usize, scale: f64, vb: &Builder) -> Result<Self> {
        let gamma = vb.parameter("gamma", &[d], Init::Constant { value: scale })?;
        let conv_vb = vb.pp("conv_dw");
        let conv_dw = Conv2d::depthwise(d, KERNEL, 1, LINEAR[0], &conv_vb)?;
        Ok(Self {
            gamma,
            conv_dw: conv_dw.with_bias(Init::Zeros, &conv_vb)?,
            norm: LayerNorm::new(d, EPS, &vb.pp("norm"))?,
            mlp: Mlp::new(d, cass_ops::nn::gelu, &vb.pp("mlp"))?,
            tap: vb.tap(),
        })
    }

    /// `(B, H, W, C)` → the same
    fn forward(&self, x: &Tracked, taps: &mut Collector) -> Result<Tracked> {
        let y = channels_last(&self.conv_dw.forward(&channels_first(x)?)?)?;
        let hidden = self.mlp.hidden(&self.norm.forward(&y)?)?;
        let x = cass_ops::nn::scale_add(&self.mlp.fc2.forward(&hidden)?, &self.gamma, x)?;
        take_map(taps, self.tap, x)
    }
}
