//! ResNet, as `timm.models.resnet`.

use crate::{
    init::Init,
    layers::{BatchNorm2d, Conv2d, Linear, Mode},
    model::Network,
    params::Builder,
};
use candle_core::{D, Result, Tensor};
use cass_ops::{Activation, MaxPool2dConfig, add_relu, max_pool2d};

/// Kind of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 and a 1x1 that widens fourfold.
    Bottleneck,
}

impl Block {
    fn expansion(self) -> usize {
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
    /// Width of the stem.
    pub stem_width: usize,
}

impl ResNetConfig {
    const fn standard(block: Block, layers: [usize; 4]) -> Self {
        Self {
            block,
            layers,
            channels: [64, 128, 256, 512],
            stem_width: 64,
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
}

/// A residual network with its classifier.
#[derive(Debug)]
pub(crate) struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    blocks: Vec<Residual>,
    width: usize,
    fc: Linear,
}

const STEM_POOL: MaxPool2dConfig = MaxPool2dConfig {
    kernel_size: 3,
    stride: 2,
    padding: 1,
};

impl ResNet {
    pub(crate) fn new(cfg: &ResNetConfig, num_classes: usize, vb: &Builder) -> Result<Self> {
        let stem = cfg.stem_width;
        let conv1 = Conv2d::same(3, stem, 7, 2, &vb.pp("conv1"))?;
        let bn1 = BatchNorm2d::new(stem, Init::Ones, Activation::Relu, &vb.pp("bn1"))?;
        let mut blocks = Vec::new();
        let mut width = stem;
        for (stage, (&count, &channels)) in cfg.layers.iter().zip(&cfg.channels).enumerate() {
            let stage_vb = vb.pp(format_args!("layer{}", stage + 1));
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let block = Residual::new(cfg.block, width, channels, stride, &stage_vb.pp(i))?;
                blocks.push(block);
                width = channels * cfg.block.expansion();
            }
        }
        let init = Init::torch_default(width);
        let fc = Linear::new(width, num_classes, [init; 2], &vb.pp("fc"))?;
        Ok(Self {
            conv1,
            bn1,
            blocks,
            width,
            fc,
        })
    }
}

impl Network for ResNet {
    fn classifier(&self) -> &'static [&'static str] {
        &["fc.weight", "fc.bias"]
    }

    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.bn1.forward(&self.conv1.forward(x)?, mode)?; // (B, 64, H/2, W/2)
        let mut x = max_pool2d(&x, &STEM_POOL)?; // (B, 64, H/4, W/4)
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        x.flatten_from(2)?.mean(D::Minus1) // (B, D, H/32, W/32) → (B, D)
    }

    fn classify(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.forward(features)
    }
}

/// `relu(branch(x) + shortcut(x))`.
#[derive(Debug)]
struct Residual {
    branch: Vec<(Conv2d, BatchNorm2d)>,
    shortcut: Option<(Conv2d, BatchNorm2d)>,
}

impl Residual {
    fn new(block: Block, i: usize, channels: usize, stride: usize, vb: &Builder) -> Result<Self> {
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
        let last = shapes.len() - 1;
        let mut branch = Vec::with_capacity(shapes.len());
        for (n, (i, o, kernel, stride)) in shapes.into_iter().enumerate() {
            let conv = Conv2d::same(i, o, kernel, stride, &vb.pp(format_args!("conv{}", n + 1)))?;
            // timm's `zero_init_last`: a fresh block is the identity.
            let (init, activation) = if n == last {
                (Init::Zeros, Activation::Identity)
            } else {
                (Init::Ones, Activation::Relu)
            };
            let norm = BatchNorm2d::new(o, init, activation, &vb.pp(format_args!("bn{}", n + 1)))?;
            branch.push((conv, norm));
        }
        let shortcut = if stride != 1 || i != o {
            let vb = vb.pp("downsample");
            let conv = Conv2d::same(i, o, 1, stride, &vb.pp(0))?;
            let norm = BatchNorm2d::new(o, Init::Ones, Activation::Identity, &vb.pp(1))?;
            Some((conv, norm))
        } else {
            None
        };
        Ok(Self { branch, shortcut })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut y = x.clone();
        for (conv, norm) in &self.branch {
            y = norm.forward(&conv.forward(&y)?, mode)?;
        }
        match &self.shortcut {
            Some((conv, norm)) => add_relu(&y, &norm.forward(&conv.forward(x)?, mode)?),
            None => add_relu(&y, x),
        }
    }
}
