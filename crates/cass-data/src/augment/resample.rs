//! Separable resampling of float planes with PIL's antialiased triangle filter, which torch's
//! `interpolate(mode="bilinear", antialias=True)` shares.

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crop {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// The first input of an output and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Resizes the `crop` of a plane with rows of `width` values to `size` x `size`.
pub(crate) fn resample(plane: &[f32], width: usize, crop: &Crop, size: usize) -> Vec<f32> {
    let across = taps(crop.width, size);
    let rows = plane.chunks_exact(width).skip(crop.top).take(crop.height);
    let narrowed: Vec<f32> = rows
        .map(|row| &row[crop.left..])
        .flat_map(|row| {
            across.iter().map(|taps| {
                let values = row[taps.first..].iter();
                values.zip(&taps.weights).map(|(v, w)| v * w).sum::<f32>()
            })
        })
        .collect(); // (crop.height, size)
    let mut out = vec![0.0; size * size];
    for (to, taps) in out.chunks_exact_mut(size).zip(taps(crop.height, size)) {
        let rows = narrowed.chunks_exact(size).skip(taps.first);
        for (row, weight) in rows.zip(&taps.weights) {
            to.iter_mut().zip(row).for_each(|(to, v)| *to += weight * v);
        }
    }
    out
}

/// A triangle around each output's centre, as wide as the scale when shrinking, cut at the edges
/// and normalised (`precompute_coeffs` in Pillow's Resample.c).
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let taps_at = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |j| (1.0 - ((j as f64 - centre + 0.5) / support).abs()).max(0.0);
        let sum: f64 = (first..end).map(weight).sum();
        let weights = (first..end).map(|j| (weight(j) / sum) as f32).collect();
        Taps { first, weights }
    };
    (0..to).map(taps_at).collect()
}
