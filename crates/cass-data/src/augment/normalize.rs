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

    /// `(value - mean) / std` of one channel, `value` in 0..=1.
    pub(crate) fn apply(&self, value: f32, channel: usize) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }

    /// The value, in 0..=1, of a channel that was normalised.
    pub(crate) fn invert(&self, normalized: f32, channel: usize) -> f32 {
        normalized * self.std[channel] + self.mean[channel]
    }
}

impl Default for Normalization {
    fn default() -> Self {
        Self::IMAGENET
    }
}

impl Pixels {
    /// Writes the three planes of `ToTensor` and `Normalize`: `(3, height, width)`.
    ///
    /// # Panics
    /// If `out` is not that long.
    pub fn normalize_into(&self, normalization: &Normalization, out: &mut [f32]) {
        let area = self.width * self.height;
        assert_eq!(out.len(), 3 * area, "(3, {}, {})", self.height, self.width);
        match self.channels {
            1 => fill(self.data.as_chunks::<1>().0, normalization, out),
            _ => fill(self.data.as_chunks::<3>().0, normalization, out),
        }
    }
}

fn fill<const C: usize>(pixels: &[[u8; C]], normalization: &Normalization, out: &mut [f32]) {
    for (channel, plane) in out.chunks_exact_mut(pixels.len()).enumerate() {
        let value = |v: usize| normalization.apply(v as f32 / 255.0, channel);
        let table: [f32; 256] = std::array::from_fn(value);
        for (to, pixel) in plane.iter_mut().zip(pixels) {
            *to = table[usize::from(pixel[channel % C])];
        }
    }
}
