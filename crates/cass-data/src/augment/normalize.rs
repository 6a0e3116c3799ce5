use crate::channels::COLOURS;
use crate::image::Pixels;
use serde::{Deserialize, Serialize};

/// The channel means and standard deviations that a network's images are normalised by, of values
/// in 0..=1.
///
/// Weights have their own, which timm keeps as `mean` and `std` of a model's `pretrained_cfg`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted from red, green and blue.
    pub mean: [f32; 3],
    /// What the differences are divided by, above 0.
    pub std: [f32; 3],
}

impl Normalization {
    /// ImageNet's statistics: those of the paper, and of most weights.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// A half each, from -1 to 1: those of timm's augreg ViTs and others.
    pub const HALF: Self = Self {
        mean: [0.5; 3],
        std: [0.5; 3],
    };

    /// The statistics of a channel of images of `channels`: of one channel the means of the colours';
    /// of others, channel `i` has those of colour `i mod 3`.
    pub(crate) fn of_channel(&self, channel: usize, channels: usize) -> OfChannel {
        let of = |values: [f32; COLOURS]| match channels {
            1 => values.iter().sum::<f32>() / COLOURS as f32,
            _ => values[channel % COLOURS],
        };
        OfChannel {
            mean: of(self.mean),
            std: of(self.std),
        }
    }
}

/// The statistics of one channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfChannel {
    mean: f32,
    std: f32,
}

impl OfChannel {
    /// `(value - mean) / std`, `value` in 0..=1.
    pub(crate) fn apply(self, value: f32) -> f32 {
        (value - self.mean) / self.std
    }

    /// The value, in 0..=1, that was normalised.
    pub(crate) fn invert(self, normalized: f32) -> f32 {
        normalized * self.std + self.mean
    }
}

impl Default for Normalization {
    fn default() -> Self {
        Self::IMAGENET
    }
}

impl Pixels {
    /// Writes the planes of `ToTensor` and `Normalize`: `(C, height, width)`, where C is as many as fit
    /// into `out`, 3 or what the image has.
    ///
    /// # Panics
    /// If `out` is of another length.
    pub fn normalize_into(&self, normalization: &Normalization, out: &mut [f32]) {
        let area = self.width * self.height;
        let channels = out.len() / area.max(1);
        let fits = channels == self.channels || (channels, self.channels) == (COLOURS, 1);
        let (h, w) = (self.height, self.width);
        assert!(
            fits && out.len() == channels * area,
            "({channels}, {h}, {w})"
        );
        for (channel, plane) in out.chunks_exact_mut(area).enumerate() {
            let normalize = normalization.of_channel(channel, channels);
            let table: [f32; 256] = std::array::from_fn(|v| normalize.apply(v as f32 / 255.0));
            let place = channel % self.channels;
            // Steps that are known make for straight code.
            match self.channels {
                1 => fill(self.data.as_chunks::<1>().0, place, &table, plane),
                3 => fill(self.data.as_chunks::<3>().0, place, &table, plane),
                many => {
                    let values = self.data.iter().skip(place).step_by(many);
                    for (to, &value) in plane.iter_mut().zip(values) {
                        *to = table[usize::from(value)];
                    }
                }
            }
        }
    }
}

fn fill<const C: usize>(pixels: &[[u8; C]], place: usize, table: &[f32; 256], plane: &mut [f32]) {
    for (to, pixel) in plane.iter_mut().zip(pixels) {
        *to = table[usize::from(pixel[place])];
    }
}
