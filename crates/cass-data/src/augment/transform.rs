//! torchvision's transforms on 8-bit pixels: arguments, draws, and what is done with them.

use super::color::{JitterDraw, JitterRanges};
use super::crop;
use super::geometry::{Affine, Corners, draw_corners};
use crate::Result;
use crate::error::expect;
use crate::image::Pixels;
use crate::resample::Crop;
use cass_rng::Rng;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One of torchvision's transforms on a PIL image, by its name and with its arguments and defaults.
///
/// ```
/// use cass_data::augment::Transform;
/// let blur = Transform::GaussianBlur { kernel_size: 23, sigma: [0.1, 2.0] };
/// let sometimes = Transform::RandomApply { p: 0.5, transforms: vec![blur] };
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "transform", deny_unknown_fields)]
pub enum Transform {
    /// With probability `p` all of `transforms`, in order; otherwise none.
    RandomApply {
        /// Probability, 0 to 1.
        #[serde(default = "half")]
        p: f64,
        /// What is applied.
        transforms: Vec<Transform>,
    },
    /// Brightness, contrast and saturation by factors within 1 ± the argument, and hue, in random
    /// order.
    ColorJitter {
        /// At least 0.
        #[serde(default)]
        brightness: f64,
        /// At least 0.
        #[serde(default)]
        contrast: f64,
        /// At least 0.
        #[serde(default)]
        saturation: f64,
        /// The largest turn either way, 0 to 0.5 of a full one; 0 leaves hues alone.
        #[serde(default)]
        hue: f64,
    },
    /// With probability `p` each corner moves inwards, bilinear, black outside.
    RandomPerspective {
        /// The farthest a corner goes, as a share of half a side, 0 to 1.
        #[serde(default = "half")]
        distortion_scale: f64,
        /// Probability, 0 to 1.
        #[serde(default = "half")]
        p: f64,
    },
    /// About the centre, nearest pixel, black outside.
    RandomAffine {
        /// The largest rotation either way, in degrees.
        degrees: f64,
        /// The farthest move across and down, as shares of the sides, 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        translate: Option<[f64; 2]>,
        /// The smallest and the largest scale, above 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<[f64; 2]>,
        /// The least and the greatest shear across, then down, in degrees, within ± 89.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shear: Option<[f64; 4]>,
    },
    /// A box of random area and aspect ratio, resized to the whole, antialiased. Here it is cut from
    /// the image as it was resized to the network's size, not from the file's.
    RandomResizedCrop {
        /// The least and the greatest share of the area, within 0 to 1.
        #[serde(default = "crop_scale")]
        scale: [f64; 2],
        /// The least and the greatest width over height.
        #[serde(default = "crop_ratio")]
        ratio: [f64; 2],
    },
    /// Left for right.
    RandomHorizontalFlip {
        /// Probability, 0 to 1.
        #[serde(default = "half")]
        p: f64,
    },
    /// Top for bottom.
    RandomVerticalFlip {
        /// Probability, 0 to 1.
        #[serde(default = "half")]
        p: f64,
    },
    /// Every channel becomes the luma.
    RandomGrayscale {
        /// Probability, 0 to 1.
        #[serde(default = "tenth")]
        p: f64,
    },
    /// Inverts what is as bright as the threshold or brighter.
    RandomSolarize {
        /// Of grey levels, 0 to 255.
        threshold: u8,
        /// Probability, 0 to 1.
        #[serde(default = "half")]
        p: f64,
    },
    /// By a square window, always.
    GaussianBlur {
        /// The window's side in pixels: odd, and less than twice the image's.
        kernel_size: usize,
        /// The least and the greatest standard deviation, in pixels.
        #[serde(default = "blur_sigma")]
        sigma: [f64; 2],
    },
}

fn half() -> f64 {
    0.5
}

fn tenth() -> f64 {
    0.1
}

fn crop_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn crop_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

fn blur_sigma() -> [f64; 2] {
    [0.1, 2.0]
}

/// A transform with the parameters drawn for one view.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Drawn {
    Jitter(JitterDraw),
    Perspective(Corners),
    Affine(Affine),
    Crop(Crop),
    FlipHorizontally,
    FlipVertically,
    Grayscale,
    Solarize(u8),
    Blur { kernel_size: usize, sigma: f64 },
}

/// What is done to one image of `size` x `size`, in order.
pub(crate) fn draw(transforms: &[Transform], size: usize, rng: &mut Rng) -> Vec<Drawn> {
    let mut drawn = Vec::new();
    for transform in transforms {
        transform.draw(size, rng, &mut drawn);
    }
    drawn
}

/// Does it.
pub(crate) fn apply<'a>(drawn: &[Drawn], image: &'a Pixels) -> Cow<'a, Pixels> {
    let mut image = Cow::Borrowed(image);
    for step in drawn {
        match step {
            Drawn::Jitter(parts) => image.to_mut().jitter(parts),
            Drawn::Perspective(corners) => image = Cow::Owned(image.perspective(corners)),
            Drawn::Affine(affine) => image = Cow::Owned(image.affine(affine)),
            Drawn::Crop(crop) => image = Cow::Owned(image.crop(crop).resize(image.width)),
            Drawn::FlipHorizontally => image.to_mut().flip_horizontally(),
            Drawn::FlipVertically => image.to_mut().flip_vertically(),
            Drawn::Grayscale => image.to_mut().grayscale(),
            Drawn::Solarize(threshold) => image.to_mut().solarize(*threshold),
            &Drawn::Blur { kernel_size, sigma } => image.to_mut().gaussian_blur(kernel_size, sigma),
        }
    }
    image
}

