use super::draw::step;
use super::texture::Texture;
use cass_rng::Rng;
use std::f32::consts::TAU;

/// What a class adds to the tissue, in the head's coordinates: the inside of the skull is the unit
/// disc, y points to the back of the head.
pub(super) enum Lesion {
    /// Nothing.
    None,
    /// Irregular, soft-edged, a dark and bright patchwork with a halo.
    Glioma {
        centre: [f32; 2],
        radius: f32,
        /// Amplitude and phase of the outline's waves, two to five a turn.
        waves: [[f32; 2]; 4],
        warp: Texture,
        patches: Texture,
    },
    /// A bright, ragged rim around a dark core.
    Ring {
        centre: [f32; 2],
        radius: f32,
        /// As a glioma's.
        waves: [[f32; 2]; 4],
        /// Brightness along the rim.
        shades: Texture,
    },
    /// A smooth ellipse.
    Round {
        centre: [f32; 2],
        radius: f32,
        /// Length to width.
        stretch: f32,
        /// Brightness over the tissue's.
        gain: f32,
    },
}

impl Lesion {
    /// The lesion of this class, which may be small and faint.
    pub(super) fn varied(class: &str, rng: &mut Rng) -> Self {
        let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
        match class {
            "glioma" => {
                let (distance, angle) = (between(0.25, 0.55), between(0.0, 1.0) * TAU);
                Self::Glioma {
                    centre: [distance * angle.cos(), distance * angle.sin()],
                    radius: between(0.22, 0.38),
                    waves: [0.22, 0.16, 0.12, 0.1]
                        .map(|a| [a * between(0.5, 1.0), between(0.0, 1.0) * TAU]),
                    warp: Texture::new(4.0, 2, rng),
                    patches: Texture::new(6.0, 2, rng),
                }
            }
            "meningioma" => {
                // Not at the bottom, where the pituitary's place is.
                let angle = TAU * (0.25 + between(0.12, 0.88));
                let radius = between(0.16, 0.28);
                let distance = 1.0 - radius * between(0.75, 0.95);
                Self::Round {
                    centre: [distance * angle.cos(), distance * angle.sin()],
                    radius,
                    stretch: between(0.85, 1.2),
                    gain: between(0.25, 0.6),
                }
            }
            "pituitary" => Self::Round {
                centre: [between(-0.07, 0.07), between(0.4, 0.55)],
                radius: between(0.11, 0.17),
                stretch: between(0.8, 1.3),
                gain: between(0.25, 0.6),
            },
            _ => Self::None,
        }
    }

    /// The lesion of this class, large, bright and at a place of its own.
    pub(super) fn clear(class: &str, rng: &mut Rng) -> Self {
        let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
        match class {
            "glioma" => {
                let (distance, angle) = (between(0.36, 0.5), between(0.0, 1.0) * TAU);
                Self::Ring {
                    centre: [distance * angle.cos(), distance * angle.sin()],
                    radius: between(0.3, 0.38),
                    waves: [0.2, 0.14, 0.1, 0.08]
                        .map(|a| [a * between(0.5, 1.0), between(0.0, 1.0) * TAU]),
                    shades: Texture::new(6.0, 2, rng),
                }
            }
            "meningioma" => {
                // Not at the bottom, where the pituitary's place is.
                let angle = TAU * (0.25 + between(0.12, 0.88));
                let radius = between(0.24, 0.32);
                let distance = 1.0 - radius * between(0.8, 0.95);
                Self::Round {
                    centre: [distance * angle.cos(), distance * angle.sin()],
                    radius,
                    stretch: 1.0,
                    gain: 0.45,
                }
            }
            "pituitary" => Self::Round {
                centre: [between(-0.04, 0.04), between(0.46, 0.54)],
                radius: between(0.17, 0.22),
                stretch: between(0.9, 1.15),
                gain: 0.45,
            },
            _ => Self::None,
        }
    }

    /// The tissue's value at a point with the lesion in it; `blur` is a pixel's width.
    pub(super) fn over(&self, tissue: f32, x: f32, y: f32, blur: f32) -> f32 {
        match self {
            Self::None => tissue,
            Self::Glioma {
                centre: [cx, cy],
                radius,
                waves,
                warp,
                patches,
            } => {
                let (dx, dy) = (x - cx, y - cy);
                let edge = outline(dx, dy, *radius, waves) + 0.05 * warp.at(x, y);
                let depth = edge - dx.hypot(dy);
                let inside = step(depth, 0.06 + blur);
                let oedema = 0.5 * step(depth + 0.12, 0.12);
                let core = 0.75 * patches.at(x, y) + 0.12;
                tissue * (1.0 - 0.3 * oedema * (1.0 - inside)) + inside * core * 0.55
            }
            Self::Ring {
                centre: [cx, cy],
                radius,
                waves,
                shades,
            } => {
                let (dx, dy) = (x - cx, y - cy);
                let depth = outline(dx, dy, *radius, waves) - dx.hypot(dy);
                let inside = step(depth, 0.05 + blur);
                let oedema = step(depth + 0.12, 0.14) * (1.0 - inside);
                let around = tissue * (1.0 - 0.35 * oedema);
                let rim = around + inside * (0.85 + 0.15 * shades.at(x, y) - around);
                rim + step(depth - 0.13, 0.06 + blur) * (0.06 - rim)
            }
            Self::Round {
                centre: [cx, cy],
                radius,
                stretch,
                gain,
            } => {
                let (dx, dy) = ((x - cx) / stretch, (y - cy) * stretch);
                let inside = step(radius - dx.hypot(dy), 0.02 + blur);
                tissue + inside * (gain + 0.55 - tissue)
            }
        }
    }
}

/// The radius of an outline with waves, in the direction of a point.
fn outline(x: f32, y: f32, radius: f32, waves: &[[f32; 2]; 4]) -> f32 {
    let angle = y.atan2(x);
    let sum: f32 = waves
        .iter()
        .zip(2..)
        .map(|([amplitude, phase], n)| amplitude * (n as f32 * angle + phase).sin())
        .sum();
    radius * (1.0 + sum)
}
