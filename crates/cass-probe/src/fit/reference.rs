//! What the features of a probe's own images are like, kept for comparison with those of others.

use super::parts::Parts;
use super::vector::{dot, numbers};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use cass_data::dataset::Part;
use cass_data::recipe::evenly;
use cass_models::{Mode, Model};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Training images whose features are kept.
const TRAINING: usize = 256;
/// Held-out images that are compared with them, and images of another origin at once.
const HELD_OUT: usize = 512;
/// The share of held-out images that is far from the training images, which says what far is.
pub(crate) const FAR: f64 = 0.05;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// Training images in the space of features in which each has mean 0 and deviation 1 over them, and how far from them
/// the held-out images are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reference {
    /// Row-major (N, `dim`), standardised.
    rows: Vec<f32>,
    dim: usize,
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// The distance to the nearest training image that so many held-out images do not exceed.
    far: f64,
    /// The kernel distance of the held-out images.
    apart: f64,
    held_out: usize,
}

/// How far images are from a probe's training images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Distances {
    /// Share of the images that are farther than all but [`FAR`] of the held-out ones.
    pub(crate) farther: f64,
    /// Kernel distance to the training images.
    pub(crate) kernel: f64,
}

impl Reference {
    /// Of all features of the training and the held-out images, row-major.
    pub(crate) fn of_rows(training: &[f32], held_out: &[f32], dim: usize) -> Self {
        let training = chosen(training, dim, TRAINING);
        let held_out = chosen(held_out, dim, HELD_OUT);
        let n = (training.len() / dim.max(1)) as f64;
        let column = |i: usize| training.iter().skip(i).step_by(dim).map(|&v| f64::from(v));
        let mean: Vec<f64> = (0..dim).map(|i| column(i).sum::<f64>() / n).collect();
        let scale = (0..dim).map(|i| {
            let variance = column(i).map(|v| (v - mean[i]).powi(2)).sum::<f64>() / n;
            // What is the same in all training images says nothing of distances.
            if variance > 1e-12 {
                (1.0 / variance.sqrt()) as f32
            } else {
                0.0
            }
        });
        let mut reference = Self {
            scale: scale.collect(),
            mean: mean.iter().map(|&m| m as f32).collect(),
            rows: Vec::new(),
            dim,
            far: 0.0,
            apart: 0.0,
            held_out: held_out.len() / dim.max(1),
        };
        reference.rows = reference.standardised(&training);
        let held_out = reference.standardised(&held_out);
        let mut nearest = reference.nearest(&held_out);
        nearest.sort_unstable_by(f64::total_cmp);
        let last = nearest.len().saturating_sub(1);
        let place = ((1.0 - FAR) * last as f64).ceil() as usize;
        reference.far = nearest.get(place).copied().unwrap_or_default();
        reference.apart = reference.kernel_distance(&held_out);
        reference
    }

    /// Of the images of a probe, by its network as it is in the end.
    pub(crate) fn of_network(model: &Model, parts: &Parts) -> Result<Self> {
        let model = model.frozen()?;
        let features = |part, most| {
            let all = parts.indices(part);
            let indices = evenly(all.len(), most).map(|i| all[i]).collect();
            let mut rows = Vec::new();
            for batch in parts.loader_of(indices, false)?.epoch(0) {
                let features = model.features(batch?.images(), Mode::Eval)?.into_value();
                rows.extend(numbers(&features)?);
            }
            Ok::<_, Error>(rows)
        };
        let (training, held_out) = (
            features(Part::Train, TRAINING)?,
            features(Part::Test, HELD_OUT)?,
        );
        Ok(Self::of_rows(&training, &held_out, model.feature_dim()))
    }

    /// Training images that are compared with.
    pub(crate) fn images(&self) -> usize {
        self.rows.len() / self.dim.max(1)
    }

    /// Held-out images that say what is far.
    pub(crate) fn held_out(&self) -> usize {
        self.held_out
    }

