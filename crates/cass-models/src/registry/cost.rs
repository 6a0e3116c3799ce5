//! What a network costs, counted from its shape.

use super::ModelConfig;
use crate::{
    densenet::{self, DenseNetConfig},
    resnet::{Block, ResNetConfig},
    swin::SwinConfig,
    vit::VitConfig,
};

/// Parameters, and the work of one forward pass on one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Trainable values.
    pub parameters: usize,
    /// Multiply-adds of convolutions, linear layers and attention, the rest being small beside them:
    /// half of what torch's `FlopCounterMode` counts.
    pub macs: usize,
}

impl Cost {
    /// Floating-point operations in 10⁹, two a multiply-add.
    pub fn gflops(&self) -> f64 {
        2.0 * self.macs as f64 / 1e9
    }

    /// Square kernels without bias, to a map of `side` x `side`.
    fn conv(&mut self, i: usize, o: usize, kernel: usize, side: usize) {
        let weights = i * o * kernel * kernel;
        self.parameters += weights;
        self.macs += weights * side * side;
    }

    /// Weight and bias of each channel.
    fn norm(&mut self, channels: usize) {
        self.parameters += 2 * channels;
    }

    /// With bias, on `rows` vectors.
    fn linear(&mut self, i: usize, o: usize, rows: usize) {
        self.parameters += i * o + o;
        self.macs += i * o * rows;
    }

    /// `groups` times attention among `tokens` of `width` values, and the linear layers around it.
    fn attention(&mut self, width: usize, tokens: usize, groups: usize) {
        let rows = groups * tokens;
        self.linear(width, 3 * width, rows);
        self.macs += 2 * rows * tokens * width;
        self.linear(width, width, rows);
    }

    fn mlp(&mut self, width: usize, rows: usize) {
        self.linear(width, 4 * width, rows);
        self.linear(4 * width, width, rows);
    }
}

impl ModelConfig {
    /// What the network costs on square images of `input_size` px with `num_classes` outputs. An
    /// input size that the network does not take is rounded as the layers round.
    pub fn cost(&self, input_size: usize, num_classes: usize) -> Cost {
        match self {
            Self::ResNet(c) => resnet(c, false, input_size, num_classes),
            Self::ResNetD(c) => resnet(c, true, input_size, num_classes),
            Self::DenseNet(c) => densenet(c, input_size, num_classes),
            Self::Vit(c) => vit(c, 1, input_size, num_classes),
            Self::DistilledVit(c) => vit(c, 2, input_size, num_classes),
            Self::Swin(c) => swin(c, input_size, num_classes),
        }
    }
}

fn resnet(cfg: &ResNetConfig, deep: bool, input_size: usize, num_classes: usize) -> Cost {
    let mut cost = Cost::default();
    let (mut width, mut side) = (cfg.stem_width, input_size.div_ceil(2));
    let stem = match (deep, width / 2) {
        (false, _) => vec![(3, width, 7)],
        (true, half) => vec![(3, half, 3), (half, half, 3), (half, width, 3)],
    };
    for (i, o, kernel) in stem {
        cost.conv(i, o, kernel, side);
        cost.norm(o);
    }
    side = side.div_ceil(2);
    for (stage, (&count, &c)) in cfg.layers.iter().zip(&cfg.channels).enumerate() {
        for block in 0..count {
            let halves = stage > 0 && block == 0;
            let (before, o) = (side, c * cfg.block.expansion());
            side = if halves { side.div_ceil(2) } else { side };
            let branch = match cfg.block {
                Block::Basic => vec![(width, c, 3, side), (c, o, 3, side)],
                Block::Bottleneck => vec![(width, c, 1, before), (c, c, 3, side), (c, o, 1, side)],
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

fn densenet(cfg: &DenseNetConfig, input_size: usize, num_classes: usize) -> Cost {
    let mut cost = Cost::default();
    let (growth, mut side) = (cfg.growth_rate, input_size.div_ceil(2));
    let (inner, mut width) = (densenet::BN_SIZE * growth, 2 * growth);
    cost.conv(3, width, 7, side);
    cost.norm(width);
    side = side.div_ceil(2);
    for (block, &layers) in cfg.block_config.iter().enumerate() {
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

fn vit(cfg: &VitConfig, prefix: usize, input_size: usize, num_classes: usize) -> Cost {
    let mut cost = Cost::default();
    let (d, patches) = (cfg.embed_dim, (input_size / cfg.patch_size).pow(2));
    let tokens = patches + prefix;
    cost.linear(3 * cfg.patch_size.pow(2), d, patches);
    cost.parameters += (prefix + tokens) * d; // the prefix itself and all positions
    for _ in 0..cfg.depth {
        cost.norm(d);
        cost.attention(d, tokens, 1);
        cost.norm(d);
        cost.mlp(d, tokens);
    }
    cost.norm(d);
    for _ in 0..prefix {
        cost.linear(d, num_classes, 1);
    }
    cost
}

fn swin(cfg: &SwinConfig, input_size: usize, num_classes: usize) -> Cost {
    let mut cost = Cost::default();
    let (mut width, mut side) = (cfg.embed_dim, input_size / cfg.patch_size);
    cost.linear(3 * cfg.patch_size.pow(2), width, side * side);
    cost.norm(width);
    for (stage, (&depth, &heads)) in cfg.depths.iter().zip(&cfg.num_heads).enumerate() {
        if stage > 0 {
            side = side.div_ceil(2);
            cost.norm(4 * width);
            cost.conv(4 * width, 2 * width, 1, side);
            width *= 2;
        }
        let window = cfg.window_size.min(side);
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
