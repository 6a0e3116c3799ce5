use super::RegNetConfig;
use crate::family::Network;
use crate::family::squeeze::SqueezeExcite;
use crate::family::stage::Stage;
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{BatchNorm2d, Conv2d, Linear, Mode};
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor};
use cass_ops::Tracked;
use cass_ops::nn::Activation;
use std::sync::Arc;

/// A RegNet with its classifier.
#[derive(Debug)]
pub(super) struct RegNet {
    stem: ConvNorm,
    stem_tap: Tap,
    stages: Vec<Stage<Bottleneck>>,
    fc: Linear,
    width: usize,
}

impl RegNet {
    pub(super) fn new(cfg: &RegNetConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let stem_vb = vb.pp("stem");
        let shape = ([options.in_chans, cfg.stem_width], 1, 3, 2);
        let stem = ConvNorm::new(shape, Activation::Relu, Init::Ones, &stem_vb)?;
        let mut width = cfg.stem_width;
        let mut stages = Vec::with_capacity(cfg.depths.len());
        for (stage, (&depth, &o)) in cfg.depths.iter().zip(&cfg.widths).enumerate() {
            let stage_vb = vb.pp(format_args!("s{}", stage + 1));
            let mut blocks = Vec::with_capacity(depth);
            for i in 0..depth {
                let vb = stage_vb.pp(format_args!("b{}", i + 1));
                let stride = if i == 0 { 2 } else { 1 };
                let block = Bottleneck::new([width, o], cfg.group_size, stride, &vb)?;
                blocks.push(Arc::new(block));
                width = o;
            }
            let tap = stage_vb.tap();
            stages.push(Stage { blocks, tap });
        }
        let init = [Init::Normal { std: 0.01 }, Init::Zeros];
        let fc = Linear::new(width, options.num_classes, init, &vb.pp("head").pp("fc"))?;
        Ok(Self {
            stem,
            stem_tap: stem_vb.tap(),
            stages,
            fc,
            width,
        })
    }
}

impl Network for RegNet {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = self.stem.forward(&Tracked::constant(x), mode)?;
        let mut x = taps.take(self.stem_tap, x); // (B, 32, H/2, W/2)
        for stage in &self.stages {
            x = stage.forward(x, taps, move |block, x, taps| {
                Ok(taps.take(block.tap, block.forward(x, mode)?))
            })?;
        }
        x.mean_pixels() // (B, D, H/32, W/32) → (B, D)
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        self.fc.forward(features)
    }
}

/// `timm.layers.ConvNormAct`.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl ConvNorm {
    /// `shape`: channels before and behind, groups, kernel, stride.
    fn new(
        ([i, o], groups, kernel, stride): ([usize; 2], usize, usize, usize),
        activation: Activation,
        scale: Init,
        vb: &Builder,
    ) -> Result<Self> {
        let init = Init::kaiming_fan_out_of_group(o, kernel, groups);
        let conv = Conv2d::in_groups([i, o], groups, kernel, stride, init, &vb.pp("conv"))?;
        Ok(Self {
            conv,
            norm: BatchNorm2d::new(o, scale, activation, &vb.pp("bn"))?,
        })
    }

    fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        self.norm.forward(&self.conv.forward(x)?, mode)
    }
}

/// `timm.models.regnet.Bottleneck`, with as many channels in the middle as at its end.
#[derive(Debug)]
struct Bottleneck {
    conv1: ConvNorm,
    conv2: ConvNorm,
    se: SqueezeExcite,
    /// The branch's end, whose normalisation the shortcut is added to.
    conv3: ConvNorm,
    downsample: Option<ConvNorm>,
    tap: Tap,
}

impl Bottleneck {
    fn new([i, o]: [usize; 2], group_size: usize, stride: usize, vb: &Builder) -> Result<Self> {
        let layer = |name: &str, shape, activation, scale| {
            ConvNorm::new(shape, activation, scale, &vb.pp(name))
        };
        let (relu, none) = (Activation::Relu, Activation::Identity);
        let (pointwise, groups) = (([i, o], 1, 1, 1), o / group_size);
        let squeezed = [o, RegNetConfig::squeezed(i)];
        let downsample = (stride != 1 || i != o)
            .then(|| layer("downsample", ([i, o], 1, 1, stride), none, Init::Ones));
        Ok(Self {
            conv1: layer("conv1", pointwise, relu, Init::Ones)?,
            conv2: layer("conv2", ([o, o], groups, 3, stride), relu, Init::Ones)?,
            se: SqueezeExcite::new(squeezed, ["fc1", "fc2"], relu, &vb.pp("se"))?,
            // timm's `zero_init_last`: a fresh block is its shortcut.
            conv3: layer("conv3", ([o, o], 1, 1, 1), relu, Init::Zeros)?,
            downsample: downsample.transpose()?,
            tap: vb.tap(),
        })
    }

    fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        let y = self.conv2.forward(&self.conv1.forward(x, mode)?, mode)?;
        let y = self.conv3.conv.forward(&self.se.forward(&y)?)?;
        let norm = &self.conv3.norm;
        match &self.downsample {
            Some(shortcut) => norm.forward_add(&y, Some(&shortcut.forward(x, mode)?), mode),
            None => norm.forward_add(&y, Some(x), mode),
        }
    }
}
