//! From resized pixels to the views that a network sees.
//!
//! Drawing and applying are apart: what is drawn by [`cass_rng::Rng`], as torchvision's `get_params`
//! draw it, is a list of `transform::Drawn` (for DINO a `dino::DinoDraw`); applying it is a function
//! of pixels alone.

mod byol;
pub(crate) mod color;
pub(crate) mod crop;
mod crops;
pub(crate) mod dino;
pub(crate) mod geometry;
pub(crate) mod normalize;
mod paper;
pub(crate) mod planes;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod transform;

pub use normalize::Normalization;
pub use transform::Transform;

use crate::Result;
use crate::error::expect;
use std::borrow::Cow;
use std::sync::Arc;

/// What is done to an image between its file and the network.
///
/// As text, in recipes and arguments, it is a name. In recipes it may be a list of transforms, too, or a list
/// of views, each a name or a list of transforms: `["paper", "paper"]`.
///
/// ```
/// use cass_data::augment::Pipeline;
/// let pipeline: Pipeline = "paper-blur".parse().unwrap();
/// assert_eq!(pipeline, Pipeline::PaperBlur);
/// assert!("blur".parse::<Pipeline>().unwrap_err().to_string().contains("paper-blur-solarize"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Pipeline {
    /// `paper`: the paper's augmentation (appendix E.1.2), one view, drawn for every image: colour
    /// jitter and perspective, colour jitter and rotation, flips; on 8-bit pixels, as torchvision
    /// works on PIL images. Without hue, as in the authors' code.
    Paper,
    /// `paper-hue`: the same with a hue of 0.2, as by the paper's text.
    PaperHue,
    /// `paper-solarize`: the paper's, then solarised: table 7.
    PaperSolarize,
    /// `paper-blur`: the paper's, then blurred: table 7.
    PaperBlur,
    /// `paper-blur-solarize`: the paper's, then blurred and solarised: table 7.
    PaperBlurSolarize,
    /// `crops`: the augmentation of contrastive methods, one view, drawn for every image: a crop, a flip, colour
    /// jitter, grey, blur, milder than MoCo v2 has them; on 8-bit pixels, as torchvision works on PIL images.
    Crops,
    /// `eval`: resize and normalise, one view.
    Eval,
    /// `dino`: the views of `vit_pytorch.Dino` 0.35.8 by default: two augmentations, a local and a
    /// global crop of each; four views in the order local 1, local 2, global 1, global 2. As there,
    /// the parameters are drawn once a *batch* and the arithmetic is that of float tensors.
    Dino,
    /// `byol`: the two views of BYOL (Grill et al. 2020, appendix B), which are VICReg's and Barlow Twins', too:
    /// both cropped, flipped, jittered and at times grey, the first always blurred, the second seldom, and at
    /// times solarised.
    Byol,
    /// Any transforms, one view, drawn for every image, on 8-bit pixels.
    Transforms(Arc<[Transform]>),
    /// Several views, each by a pipeline of one view.
    Views(Arc<[Pipeline]>),
}

impl Pipeline {
    /// The names there are.
    pub const NAMES: &[&str] = &[
        "paper",
        "paper-hue",
        "paper-solarize",
        "paper-blur",
        "paper-blur-solarize",
        "crops",
        "eval",
        "dino",
        "byol",
    ];

    /// How many views it makes of an image.
    pub fn views(&self) -> usize {
        match self {
            Self::Dino => 4,
            _ => self.transforms().len(),
        }
    }

    /// The transforms of each view that is drawn for every image by itself, as none of [`Dino`](Self::Dino) is.
    pub fn transforms(&self) -> Vec<Cow<'_, [Transform]>> {
        let paper_and =
            |others: &[Transform]| vec![Cow::Owned([&paper::paper(0.0)[..], others].concat())];
        match self {
            Self::Paper => paper_and(&[]),
            Self::PaperHue => vec![Cow::Owned(paper::paper(0.2))],
            Self::PaperSolarize => paper_and(&[paper::solarize(0.2)]),
            Self::PaperBlur => paper_and(&[paper::blur(0.5)]),
            Self::PaperBlurSolarize => paper_and(&[paper::blur(0.5), paper::solarize(0.2)]),
            Self::Crops => vec![Cow::Owned(crops::crops())],
            Self::Eval => vec![Cow::Borrowed(&[])],
            Self::Dino => vec![],
            Self::Byol => byol::byol().map(Cow::Owned).into(),
            Self::Transforms(transforms) => vec![Cow::Borrowed(transforms)],
            Self::Views(views) => views.iter().flat_map(Self::transforms).collect(),
        }
    }

    /// Says whether every transform's arguments are in their ranges, for images of `size` x `size`, and whether
    /// each of several views is one.
    ///
    /// # Errors
    /// Naming the first argument that is not, its value and what was expected.
    pub fn check(&self, size: usize) -> Result<()> {
        if let Self::Views(views) = self {
            for view in views.iter() {
                let fits = view.views() == 1;
                expect("view", view, fits, "a pipeline of one view, such as paper")?;
            }
        }
        let views = self.transforms();
        let mut transforms = views.iter().flat_map(|view| view.iter());
        transforms.try_for_each(|transform| transform.check(size))
    }
}
