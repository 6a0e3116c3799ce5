//! What Vision Transformers and Swin share.

use crate::{init::Init, layers::Linear, params::Builder};
use candle_core::{Result, Tensor, bail};
use cass_ops::Tracked;

/// timm's `init_weights_vit_timm`: `trunc_normal_(std=.02)` and zero.
pub(crate) const LINEAR: [Init; 2] = [Init::Normal { std: 0.02 }, Init::Zeros];

const MLP_RATIO: usize = 4;

/// `timm.layers.PatchEmbed` of square images of one size.
#[derive(Debug)]
pub(crate) struct PatchEmbed {
    weight: Tracked,
    bias: Tracked,
    side: usize,
    patch_size: usize,
}

impl PatchEmbed {
    /// Images of `input_size` px a side, in patches of `patch_size` px, to `width` values each.
    pub(crate) fn new(
        input_size: usize,
        patch_size: usize,
        width: usize,
        vb: &Builder,
    ) -> Result<Self> {
        let p = patch_size;
        let vb = vb.pp("proj");
        let init = Init::torch_default(3 * p * p);
        Ok(Self {
            weight: vb.parameter("weight", &[width, 3, p, p], init)?,
            bias: vb.parameter("bias", &[width], init)?,
            side: Self::side_of(input_size, patch_size)?,
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

    /// `(B, 3, S, S)` → `(B, (S/p)², D)`: a convolution whose windows do not overlap is one matrix
    /// product over the patches.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tracked> {
        let (b, c, h, w) = x.dims4()?;
        let (n, p) = (self.side, self.patch_size);
        let s = n * p;
        if (c, h, w) != (3, s, s) {
            bail!("image is ({c}, {h}, {w}), the network was built for (3, {s}, {s})");
        }
        let patches = x
            .reshape((b, c, n, p, n, p))?
            .permute((0, 2, 4, 1, 3, 5))? // (B, S/p, S/p, 3, p, p)
            .reshape((b, n * n, c * p * p))?;
        let width = self.bias.dims()[0];
        let weight = self.weight.reshape((width, c * p * p))?;
        cass_ops::linear(&Tracked::constant(&patches), &weight, Some(&self.bias))
    }
}

/// `timm.layers.Mlp`: four times as wide between two linear maps.
#[derive(Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    pub(crate) fn new(width: usize, vb: &Builder) -> Result<Self> {
        Ok(Self {
            fc1: Linear::new(width, MLP_RATIO * width, LINEAR, &vb.pp("fc1"))?,
            fc2: Linear::new(MLP_RATIO * width, width, LINEAR, &vb.pp("fc2"))?,
        })
    }

    /// `(B, N, D)` → the same, with `residual (B, N, D)` added
    pub(crate) fn forward_add(&self, x: &Tracked, residual: &Tracked) -> Result<Tracked> {
        let x = cass_ops::gelu(&self.fc1.forward(x)?)?;
        self.fc2.forward_add(&x, residual)
    }
}
