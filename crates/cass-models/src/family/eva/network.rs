use super::EvaConfig;
use crate::family::Network;
use crate::family::transformer::{LINEAR, LayerScale, Mlp, PatchEmbed, add_branch, prefixed};
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{LayerNorm, Linear, Mode};
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor, bail};
use cass_ops::Tracked;
use cass_ops::nn::{attention, attention_weights, linear, rotary};
use std::sync::Arc;

/// timm's `head_init_scale`.
const HEAD_SCALE: f64 = 0.001;

/// A Vision Transformer with rotary positions and its classifier.
#[derive(Debug)]
pub(super) struct Eva {
    /// `(1, n, D)` each: class token, registers.
    prefix: Vec<Tracked>,
    patch_embed: PatchEmbed,
    patch_embed_tap: Tap,
    blocks: Vec<Arc<Block>>,
    norm: LayerNorm,
    norm_tap: Tap,
    head: Linear,
    width: usize,
}

impl Eva {
    pub(super) fn new(cfg: &EvaConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let d = cfg.embed_dim;
        let heads = cfg.num_heads;
        if heads == 0 || !d.is_multiple_of(4 * heads) {
            bail!("{d} values a token do not divide among {heads} heads of a multiple of 4 values");
        }
        let side = PatchEmbed::side_of(options.input_size, cfg.patch_size)?;
        let normal = Init::Normal { std: 0.02 };
        let mut prefix = vec![vb.parameter("cls_token", &[1, 1, d], normal)?];
        if cfg.num_reg_tokens > 0 {
            let shape = [1, cfg.num_reg_tokens, d];
            prefix.push(vb.parameter("reg_token", &shape, normal)?);
        }
        let embed_vb = vb.pp("patch_embed");
        let patch_embed = PatchEmbed::new(options, cfg.patch_size, d, true, &embed_vb)?;
        let angles = angles(side, d / heads, cfg.rope_temperature);
        let angles = Tensor::from_vec(angles, (side * side, d / heads / 2), &options.device)?;
        let turn = [angles.sin()?, angles.cos()?].map(|t| t.to_dtype(options.dtype));
        let [sin, cos] = turn;
        let turn = [sin?, cos?];
        let blocks_vb = vb.pp("blocks");
        let blocks = (0..cfg.depth)
            .map(|i| Block::new(cfg, i, &turn, &blocks_vb.pp(i)).map(Arc::new))
            .collect::<Result<_>>()?;
        let head_init = [
            Init::Normal {
                std: 0.02 * HEAD_SCALE,
            },
            Init::Zeros,
        ];
        Ok(Self {
            prefix,
            patch_embed_tap: embed_vb.tap(),
            patch_embed,
            blocks,
            norm: LayerNorm::new(d, cfg.eps, &vb.pp("norm"))?,
            norm_tap: vb.pp("norm").tap(),
            head: Linear::new(d, options.num_classes, head_init, &vb.pp("head"))?,
            width: d,
        })
    }

    /// `(B, C, S, S)` → tokens `(B, prefix + (S/p)², D)`
    fn embed(&self, x: &Tensor, taps: &mut Collector) -> Result<Tracked> {
        let x = taps.take(self.patch_embed_tap, self.patch_embed.forward(x)?);
        prefixed(&self.prefix, x)
    }
}

impl Network for Eva {
    fn feature_dim(&self) -> usize {
        self.width
    }

    fn features(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        let mut x = self.embed(x, taps)?;
        for block in &self.blocks {
            x = taps.block(block, &x, Block::forward)?;
        }
        taps.show(self.norm_tap, || {
            self.norm.forward(&x).map(Tracked::into_value)
        })?;
        let n = x.dims()[1];
        let before: usize = self.prefix.iter().map(|token| token.dims()[1]).sum();
        // Rows are normalised one by one, so the patches alone are enough.
        self.norm
            .forward(&x.narrow(1, before, n - before)?)?
            .mean(1)
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        self.head.forward(features)
    }
}

