use crate::image::Pixels;
use crate::resample::Crop;
use cass_rng::Rng;

/// A box of `scale` of the area and a log-uniform aspect ratio, drawn until it fits
/// (`RandomResizedCrop.get_params`); if ten do not, the largest in the middle whose ratio is allowed.
pub(crate) fn draw(size: usize, scale: [f64; 2], ratio: [f64; 2], rng: &mut Rng) -> Crop {
    const TRIES: usize = 10;
    for _ in 0..TRIES {
        let area = (size * size) as f64 * rng.uniform_in(scale[0], scale[1]);
        let ratio = rng.uniform_in(ratio[0].ln(), ratio[1].ln()).exp();
        let width = (area * ratio).sqrt().round_ties_even() as usize;
        let height = (area / ratio).sqrt().round_ties_even() as usize;
        if (1..=size).contains(&width) && (1..=size).contains(&height) {
            return Crop {
                top: rng.below(size - height + 1),
                left: rng.below(size - width + 1),
                height,
                width,
            };
        }
    }
    let of_side = |share: f64| ((size as f64 * share).round_ties_even() as usize).clamp(1, size);
    let (width, height) = match ratio {
        [lo, _] if lo > 1.0 => (size, of_side(1.0 / lo)),
        [_, hi] if hi < 1.0 => (of_side(hi), size),
        _ => (size, size),
    };
    Crop {
        top: (size - height) / 2,
        left: (size - width) / 2,
        height,
        width,
    }
}

impl Pixels {
    /// The pixels in a box.
    pub(crate) fn crop(&self, crop: &Crop) -> Self {
        let (from, length) = (crop.left * self.channels, crop.width * self.channels);
        let rows = self.data.chunks_exact(self.width * self.channels);
        let rows = rows.skip(crop.top).take(crop.height);
        let data = rows.flat_map(|row| &row[from..][..length]).copied();
        Self {
            width: crop.width,
            height: crop.height,
            channels: self.channels,
            data: data.collect::<Vec<u8>>().into(),
        }
    }
}
