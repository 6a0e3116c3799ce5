//! What Transformers share.

use crate::init::Init;
use crate::layers::Linear;
use crate::options::ModelOptions;
use crate::params::Builder;
use candle_core::{Result, Tensor, bail};
use cass_ops::Tracked;

/// timm's `init_weights_vit_timm`: `trunc_normal_(std=.02)` and zero.
pub(crate) const LINEAR: [Init; 2] = [Init::Normal { std: 0.02 }, Init::Zeros];

const MLP_RATIO: usize = 4;

/// `timm.layers.PatchEmbed` of square images of one size.
#[derive(Debug)]
pub(crate) struct PatchEmbed {
    weight: Tracked,
    bias: Option<Tracked>,
    side: usize,
    patch_size: usize,
}

impl PatchEmbed {
    /// The options' images in patches of `patch_size` px, to `width` values each.
    pub(crate) fn new(
        options: &ModelOptions,
        patch_size: usize,
        width: usize,
        bias: bool,
        vb: &Builder,
    ) -> Result<Self> {
        let (p, channels) = (patch_size, options.in_chans);
        let vb = vb.pp("proj");
        let init = Init::torch_default(channels * p * p);
        let weight = vb.parameter("weight", &[width, channels, p, p], init)?;
        let bias = bias.then(|| vb.parameter("bias", &[width], init));
        Ok(Self {
            weight,
            bias: bias.transpose()?,
            side: Self::side_of(options.input_size, patch_size)?,
            patch_size,
        })
    }

    /// Patches a side of an image of `input_size` px, which must be a multiple of the patch.
    pub(crate) fn side_of(input_size: usize, patch_size: usize) -> Result<usize> {
        if input_size == 0 || !input_size.is_multiple_of(patch_size) {
            bail!("an input of {input_size} px does not divide into patches of {patch_size} px");
        }
        Ok(input_size / patch_size)
    }

    /// Patches a side.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// `(B, C, S, S)` → `(B, (S/p)², D)`: a convolution whose windows do not overlap is one matrix
    /// product over the patches.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tracked> {
        let (b, c, h, w) = x.dims4()?;
        let (n, p) = (self.side, self.patch_size);
        let (s, &[width, channels, ..]) = (n * p, self.weight.dims()) else {
            bail!("the patch embedding is no convolution");
        };
        if (c, h, w) != (channels, s, s) {
            bail!("image is ({c}, {h}, {w}), the network was built for ({channels}, {s}, {s})");
        }
        let patches = Tracked::constant(x)
            .reshape((b, c, n, p, n, p))?
            .permute(&[0, 2, 4, 1, 3, 5])? // (B, S/p, S/p, C, p, p)
            .reshape((b, n * n, c * p * p))?;
        let weight = self.weight.reshape((width, c * p * p))?;
        cass_ops::nn::linear(&patches, &weight, self.bias.as_ref())
    }
}

/// Tokens that are the same for every image, each `(1, n, D)`, before the patches `(B, N, D)` → `(B, n + N, D)`.
pub(crate) fn prefixed(prefix: &[Tracked], patches: Tracked) -> Result<Tracked> {
    let images = patches.value().dim(0)?;
    let spread = |token: &Tracked| token.repeat_first(images);
    let mut tokens = prefix.iter().map(spread).collect::<Result<Vec<_>>>()?;
    tokens.push(patches);
    Tracked::cat(&tokens.iter().collect::<Vec<_>>(), 1)
}

/// `timm.layers.Mlp`: four times as wide between two linear maps.
#[derive(Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    act: Act,
    pub(crate) fc2: Linear,
}

/// A function of every element.
pub(crate) type Act = fn(&Tracked) -> Result<Tracked>;

impl Mlp {
    pub(crate) fn new(width: usize, act: Act, vb: &Builder) -> Result<Self> {
        Self::ending(width, act, LINEAR, vb)
    }

    /// The same, where the second map begins otherwise.
    pub(crate) fn ending(width: usize, act: Act, end: [Init; 2], vb: &Builder) -> Result<Self> {
        Ok(Self {
            fc1: Linear::new(width, MLP_RATIO * width, LINEAR, &vb.pp("fc1"))?,
            act,
            fc2: Linear::new(MLP_RATIO * width, width, end, &vb.pp("fc2"))?,
        })
    }

    /// `(B, N, D)` → what `fc2` sees, `(B, N, 4 D)`
    pub(crate) fn hidden(&self, x: &Tracked) -> Result<Tracked> {
        (self.act)(&self.fc1.forward(x)?)
    }

    /// `(B, N, D)` → the same, with `residual (B, N, D)` added
    pub(crate) fn forward_add(&self, x: &Tracked, residual: &Tracked) -> Result<Tracked> {
        self.fc2.forward_add(&self.hidden(x)?, residual)
    }
}

/// `timm.layers.LayerScale`: a factor a channel, which begins small.
#[derive(Debug)]
pub(crate) struct LayerScale {
    gamma: Tracked,
}

impl LayerScale {
    pub(crate) fn new(width: usize, value: f64, vb: &Builder) -> Result<Self> {
        Self::named("gamma", width, value, vb)
    }

    /// The same under another name.
    pub(crate) fn named(name: &str, width: usize, value: f64, vb: &Builder) -> Result<Self> {
        let gamma = vb.parameter(name, &[width], Init::Constant { value })?;
        Ok(Self { gamma })
    }
}

/// The end of a residual branch: `residual + scale(linear(x))`.
pub(crate) fn add_branch(
    linear: &Linear,
    scale: Option<&LayerScale>,
    x: &Tracked,
    residual: &Tracked,
) -> Result<Tracked> {
    match scale {
        None => linear.forward_add(x, residual),
        Some(scale) => cass_ops::nn::scale_add(&linear.forward(x)?, &scale.gamma, residual),
    }
}
