use super::color::Adjust;
use super::normalize::Normalization;
use crate::channels::are_colours;
use crate::image::Pixels;
use crate::resample::{Crop, resample};

/// A float image, one plane a channel; one plane stands for three equal ones. Its operations equal
/// torchvision's on float tensors with values in 0..=1.
#[derive(Debug, Clone)]
pub(crate) struct Planes {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) planes: Vec<Vec<f32>>,
}

impl From<&Pixels> for Planes {
    fn from(image: &Pixels) -> Self {
        let plane = |channel: usize| {
            let values = image.data.iter().skip(channel).step_by(image.channels);
            values.map(|&v| f32::from(v) / 255.0).collect()
        };
        Self {
            width: image.width,
            height: image.height,
            planes: (0..image.channels).map(plane).collect(),
        }
    }
}

impl Pixels {
    /// Blurs with a `kernel` x `kernel` Gaussian window, sigma in pixels, reflected at the edges
    /// (`torchvision.transforms.functional.gaussian_blur` on a PIL image).
    ///
    /// # Panics
    /// If `kernel` is even.
    pub fn gaussian_blur(&mut self, kernel: usize, sigma: f64) {
        assert!(kernel % 2 == 1, "kernel {kernel} is not odd");
        let mut planes = Planes::from(&*self);
        planes.blur(kernel, sigma);
        for (channel, plane) in planes.planes.iter().enumerate() {
            let values = self.data.iter_mut().skip(channel).step_by(self.channels);
            for (v, blurred) in values.zip(plane) {
                *v = (blurred * 255.0).round_ties_even() as u8;
            }
        }
    }
}

impl Planes {
    /// `functional.adjust_*` of each part, in order.
    pub(crate) fn jitter(&mut self, parts: &[Adjust]) {
        for part in parts {
            match *part {
                Adjust::Brightness(factor) => self.blend_with(0.0, factor),
                Adjust::Contrast(factor) => {
                    let luma = self.luma();
                    let sum: f64 = luma.iter().map(|&v| f64::from(v)).sum();
                    self.blend_with((sum / luma.len() as f64) as f32, factor);
                }
                // Of colours alone: see `grayscale`.
                Adjust::Saturation(_) if !self.is_of_colours() => {}
                Adjust::Saturation(factor) => {
                    let luma = self.luma();
                    for plane in &mut self.planes {
                        for (v, &grey) in plane.iter_mut().zip(&luma) {
                            *v = blend(grey, *v, factor);
                        }
                    }
                }
                Adjust::Hue(turn) => self.turn_hue(turn as f32),
            }
        }
    }

    /// `RandomGrayscale`: every channel becomes the luma; what is no colour stays.
    pub(crate) fn grayscale(&mut self) {
        if self.is_of_colours() {
            self.planes = vec![self.luma()];
        }
    }

    fn is_of_colours(&self) -> bool {
        are_colours(self.planes.len())
    }

    pub(crate) fn flip_horizontally(&mut self) {
        for row in self
            .planes
            .iter_mut()
            .flat_map(|p| p.chunks_exact_mut(self.width))
        {
            row.reverse();
        }
    }

    /// `functional.gaussian_blur` with a `kernel` x `kernel` window (odd), reflected at the edges.
    pub(crate) fn blur(&mut self, kernel: usize, sigma: f64) {
        let weights = gaussian(kernel, sigma);
        let (w, h) = (self.width, self.height);
        let columns = reflected(w, kernel);
        let rows = reflected(h, kernel);
        for plane in &mut self.planes {
            let mut across = vec![0.0; w * h];
            for (to, row) in across.chunks_exact_mut(w).zip(plane.chunks_exact(w)) {
                for (v, taps) in to.iter_mut().zip(columns.windows(kernel)) {
                    *v = weights.iter().zip(taps).map(|(k, &x)| k * row[x]).sum();
                }
            }
            for (to, taps) in plane.chunks_exact_mut(w).zip(rows.windows(kernel)) {
                to.fill(0.0);
                for (k, &y) in weights.iter().zip(taps) {
                    let row = &across[y * w..][..w];
                    to.iter_mut().zip(row).for_each(|(v, r)| *v += k * r);
                }
            }
        }
    }