/// The angle of each pair of values of a head at each patch, `(side², width / 2)`: `2π` times the place of the patch's
/// centre in -1..1, down and then across, over one period after the other. timm computes places and periods in f32
/// whatever the network's precision.
fn angles(side: usize, width: usize, temperature: f64) -> Vec<f64> {
    let quarter = width / 4;
    let periods = (0..quarter).map(|i| {
        let exponent = 2.0 * i as f32 / (width / 2) as f32;
        f64::from(temperature.powf(f64::from(exponent)) as f32)
    });
    let periods: Vec<f64> = periods.collect();
    let place = |i: usize| f64::from(2.0 * ((i as f32 + 0.5) / side as f32) - 1.0);
    let mut angles = Vec::with_capacity(side * side * width / 2);
    for row in 0..side {
        for column in 0..side {
            for at in [place(row), place(column)] {
                angles.extend(periods.iter().map(|p| std::f64::consts::TAU * at / p));
            }
        }
    }
    angles
}

/// `x + gamma_1 attn(norm1(x))`, then `x + gamma_2 mlp(norm2(x))`.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Tracked,
    /// Of queries and of values; keys have none.
    biases: Option<[Tracked; 2]>,
    /// Sines and cosines of the patches' angles, `(P, D/2)`.
    turn: [Tensor; 2],
    proj: Linear,
    gamma_1: LayerScale,
    norm2: LayerNorm,
    mlp: Mlp,
    gamma_2: LayerScale,
    num_heads: usize,
    attn_tap: Tap,
    tap: Tap,
}

impl Block {
    fn new(cfg: &EvaConfig, place: usize, turn: &[Tensor; 2], vb: &Builder) -> Result<Self> {
        let d = cfg.embed_dim;
        let attn = vb.pp("attn");
        // timm's `fix_init_weight`: what ends a branch begins smaller, block after block.
        let end = Init::Normal {
            std: 0.02 / (2.0 * (place + 1) as f64).sqrt(),
        };
        let end = [end, Init::Zeros];
        let bias = |name: &str| attn.parameter(name, &[d], Init::Zeros);
        let biases = match cfg.qkv_bias {
            true => Some([bias("q_bias")?, bias("v_bias")?]),
            false => None,
        };
        let scale = |name: &str| LayerScale::named(name, d, cfg.init_values, vb);
        Ok(Self {
            norm1: LayerNorm::new(d, cfg.eps, &vb.pp("norm1"))?,
            qkv: attn.pp("qkv").parameter("weight", &[3 * d, d], LINEAR[0])?,
            biases,
            turn: turn.clone(),
            proj: Linear::new(d, d, end, &attn.pp("proj"))?,
            gamma_1: scale("gamma_1")?,
            norm2: LayerNorm::new(d, cfg.eps, &vb.pp("norm2"))?,
            mlp: Mlp::ending(d, cass_ops::nn::gelu, end, &vb.pp("mlp"))?,
            gamma_2: scale("gamma_2")?,
            num_heads: cfg.num_heads,
            attn_tap: attn.tap(),
            tap: vb.tap(),
        })
    }

    /// `(B, N, D)` → the same
    fn forward(&self, x: &Tracked, taps: &mut Collector) -> Result<Tracked> {
        let ([sin, cos], heads) = (&self.turn, self.num_heads);
        let bias = match &self.biases {
            Some([q, v]) => {
                let none = Tracked::constant(&q.value().zeros_like()?);
                Some(Tracked::cat(&[q, &none, v], 0)?)
            }
            None => None,
        };
        let qkv = linear(&self.norm1.forward(x)?, &self.qkv, bias.as_ref())?; // (B, N, 3D)
        let qkv = rotary(&qkv, heads, sin, cos)?;
        let attended = attention(&qkv, heads)?;
        taps.show(self.attn_tap, || attention_weights(qkv.value(), heads))?;
        let x = add_branch(&self.proj, Some(&self.gamma_1), &attended, x)?;
        let hidden = self.mlp.hidden(&self.norm2.forward(&x)?)?;
        let x = add_branch(&self.mlp.fc2, Some(&self.gamma_2), &hidden, &x)?;
        Ok(taps.take(self.tap, x))
    }
}
