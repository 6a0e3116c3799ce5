//! ResNet, as `timm.models.resnet`.

use super::stage::Stage;
use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{BatchNorm2d, Conv2d, Linear, Mode, STEM_POOL};
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor, bail};
use cass_ops::Tracked;
use cass_ops::nn::{Activation, AvgPool2dConfig, avg_pool2d, max_pool2d};
use std::sync::Arc;

/// Kind of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 and a 1x1 that widens fourfold.
    Bottleneck,
}

impl Block {
    pub(crate) fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// Shape of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Kind of residual block.
    pub block: Block,
    /// Blocks a stage.
    pub layers: [usize; 4],
    /// Width a stage, before expansion.
    pub channels: [usize; 4],
    /// Width of the stem's result.
    pub stem_width: usize,
    /// Kind of stem and of shortcuts.
    pub variant: Variant,
}

/// Variants that the paper "Bag of Tricks" calls A and D: the stem and the shortcuts that change size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// One 7x7 convolution; a 1x1 convolution of stride 2.
    Standard,
    /// Three 3x3 convolutions, the first two half as wide; a mean over 2x2 before a 1x1
    /// convolution: timm's `stem_type="deep"`, `avg_down=True`.
    D,
}

impl ResNetConfig {
    const fn standard(block: Block, layers: [usize; 4]) -> Self {
        Self {
            block,
            layers,
            channels: [64, 128, 256, 512],
            stem_width: 64,
            variant: Variant::Standard,
        }
    }

    /// `timm.models.resnet18`.
    pub const fn resnet18() -> Self {
        Self::standard(Block::Basic, [2, 2, 2, 2])
    }

    /// `timm.models.resnet34`.
    pub const fn resnet34() -> Self {
        Self::standard(Block::Basic, [3, 4, 6, 3])
    }

    /// `timm.models.resnet50`.
    pub const fn resnet50() -> Self {
        Self::standard(Block::Bottleneck, [3, 4, 6, 3])
    }

    /// `timm.models.resnet101`.
    pub const fn resnet101() -> Self {
        Self::standard(Block::Bottleneck, [3, 4, 23, 3])
    }

    /// `timm.models.resnet200d`, of the -D variant.
    pub const fn resnet200d() -> Self {
        Self {
            variant: Variant::D,
            ..Self::standard(Block::Bottleneck, [3, 24, 36, 3])
        }
    }
}

impl Family for ResNetConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        Ok(Box::new(ResNet::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (mut width, mut side) = (self.stem_width, input_size.div_ceil(2));
        let stem = match (self.variant, width / 2) {
            (Variant::Standard, _) => vec![(in_chans, width, 7)],
            (Variant::D, half) => vec![(in_chans, half, 3), (half, half, 3), (half, width, 3)],
        };
        for (i, o, kernel) in stem {
            cost.conv(i, o, kernel, side);
            cost.norm(o);
        }
        side = side.div_ceil(2);
        for (stage, (&count, &c)) in self.layers.iter().zip(&self.channels).enumerate() {
            for block in 0..count {
                let halves = stage > 0 && block == 0;
                let (before, o) = (side, c * self.block.expansion());
                side = if halves { side.div_ceil(2) } else { side };
                let branch = match self.block {
                    Block::Basic => vec![(width, c, 3, side), (c, o, 3, side)],
                    Block::Bottleneck => {
                        vec![(width, c, 1, before), (c, c, 3, side), (c, o, 1, side)]
                    }
                };
                let shortcut = (halves || width != o).then_some((width, o, 1, side));
                for (i, o, kernel, side) in branch.into_iter().chain(shortcut) {
                    cost.conv(i, o, kernel, side);
                    cost.norm(o);
                }
                width = o;
            }
        }
        cost.linear(width, num_classes, 1);
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        &["fc"]
    }

    fn first_conv(&self) -> &'static str {
        match self.variant {
            Variant::Standard => "conv1",
            Variant::D => "conv1.0",
        }
    }

    fn readout(&self) -> Readout {
        Readout::Map(LastMap {
            name: "layer4",
            channels_last: false,
        })
    }

    /// A stage gives what its last block does.
    fn is_layer(&self, name: &str) -> bool {
        name == "stem" || name.starts_with("layer") && name.contains('.')
    }

    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        match parts[..] {
            ["fc", ..] => Place::Head,
            [stage, block, ..] if stage.starts_with("layer") => {
                Place::block(&stage["layer".len()..], block)
            }
            _ => Place::Stem,
        }
    }

    fn shrunk(&self) -> ModelConfig {
        ModelConfig::ResNet(Self {
            layers: [1; 4],
            channels: [4, 4, 8, 8],
            stem_width: 8,
            ..*self
        })
    }
}

/// A residual network with its classifier.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: Vec<(Conv2d, BatchNorm2d)>,
    stem_tap: Tap,
    stages: Vec<Stage<Residual>>,
    width: usize,
    fc: Linear,
}

impl ResNet {
    fn new(cfg: &ResNetConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let variant = cfg.variant;
        let stem = stem(options.in_chans, cfg.stem_width, variant, vb)?;
        let stem_tap = vb.pp("stem").tap();
        let mut stages = Vec::with_capacity(cfg.layers.len());
        let mut width = cfg.stem_width;
        for (stage, (&count, &channels)) in cfg.layers.iter().zip(&cfg.channels).enumerate() {
            let stage_vb = vb.pp(format_args!("layer{}", stage + 1));
            let mut blocks = Vec::with_capacity(count);
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let shape = (width, channels, stride);
                let block = Residual::new(cfg.block, variant, shape, &stage_vb.pp(i))?;
                blocks.push(Arc::new(block));
                width = channels * cfg.block.expansion();
            }
            let tap = stage_vb.tap();
            stages.push(Stage { blocks, tap });
        }
        let init = Init::torch_default(width);
        let fc = Linear::new(width, options.num_classes, [init; 2], &vb.pp("fc"))?;
        Ok(Self {
            stem,
            stem_tap,
            stages,
            width,
            fc,
        })
    }
}

