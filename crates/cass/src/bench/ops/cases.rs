//! The operations, at the shapes they have in the paper's networks.

use super::case::{Candles, Case, Input, Ours};
use super::measure::Measured;
use super::updates::Update;
use candle_core::{D, Result, Tensor};
use candle_nn::{BatchNorm, LayerNorm, Linear, Module, ModuleT, ops};
use cass_ops::nn::{
    Activation, AvgPool2dConfig, Conv2dConfig, MaxPool2dConfig, attention, avg_pool2d,
    batch_norm_train, conv2d, gelu, layer_norm, linear, linear_add, max_pool2d, window_attention,
};
use cass_train::methods::{DinoConfig, dino_loss};

/// An operation to measure; its input is drawn when its turn comes.
pub enum Entry {
    Op(Case),
    Update(Update),
}

impl Entry {
    pub fn op(&self) -> &'static str {
        match self {
            Self::Op(case) => case.op,
            Self::Update(update) => update.op(),
        }
    }

    /// The operation, if it is one that has values and gradients.
    pub fn case(&self) -> Option<&Case> {
        match self {
            Self::Op(case) => Some(case),
            Self::Update(_) => None,
        }
    }

    pub fn measure(self, repeats: u64) -> Result<Vec<Measured>> {
        match self {
            Self::Op(case) => case.measure(repeats),
            Self::Update(update) => update.measure(repeats),
        }
    }
}

/// All of them, for this many images.
pub fn all(b: usize) -> Vec<Entry> {
    let mut cases = convolutions(b);
    cases.extend([batch_norm(b, false), batch_norm(b, true)]);
    cases.extend(pools(b));
    // ViT-Base at 384 pixels: 24 x 24 patches and the class token, 12 heads of 64.
    let (tokens, width) = (577, 768);
    cases.extend(layer_norms(b, tokens, width));
    cases.push(gelus(b, tokens, 4 * width));
    cases.push(attentions(b, tokens, 12, 64));
    // Swin-Base at 384 pixels, first stage: 8 x 8 windows of 12 x 12 tokens, 4 heads of 32.
    cases.push(windows(b, 64, 144, 4, 32));
    cases.push(linears("linear", b, tokens, [width, 4 * width], false));
    cases.push(linears(
        "linear + residual",
        b,
        tokens,
        [4 * width, width],
        true,
    ));
    cases.push(dino_losses(b));
    let cases = cases.into_iter().map(Entry::Op);
    cases.chain(Update::ALL.map(Entry::Update)).collect()
}

/// ResNet-50's kinds of convolution at 224 pixels, and ViT-Base's at 384.
fn convolutions(b: usize) -> Vec<Case> {
    let conv = |op, [i, o]: [usize; 2], kernel: usize, stride, size: usize, image: bool| {
        let padding = if image && kernel == stride {
            0
        } else {
            kernel / 2
        };
        let config = Conv2dConfig {
            stride,
            padding,
            groups: 1,
        };
        let out = (size + 2 * padding - kernel) / stride + 1;
        let x: &[usize] = &[b, i, size, size];
        let x = if image {
            Input::constant(x)
        } else {
            Input::trained(x)
        };
        let fan_in = i * kernel * kernel;
        let weight = Input::trained(&[o, i, kernel, kernel]);
        Case {
            op,
            inputs: vec![x, weight.scaled((fan_in as f64).powf(-0.5))],
            ours: Box::new(move |t| conv2d(&t[0], &t[1], &config)),
            candle: (
                "conv2d",
                Box::new(move |t| t[0].conv2d(&t[1], padding, stride, 1, 1)),
            ),
            multiply_adds: b * o * out * out * fan_in,
        }
    };
    vec![
        conv("conv2d 1x1", [64, 256], 1, 1, 56, false),
        conv("conv2d 1x1 stride 2", [256, 512], 1, 2, 56, false),
        conv("conv2d 3x3 wide", [64, 64], 3, 1, 56, false),
        conv("conv2d 3x3 deep", [512, 512], 3, 1, 7, false),
        conv("conv2d 3x3 stride 2", [128, 128], 3, 2, 56, false),
        conv("conv2d 7x7 stem", [3, 64], 7, 2, 224, true),
        conv("conv2d patch embedding", [3, 768], 16, 16, 384, true),
    ]
}

