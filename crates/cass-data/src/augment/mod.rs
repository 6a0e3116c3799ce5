//! From resized pixels to the views that a network sees.
//!
//! Drawing and applying are apart: what is drawn by [`cass_rng::Rng`], as torchvision's `get_params`
//! draw it, is a list of `transform::Drawn` (for DINO a `dino::DinoDraw`); applying it is a function
//! of pixels alone.

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
pub(crate) mod transform;

pub use normalize::Normalization;
pub use transform::Transform;

use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What is done to an image between its file and the network.
///
/// As text, in recipes and arguments, it is a name; in recipes it may be a list of transforms, too.
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
    /// jitter, grey, blur, as MoCo v2 and SimCLR have them; on 8-bit pixels, as torchvision works on PIL images.
    Crops,
    /// `eval`: resize and normalise, one view.
    Eval,
    /// `dino`: the views of `vit_pytorch.Dino` 0.35.8 by default: two augmentations, a local and a
    /// global crop of each; four views in the order local 1, local 2, global 1, global 2. As there,
    /// the parameters are drawn once a *batch* and the arithmetic is that of float tensors.
    Dino,
    /// Any transforms, one view, drawn for every image, on 8-bit pixels.
    Transforms(Arc<[Transform]>),
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
    ];

    /// How many views it makes of an image.
    pub fn views(&self) -> usize {
        match self {
            Self::Dino => 4,
            _ => 1,
        }
    }

    /// The transforms of what is drawn for every image.
    pub fn transforms(&self) -> Cow<'_, [Transform]> {
        let paper_and =
            |others: &[Transform]| Cow::Owned([&paper::paper(0.0)[..], others].concat());
        match self {
            Self::Paper => paper_and(&[]),
            Self::PaperHue => Cow::Owned(paper::paper(0.2)),
            Self::PaperSolarize => paper_and(&[paper::solarize()]),
            Self::PaperBlur => paper_and(&[paper::blur()]),
            Self::PaperBlurSolarize => paper_and(&[paper::blur(), paper::solarize()]),
            Self::Crops => Cow::Owned(crops::crops()),
            Self::Eval | Self::Dino => Cow::Borrowed(&[]),
            Self::Transforms(transforms) => Cow::Borrowed(transforms),
        }
    }

    /// Says whether every transform's arguments are in their ranges, for images of `size` x `size`.
    ///
    /// # Errors
    /// Naming the first argument that is not, its value and what was expected.
    pub fn check(&self, size: usize) -> Result<()> {
        self.transforms()
            .iter()
            .try_for_each(|transform| transform.check(size))
    }
}

impl FromStr for Pipeline {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "paper" => Self::Paper,
            "paper-hue" => Self::PaperHue,
            "paper-solarize" => Self::PaperSolarize,
            "paper-blur" => Self::PaperBlur,
            "paper-blur-solarize" => Self::PaperBlurSolarize,
            "crops" => Self::Crops,
            "eval" => Self::Eval,
            "dino" => Self::Dino,
            _ => {
                return Err(Error::UnknownPipeline {
                    name: name.to_owned(),
                    known: Self::NAMES.join(", "),
                });
            }
        })
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paper => "paper",
            Self::PaperHue => "paper-hue",
            Self::PaperSolarize => "paper-solarize",
            Self::PaperBlur => "paper-blur",
            Self::PaperBlurSolarize => "paper-blur-solarize",
            Self::Crops => "crops",
            Self::Eval => "eval",
            Self::Dino => "dino",
            Self::Transforms(transforms) => return write!(f, "{} transforms", transforms.len()),
        })
    }
}

impl Serialize for Pipeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Transforms(transforms) => transforms.serialize(serializer),
            named => serializer.collect_str(named),
        }
    }
}

impl<'de> Deserialize<'de> for Pipeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pipeline;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a pipeline's name or a list of transforms")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Pipeline, E> {
                name.parse()
                    .map_err(|_| E::unknown_variant(name, Pipeline::NAMES))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Pipeline, A::Error> {
                let mut transforms = Vec::new();
                while let Some(transform) = list.next_element()? {
                    transforms.push(transform);
                }
                Ok(Pipeline::Transforms(transforms.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