    /// Crops, resizes to `size` x `size` and normalises: `out` gets `(C, size, size)`. The weights
    /// of the resize sum to one, so normalising after it instead of before changes nothing.
    pub(crate) fn crop_into(
        &self,
        crop: &Crop,
        size: usize,
        normalization: &Normalization,
        out: &mut [f32],
    ) {
        let resize = |plane: &Vec<f32>| resample(plane, self.width, crop, size);
        let resized: Vec<_> = self.planes.iter().map(resize).collect();
        let channels = out.len() / (size * size);
        for (channel, to) in out.chunks_exact_mut(size * size).enumerate() {
            let from = &resized[channel % resized.len()];
            let normalize = normalization.of_channel(channel, channels);
            for (to, &v) in to.iter_mut().zip(from) {
                *to = normalize.apply(v);
            }
        }
    }

    fn blend_with(&mut self, other: f32, factor: f64) {
        for v in self.planes.iter_mut().flatten() {
            *v = blend(other, *v, factor);
        }
    }

    /// torchvision's luma of tensors, whose weights sum to 0.9999; of what is no colour the mean of all planes.
    fn luma(&self) -> Vec<f32> {
        if !self.is_of_colours() {
            let sum_of = |i: usize| self.planes.iter().map(|plane| plane[i]).sum::<f32>();
            let count = self.planes.len() as f32;
            return (0..self.width * self.height)
                .map(|i| sum_of(i) / count)
                .collect();
        }
        let [r, g, b] = [0, 1, 2].map(|c| &self.planes[c % self.planes.len()]);
        r.iter()
            .zip(g)
            .zip(b)
            .map(|((r, g), b)| 0.2989 * r + 0.587 * g + 0.114 * b)
            .collect()
    }

    /// Equal channels have no hue and stay.
    fn turn_hue(&mut self, turn: f32) {
        let [r, g, b] = &mut self.planes[..] else {
            return;
        };
        for ((r, g), b) in r.iter_mut().zip(g).zip(b) {
            let [h, s, v] = rgb_to_hsv([*r, *g, *b]);
            [*r, *g, *b] = hsv_to_rgb([(h + turn).rem_euclid(1.0), s, v]);
        }
    }
}

fn blend(other: f32, value: f32, factor: f64) -> f32 {
    (factor as f32 * value + (1.0 - factor) as f32 * other).clamp(0.0, 1.0)
}

fn gaussian(kernel: usize, sigma: f64) -> Vec<f32> {
    let half = (kernel as f64 - 1.0) * 0.5;
    let density = |i: usize| (-0.5 * ((i as f64 - half) / sigma).powi(2)).exp();
    let sum: f64 = (0..kernel).map(density).sum();
    (0..kernel).map(|i| (density(i) / sum) as f32).collect()
}

/// The indices of `len` values padded by half a kernel on both sides, reflected without repeating
/// the ends.
fn reflected(len: usize, kernel: usize) -> Vec<usize> {
    let (half, last) = (kernel as isize / 2, len as isize - 1);
    (-half..len as isize + half)
        .map(|i| (last - (last - i.abs()).abs()).clamp(0, last) as usize)
        .collect()
}

fn rgb_to_hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max == min {
        return [0.0, 0.0, max];
    }
    let range = max - min;
    let [rc, gc, bc] = [r, g, b].map(|v| (max - v) / range);
    let sextant = if r == max {
        bc - gc
    } else if g == max {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    };
    [(sextant / 6.0 + 1.0) % 1.0, range / max, max]
}

fn hsv_to_rgb([h, s, v]: [f32; 3]) -> [f32; 3] {
    let sextant = (h * 6.0).floor();
    let f = h * 6.0 - sextant;
    let p = (v * (1.0 - s)).clamp(0.0, 1.0);
    let q = (v * (1.0 - s * f)).clamp(0.0, 1.0);
    let t = (v * (1.0 - s * (1.0 - f))).clamp(0.0, 1.0);
    match sextant as i32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}