impl Network for ResNet {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = in_turn(&self.stem, &Tracked::constant(x), mode)?;
        let x = taps.take(self.stem_tap, x); // (B, 64, H/2, W/2)
        let mut x = max_pool2d(&x, &STEM_POOL)?; // (B, 64, H/4, W/4)
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

fn conv(i: usize, o: usize, kernel: usize, stride: usize, vb: &Builder) -> Result<Conv2d> {
    let init = Init::kaiming_fan_out([o, i, kernel, kernel]);
    Conv2d::same([i, o], kernel, stride, init, vb)
}

fn stem(
    channels: usize,
    width: usize,
    variant: Variant,
    vb: &Builder,
) -> Result<Vec<(Conv2d, BatchNorm2d)>> {
    let norm = |c, vb: &Builder| BatchNorm2d::new(c, Init::Ones, Activation::Relu, vb);
    let conv1 = vb.pp("conv1");
    match variant {
        Variant::Standard => {
            let first = conv(channels, width, 7, 2, &conv1)?;
            Ok(vec![(first, norm(width, &vb.pp("bn1"))?)])
        }
        Variant::D => {
            let half = width / 2;
            let first = conv(channels, half, 3, 2, &conv1.pp(0))?;
            let first = (first, norm(half, &conv1.pp(1))?);
            let second = conv(half, half, 3, 1, &conv1.pp(3))?;
            let second = (second, norm(half, &conv1.pp(4))?);
            let third = conv(half, width, 3, 1, &conv1.pp(6))?;
            Ok(vec![first, second, (third, norm(width, &vb.pp("bn1"))?)])
        }
    }
}

fn in_turn(layers: &[(Conv2d, BatchNorm2d)], x: &Tracked, mode: Mode) -> Result<Tracked> {
    let mut x = x.clone();
    for (conv, norm) in layers {
        x = norm.forward(&conv.forward(&x)?, mode)?;
    }
    Ok(x)
}

/// `relu(branch(x) + shortcut(x))`.
#[derive(Debug)]
struct Residual {
    branch: Vec<(Conv2d, BatchNorm2d)>,
    /// The branch's end, whose normalisation the shortcut is added to.
    last: (Conv2d, BatchNorm2d),
    shortcut: Option<Shortcut>,
    tap: Tap,
}

impl Residual {
    /// `shape`: channels of the input, of the branch before it widens, and the stride.
    fn new(
        block: Block,
        variant: Variant,
        (i, channels, stride): (usize, usize, usize),
        vb: &Builder,
    ) -> Result<Self> {
        let o = channels * block.expansion();
        // (in, out, kernel, stride) of each convolution
        let shapes = match block {
            Block::Basic => vec![(i, channels, 3, stride), (channels, o, 3, 1)],
            Block::Bottleneck => vec![
                (i, channels, 1, 1),
                (channels, channels, 3, stride),
                (channels, o, 1, 1),
            ],
        };
        let count = shapes.len();
        let layer = |(n, (i, o, kernel, stride))| {
            let conv = conv(i, o, kernel, stride, &vb.pp(format_args!("conv{}", n + 1)))?;
            // timm's `zero_init_last`: a fresh block is the identity.
            let init = if n + 1 == count {
                Init::Zeros
            } else {
                Init::Ones
            };
            let vb = vb.pp(format_args!("bn{}", n + 1));
            Ok((conv, BatchNorm2d::new(o, init, Activation::Relu, &vb)?))
        };
        let layers = shapes.into_iter().enumerate().map(layer);
        let mut branch = layers.collect::<Result<Vec<_>>>()?;
        let Some(last) = branch.pop() else {
            bail!("a residual block without layers");
        };
        let shortcut = if stride != 1 || i != o {
            Some(Shortcut::new(variant, [i, o], stride, vb)?)
        } else {
            None
        };
        Ok(Self {
            branch,
            last,
            shortcut,
            tap: vb.tap(),
        })
    }

    fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        let y = in_turn(&self.branch, x, mode)?;
        let (conv, norm) = &self.last;
        let y = conv.forward(&y)?;
        match &self.shortcut {
            Some(shortcut) => norm.forward_add(&y, Some(&shortcut.forward(x, mode)?), mode),
            None => norm.forward_add(&y, Some(x), mode),
        }
    }
}

/// Brings a block's input to the size and width of its result.
#[derive(Debug)]
struct Shortcut {
    pool: Option<AvgPool2dConfig>,
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Shortcut {
    fn new(variant: Variant, [i, o]: [usize; 2], stride: usize, vb: &Builder) -> Result<Self> {
        let vb = vb.pp("downsample");
        // The pool has a place of its own in timm's names.
        let (at, pool, stride) = match variant {
            Variant::Standard => (0, None, stride),
            Variant::D if stride == 1 => (1, None, 1),
            Variant::D => {
                let pool = AvgPool2dConfig {
                    kernel_size: 2,
                    stride,
                    ceil_mode: true,
                };
                (1, Some(pool), 1)
            }
        };
        Ok(Self {
            pool,
            conv: conv(i, o, 1, stride, &vb.pp(at))?,
            norm: BatchNorm2d::new(o, Init::Ones, Activation::Identity, &vb.pp(at + 1))?,
        })
    }

    fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        let x = match &self.pool {
            Some(pool) => &avg_pool2d(x, pool)?,
            None => x,
        };
        self.norm.forward(&self.conv.forward(x)?, mode)
    }
}