fn batch_norm(b: usize, residual: bool) -> Case {
    const EPS: f64 = 1e-5;
    let (c, size) = (256, 56);
    let images: &[usize] = &[b, c, size, size];
    let mut inputs = vec![
        Input::trained(images),
        Input::trained(&[c]),
        Input::trained(&[c]),
    ];
    if residual {
        inputs.push(Input::trained(images));
    }
    Case {
        op: if residual {
            "batch_norm + residual + relu"
        } else {
            "batch_norm + relu"
        },
        inputs,
        ours: Box::new(|t| {
            let relu = Activation::Relu;
            let (y, _) = batch_norm_train(&t[0], &t[1], &t[2], t.get(3), EPS, relu)?;
            Ok(y)
        }),
        candle: (
            "BatchNorm, add, relu",
            Box::new(move |t| {
                let (mean, var) = (t[1].detach().zeros_like()?, t[1].detach().ones_like()?);
                let (weight, bias) = (t[1].clone(), t[2].clone());
                let norm = BatchNorm::new(c, mean, var, weight, bias, EPS)?;
                let y = norm.forward_t(&t[0], true)?;
                match t.get(3) {
                    Some(residual) => (y + residual)?.relu(),
                    None => y.relu(),
                }
            }),
        ),
        multiply_adds: 0,
    }
}

fn pools(b: usize) -> Vec<Case> {
    let pool = |op, [c, h, w]: [usize; 3], ours: Ours, what, candle: Candles| Case {
        op,
        // Behind a ReLU: Candle pads with zeros, which must not win.
        inputs: vec![Input::trained(&[b, c, h, w]).positive()],
        ours,
        candle: (what, candle),
        multiply_adds: 0,
    };
    let stem = MaxPool2dConfig {
        kernel_size: 3,
        stride: 2,
        padding: 1,
    };
    let halves = AvgPool2dConfig {
        kernel_size: 2,
        stride: 2,
        ceil_mode: false,
    };
    vec![
        pool(
            "max_pool2d 3/2",
            [64, 112, 112],
            Box::new(move |t| max_pool2d(&t[0], &stem)),
            "pad, max_pool2d",
            Box::new(|t| {
                let padded = t[0].pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
                padded.max_pool2d_with_stride(3, 2)
            }),
        ),
        pool(
            "avg_pool2d 2/2",
            [256, 56, 56],
            Box::new(move |t| avg_pool2d(&t[0], &halves)),
            "avg_pool2d",
            Box::new(|t| t[0].avg_pool2d(2)),
        ),
        pool(
            "mean over pixels",
            [2048, 12, 12],
            Box::new(|t| t[0].mean_pixels()),
            "mean",
            Box::new(|t| t[0].mean((2, 3))),
        ),
    ]
}

/// Against Candle's fast one, and against the one that can be trained.
fn layer_norms(b: usize, tokens: usize, width: usize) -> Vec<Case> {
    const EPS: f64 = 1e-6;
    let case = |what, candle: Candles| Case {
        op: "layer_norm",
        inputs: vec![
            Input::trained(&[b, tokens, width]),
            Input::trained(&[width]),
            Input::trained(&[width]),
        ],
        ours: Box::new(|t| layer_norm(&t[0], &t[1], &t[2], EPS)),
        candle: (what, candle),
        multiply_adds: 0,
    };
    vec![
        case(
            "LayerNorm",
            Box::new(|t| LayerNorm::new(t[1].clone(), t[2].clone(), EPS).forward(&t[0])),
        ),
        case(
            "layer_norm_slow",
            Box::new(|t| ops::layer_norm_slow(&t[0], &t[1], &t[2], EPS as f32)),
        ),
    ]
}

fn gelus(b: usize, tokens: usize, width: usize) -> Case {
    Case {
        op: "gelu",
        inputs: vec![Input::trained(&[b, tokens, width])],
        ours: Box::new(|t| gelu(&t[0])),
        candle: ("gelu_erf", Box::new(|t| t[0].gelu_erf())),
        multiply_adds: 0,
    }
}

fn attentions(b: usize, tokens: usize, heads: usize, depth: usize) -> Case {
    Case {
        op: "attention",
        inputs: vec![Input::trained(&[b, tokens, 3 * heads * depth])],
        ours: Box::new(move |t| attention(&t[0], heads)),
        candle: (
            "matmul, softmax, matmul",
            Box::new(move |t| softmax_attention(&t[0], heads, Ok)),
        ),
        multiply_adds: 2 * b * heads * tokens * tokens * depth,
    }
}

