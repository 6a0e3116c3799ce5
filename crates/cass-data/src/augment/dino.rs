use super::color::{JitterDraw, JitterRanges};
use super::crop;
use super::normalize::Normalization;
use super::planes::Planes;
use crate::image::Pixels;
use crate::resample::Crop;
use cass_rng::Rng;

const JITTER: JitterRanges = JitterRanges {
    brightness: 0.8,
    contrast: 0.8,
    saturation: 0.8,
    hue: 0.2,
};
const P_JITTER: f64 = 0.3;
const P_GRAYSCALE: f64 = 0.2;
const P_FLIP: f64 = 0.5;
const P_BLUR: f64 = 0.2;
const BLUR_KERNEL: usize = 3;
const BLUR_SIGMA: [f64; 2] = [1.0, 2.0];
const LOCAL_SCALE: [f64; 2] = [0.05, 0.4];
const GLOBAL_SCALE: [f64; 2] = [0.5, 1.0];
const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

/// The parameters of one of DINO's two augmentations, with the crops taken from it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DinoDraw {
    pub(crate) jitter: Option<JitterDraw>,
    pub(crate) grayscale: bool,
    pub(crate) flip: bool,
    /// Sigma in pixels.
    pub(crate) blur: Option<f64>,
    pub(crate) local: Crop,
    pub(crate) global: Crop,
}

impl DinoDraw {
    /// For images of `size` x `size`.
    pub(crate) fn new(size: usize, rng: &mut Rng) -> Self {
        Self {
            jitter: rng.bernoulli(P_JITTER).then(|| JITTER.draw(rng)),
            grayscale: rng.bernoulli(P_GRAYSCALE),
            flip: rng.bernoulli(P_FLIP),
            blur: rng
                .bernoulli(P_BLUR)
                .then(|| rng.uniform_in(BLUR_SIGMA[0], BLUR_SIGMA[1])),
            local: crop::draw(size, LOCAL_SCALE, RATIO, rng),
            global: crop::draw(size, GLOBAL_SCALE, RATIO, rng),
        }
    }

    /// Writes the normalised local and global view, `(C, size, size)` each.
    pub(crate) fn apply(
        &self,
        image: &Pixels,
        size: usize,
        normalization: &Normalization,
        [local, global]: [&mut [f32]; 2],
    ) {
        let mut planes = Planes::from(image);
        if let Some(jitter) = &self.jitter {
            planes.jitter(jitter);
        }
        if self.grayscale {
            planes.grayscale();
        }
        if self.flip {
            planes.flip_horizontally();
        }
        if let Some(sigma) = self.blur {
            planes.blur(BLUR_KERNEL, sigma);
        }
        planes.crop_into(&self.local, size, normalization, local);
        planes.crop_into(&self.global, size, normalization, global);
    }
}
