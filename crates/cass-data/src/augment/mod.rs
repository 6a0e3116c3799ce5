//! From resized pixels to the views a network sees.
//!
//! Drawing and applying are apart: a `...Draw` holds the parameters, made by [`cass_ops::Rng`] as
//! torchvision's `get_params` make them; applying them is a function of pixels alone.

pub(crate) mod color;
pub(crate) mod dino;
pub(crate) mod geometry;
pub(crate) mod normalize;
pub(crate) mod paper;
pub(crate) mod planes;
#[cfg(test)]
mod tests;

/// What is done to an image between its file and the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipeline {
    /// The paper's augmentation (appendix E.1.2), one view, drawn for every image: colour jitter
    /// and perspective, colour jitter and rotation, flips; on 8-bit pixels, as torchvision works on
    /// PIL images.
    Paper,
    /// Resize and normalise, one view.
    Eval,
    /// The views of `vit_pytorch.Dino` 0.35.8 by default: two augmentations, a local and a global
    /// crop of each; four views in the order local 1, local 2, global 1, global 2. As there, the
    /// parameters are drawn once a *batch* and the arithmetic is that of float tensors.
    Dino,
}

impl Pipeline {
    /// How many views it makes of an image.
    pub fn views(self) -> usize {
        match self {
            Self::Paper | Self::Eval => 1,
            Self::Dino => 4,
        }
    }
}
