//! DenseNet, as `timm.models.densenet`.

use super::{Family, LastMap, ModelConfig, Network, Place, Readout};
use crate::cost::Cost;
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{BatchNorm2d, Conv2d, Linear, Mode, STEM_POOL};
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor};
use cass_ops::Tracked;
use cass_ops::nn::{Activation, AvgPool2dConfig, avg_pool2d, max_pool2d};
use std::sync::Arc;

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
const BN_SIZE: usize = 4;
/// Pixels left over at the border are dropped.
const TRANSITION_POOL: AvgPool2dConfig = AvgPool2dConfig {
    kernel_size: 2,
    stride: 2,
    ceil_mode: false,
};

impl Family for DenseNetConfig {
    fn build(&self, options: &ModelOptions, vb: &Builder) -> Result<Box<dyn Network>> {
        Ok(Box::new(DenseNet::new(self, options, vb)?))
    }

    fn cost(&self, input_size: usize, in_chans: usize, num_classes: usize) -> Cost {
        let mut cost = Cost::default();
        let (growth, mut side) = (self.growth_rate, input_size.div_ceil(2));
        let (inner, mut width) = (BN_SIZE * growth, 2 * growth);
        cost.conv(in_chans, width, 7, side);
        cost.norm(width);
        side = side.div_ceil(2);
        for (block, &layers) in self.block_config.iter().enumerate() {
            if block > 0 {
                cost.norm(width);
                cost.conv(width, width / 2, 1, side);
                (width, side) = (width / 2, side / 2);
            }
            for _ in 0..layers {
                cost.norm(width);
                cost.conv(width, inner, 1, side);
                cost.norm(inner);
                cost.conv(inner, growth, 3, side);
                width += growth;
            }
        }
        cost.norm(width);
        cost.linear(width, num_classes, 1);
        cost
    }

    fn classifier(&self) -> &'static [&'static str] {
        &["classifier"]
    }

    fn first_conv(&self) -> &'static str {
        "features.conv0"
    }

    fn readout(&self) -> Readout {
        Readout::Map(LastMap {
            name: "features.norm5",
            channels_last: false,
        })
    }

    /// Dense blocks and transitions.
    fn is_layer(&self, name: &str) -> bool {
        !name.contains("denselayer")
    }

    fn place(&self, parameter: &str) -> Place {
        let parts: Vec<&str> = parameter.split('.').collect();
        let number = |part: &str| part.trim_start_matches(char::is_alphabetic).to_owned();
        match parts[..] {
            ["features", stage, block, ..] if stage.starts_with("denseblock") => {
                Place::block(&number(stage), &number(block))
            }
            ["features", stage, ..] if stage.starts_with("transition") => {
                Place::block(&number(stage), &usize::MAX.to_string())
            }
            ["classifier", ..] | ["features", "norm5", ..] => Place::Head,
            _ => Place::Stem,
        }
    }

    fn shrunk(&self) -> ModelConfig {
        ModelConfig::DenseNet(Self {
            growth_rate: 4,
            block_config: &[1, 1],
        })
    }
}

/// A densely connected network with its classifier.
#[derive(Debug)]
pub(crate) struct DenseNet {
    conv0: Conv2d,
    norm0: BatchNorm2d,
    norm0_tap: Tap,
    /// The last has no transition behind it.
    blocks: Vec<(Arc<DenseBlock>, Option<Transition>)>,
    norm5: BatchNorm2d,
    norm5_tap: Tap,
    width: usize,
    classifier: Linear,
}

impl DenseNet {
    fn new(cfg: &DenseNetConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let features = vb.pp("features");
        let mut width = 2 * cfg.growth_rate;
        let conv0 = conv(options.in_chans, width, 7, 2, &features.pp("conv0"))?;
        let norm0_vb = features.pp("norm0");
        let norm0 = norm(width, &norm0_vb)?;
        let norm0_tap = norm0_vb.tap();
        let mut blocks = Vec::with_capacity(cfg.block_config.len());
        for (i, &layers) in cfg.block_config.iter().enumerate() {
            let vb = features.pp(format_args!("denseblock{}", i + 1));
            let block = DenseBlock::new(width, layers, cfg.growth_rate, &vb)?;
            width += layers * cfg.growth_rate;
            let transition = if i + 1 < cfg.block_config.len() {
                let vb = features.pp(format_args!("transition{}", i + 1));
                let transition = Transition::new(width, &vb)?;
                width /= 2;
                Some(transition)
            } else {
                None
            };
            blocks.push((Arc::new(block), transition));
        }
        let norm5_vb = features.pp("norm5");
        let norm5 = norm(width, &norm5_vb)?;
        let init = [Init::torch_default(width), Init::Zeros];
        let classifier = Linear::new(width, options.num_classes, init, &vb.pp("classifier"))?;
        Ok(Self {
            conv0,
            norm0,
            norm0_tap,
            blocks,
            norm5,
            norm5_tap: norm5_vb.tap(),
            width,
            classifier,
        })
    }
}

