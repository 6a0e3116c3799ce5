use crate::Pixels;

/// ImageNet's channel means, of values in 0..=1.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's channel standard deviations.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// `(value - mean) / std` of one channel, `value` in 0..=1.
pub(crate) fn normalize(value: f32, channel: usize) -> f32 {
    (value - MEAN[channel]) / STD[channel]
}

impl Pixels {
    /// Writes the three planes of `ToTensor` and `Normalize` with ImageNet's statistics:
    /// `(3, height, width)`.
    ///
    /// # Panics
    /// If `out` is not that long.
    pub fn normalize_into(&self, out: &mut [f32]) {
        let area = self.width * self.height;
        assert_eq!(out.len(), 3 * area, "(3, {}, {})", self.height, self.width);
        match self.channels {
            1 => fill(self.data.as_chunks::<1>().0, out),
            _ => fill(self.data.as_chunks::<3>().0, out),
        }
    }
}

fn fill<const C: usize>(pixels: &[[u8; C]], out: &mut [f32]) {
    for (channel, plane) in out.chunks_exact_mut(pixels.len()).enumerate() {
        let table: [f32; 256] = std::array::from_fn(|v| normalize(v as f32 / 255.0, channel));
        for (to, pixel) in plane.iter_mut().zip(pixels) {
            *to = table[usize::from(pixel[channel % C])];
        }
    }
}
