use super::{VitConfig, VitPool};
use crate::family::Network;
use crate::family::transformer::{LINEAR, LayerScale, Mlp, PatchEmbed, add_branch, prefixed};
use crate::init::Init;
use crate::intermediates::{Collector, Tap};
use crate::layers::{LayerNorm, Linear, Mode};
use crate::options::ModelOptions;
use crate::params::Builder;
use crate::resample::{Resampled, resample_abs_pos_embed};
use candle_core::{Result, Tensor, bail};
use cass_ops::Tracked;
use cass_ops::nn::{attention, attention_weights};
use std::sync::Arc;

/// A Vision Transformer with its classifier, or a distilled DeiT with its two.
#[derive(Debug)]
pub(super) struct VisionTransformer {
    /// `(1, n, D)` each: class token, distillation token, registers.
    prefix: Vec<Tracked>,
    pos_embed: Tracked,
    /// Whether the prefix has positions.
    prefix_has_positions: bool,
    patch_embed: PatchEmbed,
    patch_embed_tap: Tap,
    norm_pre: Option<LayerNorm>,
    blocks: Vec<Arc<Block>>,
    norm: LayerNorm,
    /// Whether it follows the pool.
    norm_follows_pool: bool,
    norm_tap: Tap,
    pool: VitPool,
    /// Classifiers: one for each token that is read, or a single one.
    heads: Vec<Linear>,
    /// Taps of the classifiers, where there are two.
    head_taps: Vec<Tap>,
}

impl VisionTransformer {
    pub(super) fn new(cfg: &VitConfig, options: &ModelOptions, vb: &Builder) -> Result<Self> {
        let d = cfg.embed_dim;
        if cfg.num_heads == 0 || !d.is_multiple_of(cfg.num_heads) {
            bail!(
                "{d} values a token do not divide among {} heads",
                cfg.num_heads
            );
        }
        if !cfg.class_token && (cfg.global_pool == VitPool::Token || cfg.distilled) {
            bail!("global_pool=token needs the class token");
        }
        if cfg.distilled && cfg.global_pool == VitPool::Avg {
            bail!("the two classifiers of a distilled DeiT see tokens: expected global_pool=token");
        }
        let patches = PatchEmbed::side_of(options.input_size, cfg.patch_size)?.pow(2);
        let before = match cfg.no_embed_class {
            true => 0,
            false => cfg.prefix_tokens(),
        };
        let normal = |std| Init::Normal { std };
        let mut prefix = Vec::new();
        if cfg.class_token {
            prefix.push(vb.parameter("cls_token", &[1, 1, d], normal(1e-6))?);
        }
        if cfg.reg_tokens > 0 {
            let shape = [1, cfg.reg_tokens, d];
            prefix.push(vb.parameter("reg_token", &shape, normal(1e-6))?);
        }
        let pos_embed = vb.parameter("pos_embed", &[1, before + patches, d], normal(0.02))?;
        if cfg.distilled {
            prefix.insert(1, vb.parameter("dist_token", &[1, 1, d], normal(0.02))?);
        }
        let embed_vb = vb.pp("patch_embed");
        let patch_embed = PatchEmbed::new(options, cfg.patch_size, d, !cfg.pre_norm, &embed_vb)?;
        let patch_embed_tap = embed_vb.tap();
        let norm_pre = cfg
            .pre_norm
            .then(|| LayerNorm::new(d, cfg.eps, &vb.pp("norm_pre")));
        let norm_pre = norm_pre.transpose()?;
        let blocks_vb = vb.pp("blocks");
        let blocks = (0..cfg.depth)
            .map(|i| Block::new(cfg, &blocks_vb.pp(i)).map(Arc::new))
            .collect::<Result<_>>()?;
        let norm_follows_pool = cfg.norm_follows_pool();
        let norm_name = if norm_follows_pool { "fc_norm" } else { "norm" };
        let norm = LayerNorm::new(d, cfg.eps, &vb.pp(norm_name))?;
        let norm_tap = vb.pp("norm").tap();
        let names = &["head", "head_dist"][..1 + usize::from(cfg.distilled)];
        let head_vbs: Vec<_> = names.iter().map(|name| vb.pp(name)).collect();
        let heads = head_vbs
            .iter()
            .map(|vb| Linear::new(d, options.num_classes, LINEAR, vb));
        let heads = heads.collect::<Result<_>>()?;
        let head_taps = match &head_vbs[..] {
            [_] => Vec::new(), // its output are the logits
            several => several.iter().map(Builder::tap).collect(),
        };
        Ok(Self {
            prefix,
            pos_embed,
            prefix_has_positions: !cfg.no_embed_class,
            patch_embed,
            patch_embed_tap,
            norm_pre,
            blocks,
            norm,
            norm_follows_pool,
            norm_tap,
            pool: cfg.global_pool,
            heads,
            head_taps,
        })
    }