impl Transform {
    /// torchvision's `get_params`, and the chance that it is applied at all.
    fn draw(&self, size: usize, rng: &mut Rng, drawn: &mut Vec<Drawn>) {
        match *self {
            Self::RandomApply { p, ref transforms } => {
                if rng.bernoulli(p) {
                    for transform in transforms {
                        transform.draw(size, rng, drawn);
                    }
                }
            }
            Self::ColorJitter {
                brightness,
                contrast,
                saturation,
                hue,
            } => {
                let ranges = JitterRanges {
                    brightness,
                    contrast,
                    saturation,
                    hue,
                };
                drawn.push(Drawn::Jitter(ranges.draw(rng)));
            }
            Self::RandomPerspective {
                distortion_scale,
                p,
            } => {
                if rng.bernoulli(p) {
                    let corners = draw_corners(size, size, distortion_scale, rng);
                    drawn.push(Drawn::Perspective(corners));
                }
            }
            Self::RandomAffine {
                degrees,
                translate,
                scale,
                shear,
            } => {
                let mut uniform = |[lo, hi]: [f64; 2]| rng.uniform_in(lo, hi);
                let degrees = uniform([-degrees, degrees]);
                let translate = translate.map_or([0.0; 2], |shares| {
                    shares.map(|share| {
                        let most = share * size as f64;
                        uniform([-most, most]).round_ties_even()
                    })
                });
                drawn.push(Drawn::Affine(Affine {
                    degrees,
                    translate,
                    scale: scale.map_or(1.0, &mut uniform),
                    shear: shear.map_or([0.0; 2], |[x0, x1, y0, y1]| {
                        [uniform([x0, x1]), uniform([y0, y1])]
                    }),
                }));
            }
            Self::RandomResizedCrop { scale, ratio } => {
                drawn.push(Drawn::Crop(crop::draw(size, scale, ratio, rng)));
            }
            Self::RandomHorizontalFlip { p } => push(drawn, rng, p, Drawn::FlipHorizontally),
            Self::RandomVerticalFlip { p } => push(drawn, rng, p, Drawn::FlipVertically),
            Self::RandomGrayscale { p } => push(drawn, rng, p, Drawn::Grayscale),
            Self::RandomSolarize { threshold, p } => {
                push(drawn, rng, p, Drawn::Solarize(threshold));
            }
            Self::GaussianBlur { kernel_size, sigma } => drawn.push(Drawn::Blur {
                kernel_size,
                sigma: rng.uniform_in(sigma[0], sigma[1]),
            }),
        }
    }

    /// Says whether every argument is in its range, for images of `size` x `size`.
    pub(crate) fn check(&self, size: usize) -> Result<()> {
        let share = |name, value| expect(name, value, (0.0..=1.0).contains(&value), "0 to 1");
        let least_zero = |name, value: f64| {
            let fits = value >= 0.0 && value.is_finite();
            expect(name, value, fits, "a number from 0")
        };
        let range = |name, [lo, hi]: [f64; 2], least: f64, most: f64, expected| {
            let fits = least <= lo && lo <= hi && hi <= most;
            expect(name, format!("{lo}..{hi}"), fits, expected)
        };
        const TINY: f64 = f64::MIN_POSITIVE;
        match *self {
            Self::RandomApply { p, ref transforms } => {
                share("p", p)?;
                transforms
                    .iter()
                    .try_for_each(|transform| transform.check(size))
            }
            Self::ColorJitter {
                brightness,
                contrast,
                saturation,
                hue,
            } => {
                least_zero("brightness", brightness)?;
                least_zero("contrast", contrast)?;
                least_zero("saturation", saturation)?;
                expect("hue", hue, (0.0..=0.5).contains(&hue), "0 to 0.5")
            }
            Self::RandomPerspective {
                distortion_scale,
                p,
            } => {
                share("distortion_scale", distortion_scale)?;
                share("p", p)
            }
            Self::RandomAffine {
                degrees,
                translate,
                scale,
                shear,
            } => {
                least_zero("degrees", degrees)?;
                for value in translate.into_iter().flatten() {
                    share("translate", value)?;
                }
                if let Some(scale) = scale {
                    range(
                        "scale",
                        scale,
                        TINY,
                        f64::MAX,
                        "numbers above 0, the smaller first",
                    )?;
                }
                let [x0, x1, y0, y1] = shear.unwrap_or_default();
                for shear in [[x0, x1], [y0, y1]] {
                    range("shear", shear, -89.0, 89.0, "-89 to 89, the smaller first")?;
                }
                Ok(())
            }
            Self::RandomResizedCrop { scale, ratio } => {
                range(
                    "scale",
                    scale,
                    TINY,
                    1.0,
                    "shares of the area, the smaller first",
                )?;
                range(
                    "ratio",
                    ratio,
                    TINY,
                    f64::MAX,
                    "numbers above 0, the smaller first",
                )
            }
            Self::RandomHorizontalFlip { p }
            | Self::RandomVerticalFlip { p }
            | Self::RandomGrayscale { p }
            | Self::RandomSolarize { p, .. } => share("p", p),
            Self::GaussianBlur { kernel_size, sigma } => {
                let fits = kernel_size % 2 == 1 && kernel_size / 2 < size;
                let expected = "odd, and less than twice the image's size";
                expect("kernel_size", kernel_size, fits, expected)?;
                range(
                    "sigma",
                    sigma,
                    TINY,
                    f64::MAX,
                    "numbers above 0, the smaller first",
                )
            }
        }
    }
}

fn push(drawn: &mut Vec<Drawn>, rng: &mut Rng, p: f64, step: Drawn) {
    drawn.extend(rng.bernoulli(p).then_some(step));
}
