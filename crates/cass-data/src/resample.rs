//! Separable resampling with PIL's antialiased triangle filter (Pillow's Resample.c), which torch's
//! `interpolate(mode="bilinear", antialias=True)` shares: PIL's fixed-point arithmetic for 8-bit
//! images, plain floats for float planes.

use crate::image::Pixels;
use pulp::Arch;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crop {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// The first input of an output and the weights from there on.
struct Taps<T> {
    first: usize,
    weights: Vec<T>,
}

/// A triangle around each output's centre, as wide as the scale when shrinking, cut at the edges
/// and normalised.
fn taps<T>(from: usize, to: usize, convert: impl Fn(f64) -> T) -> Vec<Taps<T>> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let taps_at = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |j| (1.0 - ((j as f64 - centre + 0.5) / support).abs()).max(0.0);
        let sum: f64 = (first..end).map(weight).sum();
        let weights = (first..end).map(|j| convert(weight(j) / sum)).collect();
        Taps { first, weights }
    };
    (0..to).map(taps_at).collect()
}

/// Resizes the `crop` of a plane with rows of `width` values to `size` x `size`.
pub(crate) fn resample(plane: &[f32], width: usize, crop: &Crop, size: usize) -> Vec<f32> {
    let across = taps(crop.width, size, |w| w as f32);
    let mut narrowed = vec![0.0; crop.height * size];
    let rows = plane.chunks_exact(width).skip(crop.top);
    for (to, row) in narrowed.chunks_exact_mut(size).zip(rows) {
        let row = &row[crop.left..];
        for (to, taps) in to.iter_mut().zip(&across) {
            let values = row[taps.first..].iter();
            *to = values.zip(&taps.weights).map(|(v, w)| v * w).sum();
        }
    }
    let mut out = vec![0.0; size * size];
    let down = taps(crop.height, size, |w| w as f32);
    for (to, taps) in out.chunks_exact_mut(size).zip(&down) {
        let rows = narrowed.chunks_exact(size).skip(taps.first);
        for (row, weight) in rows.zip(&taps.weights) {
            to.iter_mut().zip(row).for_each(|(to, v)| *to += weight * v);
        }
    }
    out
}

/// Pillow's fixed point: 22 bits after the point.
const BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (BITS - 1);

fn to_fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << BITS) + 0.5) as i32
}

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

impl Pixels {
    /// Squeezed or stretched to `size` x `size` by PIL's antialiased bilinear filter, as
    /// `torchvision.transforms.Resize((size, size))` does on a PIL image. Equal to Pillow 9.5 in
    /// every bit; Pillow 13 shrinks tall images vertically first, which rounds differently, by one
    /// grey level.
    ///
    /// # Panics
    /// If the image or `size` is empty.
    pub fn resize(&self, size: usize) -> Self {
        assert!(!self.data.is_empty() && size > 0, "nothing to resize");
        if !self.is_of_colours() {
            return self.by_channel(|channel| channel.resize(size));
        }
        Arch::new().dispatch(|| self.resize_by_vectors(size))
    }

    #[inline(always)]
    fn resize_by_vectors(&self, size: usize) -> Self {
        let narrowed = match self.channels {
            1 => self.narrow::<1>(size),
            _ => self.narrow::<3>(size),
        };
        let row = size * self.channels;
        let mut data = vec![0; size * row];
        let mut sums = vec![0; row];
        let down = taps(self.height, size, to_fixed);
        for (to, taps) in data.chunks_exact_mut(row).zip(&down) {
            sums.fill(HALF);
            let rows = narrowed.chunks_exact(row).skip(taps.first);
            for (row, weight) in rows.zip(&taps.weights) {
                let terms = row.iter().map(|&v| weight * i32::from(v));
                sums.iter_mut().zip(terms).for_each(|(sum, t)| *sum += t);
            }
            to.iter_mut()
                .zip(&sums)
                .for_each(|(v, &sum)| *v = to_byte(sum));
        }
        Self {
            width: size,
            height: size,
            channels: self.channels,
            data: data.into(),
        }
    }

