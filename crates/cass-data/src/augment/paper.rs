use cass_ops::Rng;

use crate::Pixels;

use super::{
    color::{JitterDraw, JitterRanges},
    geometry::{Corners, draw_corners},
};

const JITTER: JitterRanges = JitterRanges {
    brightness: 0.2,
    contrast: 0.2,
    saturation: 0.2,
    hue: 0.0,
};
const P_APPLY: f64 = 0.3;
const P_PERSPECTIVE: f64 = 0.5;
const DISTORTION: f64 = 0.2;
const DEGREES: f64 = 10.0;
const P_FLIP: f64 = 0.3;

/// The parameters of one view of the paper's augmentation (appendix E.1.2).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PaperDraw {
    /// The first `RandomApply`: jitter, and perspective by its own chance.
    pub(crate) warp: Option<(JitterDraw, Option<Corners>)>,
    /// The second: jitter and rotation, in degrees.
    pub(crate) turn: Option<(JitterDraw, f64)>,
    pub(crate) flip_vertically: bool,
    pub(crate) flip_horizontally: bool,
}

impl PaperDraw {
    /// For an image of `size` x `size`.
    pub(crate) fn new(size: usize, rng: &mut Rng) -> Self {
        let warp = rng.bernoulli(P_APPLY).then(|| {
            let jitter = JITTER.draw(rng);
            let corners = rng
                .bernoulli(P_PERSPECTIVE)
                .then(|| draw_corners(size, size, DISTORTION, rng));
            (jitter, corners)
        });
        let turn = rng
            .bernoulli(P_APPLY)
            .then(|| (JITTER.draw(rng), rng.uniform_in(-DEGREES, DEGREES)));
        Self {
            warp,
            turn,
            flip_vertically: rng.bernoulli(P_FLIP),
            flip_horizontally: rng.bernoulli(P_FLIP),
        }
    }

    pub(crate) fn apply(&self, image: &Pixels) -> Pixels {
        let mut image = image.clone();
        if let Some((jitter, corners)) = &self.warp {
            image.jitter(jitter);
            if let Some(corners) = corners {
                image = image.perspective(corners);
            }
        }
        if let Some((jitter, degrees)) = &self.turn {
            image.jitter(jitter);
            image = image.rotate(*degrees);
        }
        if self.flip_vertically {
            image.flip_vertically();
        }
        if self.flip_horizontally {
            image.flip_horizontally();
        }
        image
    }
}