    /// The kernel distance of the held-out images.
    pub(crate) fn apart(&self) -> f64 {
        self.apart
    }

    /// How far images of another origin are, by their features, row-major.
    pub(crate) fn distances(&self, features: &[f32]) -> Distances {
        let rows = self.standardised(features);
        let nearest = self.nearest(&rows);
        let farther = nearest.iter().filter(|&&distance| distance > self.far);
        Distances {
            farther: farther.count() as f64 / nearest.len().max(1) as f64,
            kernel: self.kernel_distance(&chosen(&rows, self.dim, HELD_OUT)),
        }
    }

    fn standardised(&self, features: &[f32]) -> Vec<f32> {
        let rows = features.chunks_exact(self.dim.max(1));
        let scaled = rows.flat_map(|row| {
            let places = row.iter().zip(&self.mean).zip(&self.scale);
            places.map(|((value, mean), scale)| (value - mean) * scale)
        });
        scaled.collect()
    }

    /// The distance of each row to the nearest training image, by the mean square over the features.
    fn nearest(&self, rows: &[f32]) -> Vec<f64> {
        let of = |row: &[f32]| {
            let all = self
                .rows
                .chunks_exact(self.dim)
                .map(|other| self.squared(row, other));
            all.fold(f64::INFINITY, f64::min).max(0.0).sqrt()
        };
        rows.par_chunks_exact(self.dim.max(1)).map(of).collect()
    }

    /// The mean squared difference of two rows.
    fn squared(&self, a: &[f32], b: &[f32]) -> f64 {
        let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
        (f64::from(aa) + f64::from(bb) - 2.0 * f64::from(ab)) / self.dim as f64
    }

    /// The maximum mean discrepancy of rows and training images (Gretton et al. 2012, unbiased) under the kernel
    /// `exp(-d²)` of the distance above; 0 where it is no greater than chance.
    fn kernel_distance(&self, rows: &[f32]) -> f64 {
        let own = self.rows.as_slice();
        let among = self.mean_kernel(own, own, true) + self.mean_kernel(rows, rows, true);
        let squared = among - 2.0 * self.mean_kernel(rows, own, false);
        if squared.is_finite() {
            squared.max(0.0).sqrt()
        } else {
            0.0
        }
    }

    /// The mean of the kernel over all pairs, or over those of different rows of one set.
    fn mean_kernel(&self, a: &[f32], b: &[f32], same: bool) -> f64 {
        let (dim, n) = (self.dim.max(1), b.len() / self.dim.max(1));
        let of = |(i, row): (usize, &[f32])| {
            let others = b.chunks_exact(dim).enumerate();
            let others = others.filter(|(j, _)| !same || i != *j);
            others
                .map(|(_, other)| (-self.squared(row, other)).exp())
                .sum::<f64>()
        };
        let sums: Vec<f64> = a.par_chunks_exact(dim).enumerate().map(of).collect();
        let pairs = sums.len() * (n - usize::from(same && n > 0));
        sums.iter().sum::<f64>() / pairs as f64
    }

    /// A file of it.
    pub(crate) fn to_safetensors(&self) -> Result<Vec<u8>> {
        let (cpu, dim) = (&Device::Cpu, self.dim);
        let numbers = [self.far, self.apart, self.held_out as f64];
        let tensors = HashMap::from([
            (
                "rows",
                Tensor::from_slice(&self.rows, (self.images(), dim), cpu)?,
            ),
            ("mean", Tensor::from_slice(&self.mean, dim, cpu)?),
            ("scale", Tensor::from_slice(&self.scale, dim, cpu)?),
            ("held_out", Tensor::new(&numbers, cpu)?),
        ]);
        let bytes = safetensors::serialize(&tensors, None);
        Ok(bytes.map_err(candle_core::Error::wrap)?)
    }