impl Network for DenseNet {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = self.conv0.forward(&Tracked::constant(x))?;
        let x = taps.take(self.norm0_tap, self.norm0.forward(&x, mode)?); // (B, 2 growth, H/2, W/2)
        let mut x = max_pool2d(&x, &STEM_POOL)?; // (B, 2 growth, H/4, W/4)
        for (block, transition) in &self.blocks {
            x = taps.block(block, &x, move |block, x, taps| {
                block.forward(x, mode, taps)
            })?;
            if let Some(transition) = transition {
                x = transition.forward(&x, mode, taps)?;
            }
        }
        let x = taps.take(self.norm5_tap, self.norm5.forward(&x, mode)?); // (B, D, H/32, W/32)
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

/// Layers that each see what all before them gave.
#[derive(Debug)]
struct DenseBlock {
    layers: Vec<DenseLayer>,
    tap: Tap,
}

impl DenseBlock {
    fn new(i: usize, layers: usize, growth: usize, vb: &Builder) -> Result<Self> {
        let layer = |n: usize| {
            let vb = vb.pp(format_args!("denselayer{}", n + 1));
            DenseLayer::new(i + n * growth, growth, &vb)
        };
        Ok(Self {
            layers: (0..layers).map(layer).collect::<Result<_>>()?,
            tap: vb.tap(),
        })
    }

    /// `(B, C, H, W)` → `(B, C + layers growth, H, W)`
    fn forward(&self, x: &Tracked, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let mut x = x.clone();
        for layer in &self.layers {
            let new = layer.forward(&x, mode, taps)?;
            x = Tracked::cat(&[&x, &new], 1)?;
        }
        Ok(taps.take(self.tap, x))
    }
}

/// A bottleneck and a 3x3 convolution.
#[derive(Debug)]
struct DenseLayer {
    convs: [(BatchNorm2d, Conv2d); 2],
    tap: Tap,
}

impl DenseLayer {
    fn new(i: usize, growth: usize, vb: &Builder) -> Result<Self> {
        let inner = BN_SIZE * growth;
        let part = |n: usize, i, o, kernel| -> Result<_> {
            let norm = norm(i, &vb.pp(format_args!("norm{n}")))?;
            Ok((
                norm,
                conv(i, o, kernel, 1, &vb.pp(format_args!("conv{n}")))?,
            ))
        };
        Ok(Self {
            convs: [part(1, i, inner, 1)?, part(2, inner, growth, 3)?],
            tap: vb.tap(),
        })
    }

    /// `(B, C, H, W)` → what it adds, `(B, growth, H, W)`
    fn forward(&self, x: &Tracked, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let mut x = x.clone();
        for (norm, conv) in &self.convs {
            x = conv.forward(&norm.forward(&x, mode)?)?;
        }
        Ok(taps.take(self.tap, x))
    }
}

/// To half the channels at half the size.
#[derive(Debug)]
struct Transition {
    norm: BatchNorm2d,
    conv: Conv2d,
    tap: Tap,
}

impl Transition {
    fn new(i: usize, vb: &Builder) -> Result<Self> {
        Ok(Self {
            norm: norm(i, &vb.pp("norm"))?,
            conv: conv(i, i / 2, 1, 1, &vb.pp("conv"))?,
            tap: vb.tap(),
        })
    }

    /// `(B, C, H, W)` → `(B, C/2, H/2, W/2)`
    fn forward(&self, x: &Tracked, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = self.conv.forward(&self.norm.forward(x, mode)?)?;
        Ok(taps.take(self.tap, avg_pool2d(&x, &TRANSITION_POOL)?))
    }
}