fn windows(b: usize, windows: usize, tokens: usize, heads: usize, depth: usize) -> Case {
    Case {
        op: "window attention",
        inputs: vec![
            Input::trained(&[b * windows, tokens, 3 * heads * depth]),
            Input::trained(&[heads, tokens, tokens]),
            Input::constant(&[windows, tokens, tokens]),
        ],
        ours: Box::new(move |t| window_attention(&t[0], heads, &t[1], Some(t[2].value()))),
        candle: (
            "matmul, add, softmax, matmul",
            Box::new(move |t| {
                softmax_attention(&t[0], heads, |scores| {
                    // (B * windows, heads, N, N)
                    let shape = scores.shape().clone();
                    let scores = scores.broadcast_add(&t[1])?;
                    let scores = scores.reshape((b, windows, heads, tokens, tokens))?;
                    scores.broadcast_add(&t[2].unsqueeze(1)?)?.reshape(shape)
                })
            }),
        ),
        multiply_adds: 2 * b * windows * heads * tokens * tokens * depth,
    }
}

/// Attention as a Vision Transformer is written with Candle.
fn softmax_attention(
    qkv: &Tensor,
    heads: usize,
    add: impl Fn(Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (b, n, width) = qkv.dims3()?;
    let depth = width / (3 * heads);
    let qkv = qkv.reshape((b, n, 3, heads, depth))?;
    let qkv = qkv.permute((2, 0, 3, 1, 4))?.contiguous()?; // (3, B, heads, N, D)
    let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
    let scores = (q * (depth as f64).powf(-0.5))?.matmul(&k.t()?)?; // (B, heads, N, N)
    let weights = ops::softmax(&add(scores)?, D::Minus1)?;
    let out = weights.matmul(&v)?.transpose(1, 2)?; // (B, N, heads, D)
    out.reshape((b, n, heads * depth))
}

fn linears(op: &'static str, b: usize, tokens: usize, [i, o]: [usize; 2], residual: bool) -> Case {
    let mut inputs = vec![
        Input::trained(&[b, tokens, i]),
        Input::trained(&[o, i]).scaled((i as f64).powf(-0.5)),
        Input::trained(&[o]),
    ];
    if residual {
        inputs.push(Input::trained(&[b, tokens, o]));
    }
    Case {
        op,
        inputs,
        ours: Box::new(|t| match t.get(3) {
            Some(residual) => linear_add(&t[0], &t[1], Some(&t[2]), Some(residual)),
            None => linear(&t[0], &t[1], Some(&t[2])),
        }),
        candle: (
            if residual { "Linear, add" } else { "Linear" },
            Box::new(|t| {
                let y = Linear::new(t[1].clone(), Some(t[2].clone())).forward(&t[0])?;
                match t.get(3) {
                    Some(residual) => y + residual,
                    None => Ok(y),
                }
            }),
        ),
        multiply_adds: b * tokens * i * o,
    }
}

/// The softmax and cross-entropy over DINO's outputs.
fn dino_losses(b: usize) -> Case {
    let DinoConfig {
        num_classes_k: k,
        teacher_temp,
        student_temp,
        ..
    } = DinoConfig::default();
    Case {
        op: "soft cross-entropy",
        inputs: vec![
            Input::trained(&[b, k]),
            Input::constant(&[b, k]).scaled(0.1),
            Input::constant(&[1, k]).scaled(0.1),
        ],
        ours: Box::new(move |t| {
            let (teacher, centers) = (t[1].value(), t[2].value());
            dino_loss(teacher, &t[0], centers, teacher_temp, student_temp)
        }),
        candle: (
            "softmax, log_softmax",
            Box::new(move |t| {
                let teacher = (t[1].broadcast_sub(&t[2])? / teacher_temp)?;
                let target = ops::softmax(&teacher, D::Minus1)?;
                let log_p = ops::log_softmax(&(&t[0] / student_temp)?, D::Minus1)?;
                (target * log_p)?.sum(D::Minus1)?.mean(0)?.neg()
            }),
        ),
        multiply_adds: 0,
    }
}