    /// Reads what [`to_safetensors`](Self::to_safetensors) wrote.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let wrong = |reason: String| Error::Run {
            path: file.into(),
            reason,
        };
        let bytes = cass_run::read_bounded(file, LARGEST);
        let bytes = bytes.map_err(cass_run::Error::io(cass_run::Action::Read, file))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
        let get = |name: &str| {
            let missing = || {
                wrong(format!(
                    "it has no {name}, expected rows, mean, scale and held_out"
                ))
            };
            tensors.get(name).ok_or_else(missing)
        };
        let (rows, mean, scale) = (get("rows")?, get("mean")?, get("scale")?);
        let dim = rows.dims2()?.1;
        let (mean, scale) = (mean.to_vec1::<f32>()?, scale.to_vec1::<f32>()?);
        let numbers = get("held_out")?.to_vec1::<f64>()?;
        let [far, apart, held_out] = numbers[..] else {
            return Err(wrong(format!(
                "it has {} numbers of held-out images, expected 3",
                numbers.len()
            )));
        };
        if mean.len() != dim || scale.len() != dim {
            return Err(wrong(format!(
                "its mean and scale are not of {dim} features"
            )));
        }
        Ok(Self {
            rows: rows.flatten_all()?.to_vec1()?,
            dim,
            mean,
            scale,
            far,
            apart,
            held_out: held_out as usize,
        })
    }
}

/// At most `most` rows, evenly apart.
fn chosen(rows: &[f32], dim: usize, most: usize) -> Vec<f32> {
    let dim = dim.max(1);
    let all = rows.len() / dim;
    let rows = evenly(all, most).flat_map(|i| &rows[i * dim..(i + 1) * dim]);
    rows.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_rng::Rng;

    const DIM: usize = 12;

    /// Rows of normal values, the features of different sizes, moved by `by` deviations.
    fn drawn(seed: u64, n: usize, by: f64) -> Vec<f32> {
        let mut rng = Rng::new(seed, "rows", [0, 0], 0);
        let values = (0..n * DIM).map(|i| {
            let size = 10f64.powi((i % DIM) as i32 / 4);
            (size * (rng.normal() + by)) as f32
        });
        values.collect()
    }

    fn reference() -> Reference {
        Reference::of_rows(&drawn(0, 400, 0.0), &drawn(1, 300, 0.0), DIM)
    }

    #[test]
    fn images_of_the_same_origin_are_no_farther_than_held_out_ones() {
        let (reference, same) = (reference(), drawn(2, 600, 0.0));
        let Distances { farther, kernel } = reference.distances(&same);
        // 5 % are expected; of 600, three standard errors are 2.7 %, and the limit of 300 has as many again.
        assert!((0.01..0.09).contains(&farther), "{farther}");
        assert!(kernel < 0.05 && reference.apart() < 0.05, "{kernel}");
    }

    #[test]
    fn a_shift_shows_in_both_numbers_and_grows_with_it() {
        let reference = reference();
        let [a, b] = [0.5, 2.0].map(|by| reference.distances(&drawn(3, 200, by)));
        assert!(a.kernel > 3.0 * reference.apart().max(0.02), "{a:?}");
        assert!(b.kernel > a.kernel && b.farther > a.farther, "{a:?} {b:?}");
        assert!(b.farther > 0.9, "{b:?}");
    }

    #[test]
    fn what_is_the_same_in_all_training_images_is_not_divided_by_zero() {
        let mut rows = drawn(4, 50, 0.0);
        rows.iter_mut().step_by(DIM).for_each(|v| *v = 3.0);
        let reference = Reference::of_rows(&rows, &rows, DIM);
        let Distances { farther, kernel } = reference.distances(&rows);
        assert_eq!(farther, 0.0);
        assert!(kernel.is_finite());
    }

    #[test]
    fn a_file_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reference.safetensors");
        let reference = reference();
        assert_eq!((reference.images(), reference.held_out()), (256, 300));
        std::fs::write(&file, reference.to_safetensors().unwrap()).unwrap();
        assert_eq!(Reference::read(&file).unwrap(), reference);
    }
}
