//! DenseNet, as `timm.models.densenet`.

use crate::{
    init::Init,
    layers::{BatchNorm2d, Conv2d, Linear, Mode, STEM_POOL},
    model::Network,
    params::Builder,
};
use candle_core::{Result, Tensor};
use cass_ops::{Activation, AvgPool2dConfig, Tracked, avg_pool2d, max_pool2d};

/// Shape of a DenseNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenseNetConfig {
    /// Channels that each layer adds.
    pub growth_rate: usize,
    /// Layers a block; the first convolution gives twice the growth rate.
    pub block_config: &'static [usize],
}

impl DenseNetConfig {
    /// `timm.models.densenet121`.
    pub const fn densenet121() -> Self {
        Self {
            growth_rate: 32,
            block_config: &[6, 12, 24, 16],
        }
    }

    /// `timm.models.densenet161`.
    pub const fn densenet161() -> Self {
        Self {
            growth_rate: 48,
            block_config: &[6, 12, 36, 24],
        }
    }
}

/// Width of a layer's bottleneck over its growth.
pub(crate) const BN_SIZE: usize = 4;
/// Pixels left over at the border are dropped.
const TRANSITION_POOL: AvgPool2dConfig = AvgPool2dConfig {
    kernel_size: 2,
    stride: 2,
    ceil_mode: false,
};

/// A densely connected network with its classifier.
#[derive(Debug)]
pub(crate) struct DenseNet {
    conv0: Conv2d,
    norm0: BatchNorm2d,
    blocks: Vec<DenseBlock>,
    norm5: BatchNorm2d,
    width: usize,
    classifier: Linear,
}

impl DenseNet {
    pub(crate) fn new(cfg: &DenseNetConfig, num_classes: usize, vb: &Builder) -> Result<Self> {
        let features = vb.pp("features");
        let mut width = 2 * cfg.growth_rate;
        let conv0 = conv(3, width, 7, 2, &features.pp("conv0"))?;
        let norm0 = norm(width, &features.pp("norm0"))?;
        let mut blocks = Vec::with_capacity(cfg.block_config.len());
        for (i, &layers) in cfg.block_config.iter().enumerate() {
            let is_last = i + 1 == cfg.block_config.len();
            let block = DenseBlock::new(width, layers, cfg.growth_rate, i + 1, is_last, &features)?;
            blocks.push(block);
            width += layers * cfg.growth_rate;
            if !is_last {
                width /= 2;
            }
        }
        let norm5 = norm(width, &features.pp("norm5"))?;
        let init = [Init::torch_default(width), Init::Zeros];
        let classifier = Linear::new(width, num_classes, init, &vb.pp("classifier"))?;
        Ok(Self {
            conv0,
            norm0,
            blocks,
            norm5,
            width,
            classifier,
        })
    }
}

impl Network for DenseNet {
    fn classifier(&self) -> &'static [&'static str] {
        &["classifier.weight", "classifier.bias"]
    }

    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, mode: Mode) -> Result<Tracked> {
        let x = self.conv0.forward(&Tracked::constant(x))?;
        let x = self.norm0.forward(&x, mode)?; // (B, 2 growth, H/2, W/2)
        let mut x = max_pool2d(&x, &STEM_POOL)?; // (B, 2 growth, H/4, W/4)
        for block in &self.blocks {
            x = block.forward(x, mode)?;
        }
        let x = self.norm5.forward(&x, mode)?; // (B, D, H/32, W/32)
        x.mean_pixels()
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        self.classifier.forward(features)
    }
}

fn conv(i: usize, o: usize, kernel: usize, stride: usize, vb: &Builder) -> Result<Conv2d> {
    let init = Init::kaiming_fan_in([o, i, kernel, kernel]);
    Conv2d::same([i, o], kernel, stride, init, vb)
}

fn norm(channels: usize, vb: &Builder) -> Result<BatchNorm2d> {
    BatchNorm2d::new(channels, Init::Ones, Activation::Relu, vb)
}

/// Layers that each see what all before them gave, then, but for the last block, a transition to
/// half the channels at half the size.
#[derive(Debug)]
struct DenseBlock {
    layers: Vec<[(BatchNorm2d, Conv2d); 2]>,
    transition: Option<(BatchNorm2d, Conv2d)>,
}

impl DenseBlock {
    fn new(
        i: usize,
        layers: usize,
        growth: usize,
        number: usize,
        is_last: bool,
        vb: &Builder,
    ) -> Result<Self> {
        let block_vb = vb.pp(format_args!("denseblock{number}"));
        let (width, inner) = (i + layers * growth, BN_SIZE * growth);
        let layer = |n: usize| {
            let vb = block_vb.pp(format_args!("denselayer{}", n + 1));
            let i = i + n * growth;
            Ok([
                (
                    norm(i, &vb.pp("norm1"))?,
                    conv(i, inner, 1, 1, &vb.pp("conv1"))?,
                ),
                (
                    norm(inner, &vb.pp("norm2"))?,
                    conv(inner, growth, 3, 1, &vb.pp("conv2"))?,
                ),
            ])
        };
        let layers = (0..layers).map(layer).collect::<Result<_>>()?;
        let transition = if is_last {
            None
        } else {
            let vb = vb.pp(format_args!("transition{number}"));
            let norm = norm(width, &vb.pp("norm"))?;
            Some((norm, conv(width, width / 2, 1, 1, &vb.pp("conv"))?))
        };
        Ok(Self { layers, transition })
    }

    /// `(B, C, H, W)` → `(B, C + layers growth, H, W)`, or half of each behind a transition
    fn forward(&self, mut x: Tracked, mode: Mode) -> Result<Tracked> {
        for layer in &self.layers {
            let mut y = x.clone();
            for (norm, conv) in layer {
                y = conv.forward(&norm.forward(&y, mode)?)?;
            }
            x = Tracked::cat(&[&x, &y], 1)?;
        }
        match &self.transition {
            Some((norm, conv)) => {
                avg_pool2d(&conv.forward(&norm.forward(&x, mode)?)?, &TRANSITION_POOL)
            }
            None => Ok(x),
        }
    }
}
