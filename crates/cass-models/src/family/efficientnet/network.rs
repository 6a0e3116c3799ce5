use super::blocks::{Block as Shape, Kind};
use super::{EfficientNetConfig, MobileHead};
use crate::family::Network;
use crate::family::squeeze::{SqueezeExcite, activate, pointwise};
use crate::family::stage::Stage;
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{BatchNorm2d, Conv2d, Linear, Mode, Padding};
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor};
use cass_ops::Tracked;
use cass_ops::nn::Activation;
use std::sync::Arc;

/// A mobile network with its classifier.
#[derive(Debug)]
pub(super) struct EfficientNet {
    stem: ConvNorm,
    stem_tap: Tap,
    stages: Vec<Stage<Block>>,
    head: Head,
    classifier: Linear,
    width: usize,
}

#[derive(Debug)]
enum Head {
    BeforePool(ConvNorm, Tap),
    BehindPool(Linear, Activation),
}

/// What all layers of a network have in common.
#[derive(Clone, Copy)]
struct Style {
    activation: Activation,
    padding: Padding,
    eps: f64,
}

impl EfficientNet {
    pub(super) fn new(
        cfg: &EfficientNetConfig,
        options: &ModelOptions,
        vb: &Builder,
    ) -> Result<Self> {
        let style = Style {
            activation: cfg.activation,
            padding: if cfg.tf { Padding::Same } else { Padding::Even },
            eps: if cfg.tf { 1e-3 } else { 1e-5 },
        };
        let stem_vb = vb.pp("bn1");
        let conv = style.conv([options.in_chans, cfg.stem], 3, 2, &vb.pp("conv_stem"))?;
        let stem = style.normed(conv, cfg.stem, style.activation, &stem_vb)?;
        let stem_tap = stem_vb.tap();
        let mut width = cfg.stem;
        let mut stages = Vec::new();
        for (i, shapes) in cfg.blocks()?.iter().enumerate() {
            let stage_vb = vb.pp("blocks").pp(i);
            let mut blocks = Vec::with_capacity(shapes.len());
            for (n, shape) in shapes.iter().enumerate() {
                let block = Block::new(cfg, style, shape, width, &stage_vb.pp(n))?;
                blocks.push(Arc::new(block));
                width = shape.channels;
            }
            let tap = stage_vb.tap();
            stages.push(Stage { blocks, tap });
        }
        let (features, head_vb) = (cfg.num_features, vb.pp("conv_head"));
        let head = match cfg.head {
            MobileHead::BeforePool => {
                let norm_vb = vb.pp("bn2");
                let conv = style.conv([width, features], 1, 1, &head_vb)?;
                let norm = style.normed(conv, features, style.activation, &norm_vb)?;
                Head::BeforePool(norm, norm_vb.tap())
            }
            MobileHead::BehindPool => {
                Head::BehindPool(pointwise(width, features, &head_vb)?, style.activation)
            }
        };
        let init = Init::torch_default(options.num_classes.max(1));
        let init = [init, Init::Zeros];
        let classifier = Linear::new(features, options.num_classes, init, &vb.pp("classifier"))?;
        Ok(Self {
            stem,
            stem_tap,
            stages,
            head,
            classifier,
            width: features,
        })
    }
}

impl Network for EfficientNet {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let x = self.stem.forward(&Tracked::constant(x), mode)?;
        let mut x = taps.take(self.stem_tap, x); // (B, C, H/2, W/2)
        for stage in &self.stages {
            x = stage.forward(x, taps, move |block, x, taps| {
                Ok(taps.take(block.tap, block.forward(x, mode)?))
            })?;
        }
        match &self.head {
            Head::BeforePool(conv, tap) => {
                let x = taps.take(*tap, conv.forward(&x, mode)?); // (B, D, H/32, W/32)
                x.mean_pixels()
            }
            Head::BehindPool(conv, activation) => {
                activate(&conv.forward(&x.mean_pixels()?)?, *activation)
            }
        }
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        self.classifier.forward(features)
    }
}

impl Style {
    fn conv(
        self,
        [i, o]: [usize; 2],
        kernel: usize,
        stride: usize,
        vb: &Builder,
    ) -> Result<Conv2d> {
        let init = Init::kaiming_fan_out_of_group(o, kernel, 1);
        Ok(Conv2d::same([i, o], kernel, stride, init, vb)?.padded(self.padding))
    }

    fn depthwise(
        self,
        channels: usize,
        kernel: usize,
        stride: usize,
        vb: &Builder,
    ) -> Result<Conv2d> {
        let init = Init::kaiming_fan_out_of_group(channels, kernel, channels);
        Ok(Conv2d::depthwise(channels, kernel, stride, init, vb)?.padded(self.padding))
    }