    /// The horizontal pass, rounded to bytes as Pillow does between the passes.
    #[inline(always)]
    fn narrow<const CHANNELS: usize>(&self, size: usize) -> Vec<u8> {
        let across = taps(self.width, size, to_fixed);
        let most = across.iter().map(|taps| taps.weights.len()).max();
        // A known number of taps, some of them zero, makes for straight code.
        match most.unwrap_or(0) {
            0..=2 if self.width >= 2 => self.narrow_by::<CHANNELS, 2>(&across),
            0..=3 if self.width >= 3 => self.narrow_by::<CHANNELS, 3>(&across),
            0..=4 if self.width >= 4 => self.narrow_by::<CHANNELS, 4>(&across),
            0..=6 if self.width >= 6 => self.narrow_by::<CHANNELS, 6>(&across),
            0..=8 if self.width >= 8 => self.narrow_by::<CHANNELS, 8>(&across),
            0..=12 if self.width >= 12 => self.narrow_by::<CHANNELS, 12>(&across),
            0..=16 if self.width >= 16 => self.narrow_by::<CHANNELS, 16>(&across),
            _ => self.narrow_any::<CHANNELS>(&across),
        }
    }

    #[inline(always)]
    fn narrow_any<const CHANNELS: usize>(&self, across: &[Taps<i32>]) -> Vec<u8> {
        let mut out = vec![0; self.height * across.len() * CHANNELS];
        let rows = self.data.chunks_exact(self.width * CHANNELS);
        for (to, row) in out.chunks_exact_mut(across.len() * CHANNELS).zip(rows) {
            for (to, taps) in to.chunks_exact_mut(CHANNELS).zip(across) {
                let mut sums = [HALF; CHANNELS];
                let pixels = row[taps.first * CHANNELS..].chunks_exact(CHANNELS);
                for (pixel, weight) in pixels.zip(&taps.weights) {
                    for (sum, &v) in sums.iter_mut().zip(pixel) {
                        *sum += weight * i32::from(v);
                    }
                }
                to.iter_mut()
                    .zip(sums)
                    .for_each(|(v, sum)| *v = to_byte(sum));
            }
        }
        out
    }

    /// Equal to [`Pixels::narrow_any`], for at most `TAPS` taps and rows of at least as many pixels.
    #[inline(always)]
    fn narrow_by<const CHANNELS: usize, const TAPS: usize>(&self, across: &[Taps<i32>]) -> Vec<u8> {
        let fixed: Vec<(usize, [i32; TAPS])> = across
            .iter()
            .map(|taps| {
                // Near the right edge zeros come first.
                let first = taps.first.min(self.width - TAPS);
                let mut weights = [0; TAPS];
                let from = taps.first - first;
                weights[from..from + taps.weights.len()].copy_from_slice(&taps.weights);
                (first, weights)
            })
            .collect();
        let mut out = vec![0; self.height * across.len() * CHANNELS];
        let rows = self.data.chunks_exact(self.width * CHANNELS);
        for (to, row) in out.chunks_exact_mut(across.len() * CHANNELS).zip(rows) {
            let (to, row) = (
                to.as_chunks_mut::<CHANNELS>().0,
                row.as_chunks::<CHANNELS>().0,
            );
            for (to, (first, weights)) in to.iter_mut().zip(&fixed) {
                let pixels = &row[*first..*first + TAPS];
                *to = std::array::from_fn(|channel| {
                    let terms = (0..TAPS).map(|i| weights[i] * i32::from(pixels[i][channel]));
                    to_byte(HALF + terms.sum::<i32>())
                });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_code_equals_the_plain_loop() {
        let mut rng = cass_rng::Rng::new(1, "resample", [0, 0], 0);
        for (width, size) in [
            (2, 5),
            (3, 9),
            (5, 4),
            (17, 24),
            (17, 9),
            (31, 8),
            (40, 9),
            (33, 2),
            (1, 3),
        ] {
            let mut bytes = |n: usize| (0..n).map(|_| rng.below(256) as u8).collect::<Vec<_>>();
            let across = taps(width, size, to_fixed);
            let grey = Pixels::from_grey(width, 3, bytes(width * 3));
            assert_eq!(
                grey.narrow::<1>(size),
                grey.narrow_any::<1>(&across),
                "{width} to {size}"
            );
            let rgb = Pixels::from_rgb(width, 3, bytes(width * 9));
            assert_eq!(
                rgb.narrow::<3>(size),
                rgb.narrow_any::<3>(&across),
                "{width} to {size}"
            );
        }
    }
}