    /// `(B, C, S, S)` → what the classifiers see, `(B, D)` each
    fn pooled(&self, x: &Tensor, taps: &mut Collector) -> Result<Vec<Tracked>> {
        let mut x = self.embed(x, taps)?;
        for block in &self.blocks {
            x = taps.block(block, &x, Block::forward)?;
        }
        taps.show(self.norm_tap, || match self.norm_follows_pool {
            true => Ok(x.value().clone()),
            false => self.norm.forward(&x).map(Tracked::into_value),
        })?;
        let (b, n, d) = x.value().dims3()?;
        match self.pool {
            VitPool::Token => {
                // Rows are normalised one by one, so these tokens alone are enough.
                let of = |i| self.norm.forward(&x.narrow(1, i, 1)?.reshape((b, d))?);
                (0..self.heads.len()).map(of).collect()
            }
            VitPool::Avg => {
                let before: usize = self.prefix.iter().map(|token| token.dims()[1]).sum();
                let patches = x.narrow(1, before, n - before)?;
                let pooled = match self.norm_follows_pool {
                    true => self.norm.forward(&patches.mean(1)?)?,
                    false => self.norm.forward(&patches)?.mean(1)?,
                };
                Ok(vec![pooled])
            }
        }
    }

    /// `(B, C, S, S)` → tokens `(B, prefix + (S/p)², D)`
    fn embed(&self, x: &Tensor, taps: &mut Collector) -> Result<Tracked> {
        let x = taps.take(self.patch_embed_tap, self.patch_embed.forward(x)?);
        let x = match self.prefix_has_positions {
            true => x,
            false => x.broadcast_add(&self.pos_embed)?,
        };
        let mut tokens = prefixed(&self.prefix, x)?;
        if self.prefix_has_positions {
            tokens = tokens.broadcast_add(&self.pos_embed)?;
        }
        match &self.norm_pre {
            Some(norm) => norm.forward(&tokens),
            None => Ok(tokens),
        }
    }
}

impl Network for VisionTransformer {
    fn feature_dim(&self) -> usize {
        self.pos_embed.dims()[2]
    }

    fn features(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<Tracked> {
        mean(self.pooled(x, taps)?)
    }

    fn classify(&self, features: &Tracked) -> Result<Tracked> {
        let logits = self.heads.iter().map(|head| head.forward(features));
        mean(logits.collect::<Result<_>>()?)
    }

    /// Every head sees its own token, and the logits are their mean, in training too.
    fn forward(&self, x: &Tensor, _mode: Mode, taps: &mut Collector) -> Result<[Tracked; 2]> {
        let pooled = self.pooled(x, taps)?;
        let pairs = self.heads.iter().zip(&pooled);
        let logits = pairs.map(|(head, seen)| head.forward(seen));
        let mut logits: Vec<_> = logits.collect::<Result<_>>()?;
        for (&tap, logits) in self.head_taps.iter().zip(&mut logits) {
            *logits = taps.take(tap, logits.clone());
        }
        Ok([mean(pooled)?, mean(logits)?])
    }

    fn resample(&self, name: &str, value: &Tensor, _: &[usize]) -> Result<Option<Resampled>> {
        if name != "pos_embed" || value.rank() != 3 {
            return Ok(None);
        }
        let side = self.patch_embed.side();
        let before = self.pos_embed.dims()[1] - side * side;
        resample_abs_pos_embed(value, side, before)
    }
}

/// Of one tensor or two.
fn mean(tensors: Vec<Tracked>) -> Result<Tracked> {
    match &tensors[..] {
        [a, b] => a.broadcast_add(b)?.scale(0.5),
        _ => Ok(tensors[0].clone()),
    }
}

/// `x + ls1(attn(norm1(x)))`, then `x + ls2(mlp(norm2(x)))`.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    ls1: Option<LayerScale>,
    norm2: LayerNorm,
    mlp: Mlp,
    ls2: Option<LayerScale>,
    num_heads: usize,
    attn_tap: Tap,
    tap: Tap,
}

impl Block {
    fn new(cfg: &VitConfig, vb: &Builder) -> Result<Self> {
        let d = cfg.embed_dim;
        let attn = vb.pp("attn");
        let scale = |name: &str| {
            let scale = cfg.init_values.map(|v| LayerScale::new(d, v, &vb.pp(name)));
            scale.transpose()
        };
        let act = if cfg.quick_gelu {
            cass_ops::nn::quick_gelu
        } else {
            cass_ops::nn::gelu
        };
        Ok(Self {
            norm1: LayerNorm::new(d, cfg.eps, &vb.pp("norm1"))?,
            qkv: Linear::new(d, 3 * d, LINEAR, &attn.pp("qkv"))?,
            proj: Linear::new(d, d, LINEAR, &attn.pp("proj"))?,
            ls1: scale("ls1")?,
            norm2: LayerNorm::new(d, cfg.eps, &vb.pp("norm2"))?,
            mlp: Mlp::new(d, act, &vb.pp("mlp"))?,
            ls2: scale("ls2")?,
            num_heads: cfg.num_heads,
            attn_tap: attn.tap(),
            tap: vb.tap(),
        })
    }

    /// `(B, N, D)` → the same
    fn forward(&self, x: &Tracked, taps: &mut Collector) -> Result<Tracked> {
        let (qkv, heads) = (self.qkv.forward(&self.norm1.forward(x)?)?, self.num_heads); // (B, N, 3D)
        let attended = attention(&qkv, heads)?;
        taps.show(self.attn_tap, || attention_weights(qkv.value(), heads))?;
        let x = add_branch(&self.proj, self.ls1.as_ref(), &attended, x)?;
        let hidden = self.mlp.hidden(&self.norm2.forward(&x)?)?;
        let x = add_branch(&self.mlp.fc2, self.ls2.as_ref(), &hidden, &x)?;
        Ok(taps.take(self.tap, x))
    }
}