    fn normed(
        self,
        conv: Conv2d,
        channels: usize,
        activation: Activation,
        vb: &Builder,
    ) -> Result<ConvNorm> {
        let norm = BatchNorm2d::new(channels, Init::Ones, activation, vb)?;
        Ok(ConvNorm {
            conv,
            norm: norm.with_eps(self.eps),
        })
    }
}

/// A convolution and the normalisation behind it.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl ConvNorm {
    fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        self.norm.forward(&self.conv.forward(x)?, mode)
    }

    fn forward_add(&self, x: &Tracked, residual: Option<&Tracked>, mode: Mode) -> Result<Tracked> {
        self.norm
            .forward_add(&self.conv.forward(x)?, residual, mode)
    }
}

/// A block of any kind: convolutions, a gate, a last convolution, and the input added.
#[derive(Debug)]
struct Block {
    first: Vec<ConvNorm>,
    squeeze: Option<SqueezeExcite>,
    last: Option<ConvNorm>,
    has_skip: bool,
    tap: Tap,
}

impl Block {
    fn new(
        cfg: &EfficientNetConfig,
        style: Style,
        shape: &Shape,
        width: usize,
        vb: &Builder,
    ) -> Result<Self> {
        let style = match shape.relu {
            true => Style {
                activation: Activation::Relu,
                ..style
            },
            false => style,
        };
        let (middle, o) = (cfg.middle(shape, width), shape.channels);
        let (kernel, stride, act) = (shape.kernel, shape.stride, style.activation);
        let [bn1, bn2, bn3] = ["bn1", "bn2", "bn3"].map(|name| vb.pp(name));
        let squeeze = || {
            let squeezed = cfg.squeezed(shape, middle);
            let of = |to| gate(cfg, act, [middle, to], &vb.pp("se"));
            squeezed.map(of).transpose()
        };
        let (first, squeeze, last) = match shape.kind {
            Kind::Conv => {
                let conv = style.conv([width, o], kernel, stride, &vb.pp("conv"))?;
                (vec![style.normed(conv, o, act, &bn1)?], None, None)
            }
            Kind::DepthwiseSeparable => {
                let conv = style.depthwise(width, kernel, stride, &vb.pp("conv_dw"))?;
                let first = vec![style.normed(conv, width, act, &bn1)?];
                let squeeze = squeeze()?;
                let conv = style.conv([width, o], 1, 1, &vb.pp("conv_pw"))?;
                (first, squeeze, Some((conv, bn2)))
            }
            Kind::InvertedResidual => {
                let conv = style.conv([width, middle], 1, 1, &vb.pp("conv_pw"))?;
                let widened = style.normed(conv, middle, act, &bn1)?;
                let conv = style.depthwise(middle, kernel, stride, &vb.pp("conv_dw"))?;
                let first = vec![widened, style.normed(conv, middle, act, &bn2)?];
                let squeeze = squeeze()?;
                let conv = style.conv([middle, o], 1, 1, &vb.pp("conv_pwl"))?;
                (first, squeeze, Some((conv, bn3)))
            }
            Kind::EdgeResidual => {
                let conv = style.conv([width, middle], kernel, stride, &vb.pp("conv_exp"))?;
                let first = vec![style.normed(conv, middle, act, &bn1)?];
                let squeeze = squeeze()?;
                let conv = style.conv([middle, o], 1, 1, &vb.pp("conv_pwl"))?;
                (first, squeeze, Some((conv, bn2)))
            }
        };
        let last = last.map(|(conv, vb)| style.normed(conv, o, Activation::Identity, &vb));
        Ok(Self {
            first,
            squeeze,
            last: last.transpose()?,
            has_skip: shape.skip && stride == 1 && width == o,
            tap: vb.tap(),
        })
    }

    fn forward(&self, x: &Tracked, mode: Mode) -> Result<Tracked> {
        let mut y = x.clone();
        for layer in &self.first {
            y = layer.forward(&y, mode)?;
        }
        if let Some(squeeze) = &self.squeeze {
            y = squeeze.forward(&y)?;
        }
        match (&self.last, self.has_skip) {
            (Some(last), skip) => last.forward_add(&y, skip.then_some(x), mode),
            (None, true) => y.broadcast_add(x),
            (None, false) => Ok(y),
        }
    }
}

/// `timm.models._efficientnet_blocks.SqueezeExcite`.
fn gate(
    cfg: &EfficientNetConfig,
    activation: Activation,
    channels: [usize; 2],
    vb: &Builder,
) -> Result<SqueezeExcite> {
    let names = ["conv_reduce", "conv_expand"];
    match cfg.head {
        MobileHead::BehindPool => {
            let gate = SqueezeExcite::new(channels, names, Activation::Relu, vb)?;
            Ok(gate.hard())
        }
        MobileHead::BeforePool => SqueezeExcite::new(channels, names, activation, vb),
    }
}
