//! Classification by the nearest labelled images, without training.

use super::vector::dot;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Numbers of neighbours that are tried.
pub const KNN_NEIGHBOURS: [usize; 4] = [1, 5, 11, 20];
/// A neighbour of cosine c votes with exp(c / τ) (Wu et al. 2018, arXiv 1805.01978, section 3.4).
const TEMPERATURE: f64 = 0.07;

/// The largest file of labelled features that is read, in bytes.
const LARGEST: u64 = 64 << 30;

/// Labelled features that classify others by cosine similarity.
///
/// The k most similar rows vote for their classes with weight exp(cosine / 0.07); a class's
/// probability is its share of the voters' weight. Of equally similar rows the first counts, of equally
/// probable classes too. A zero row has cosine 0 with every other.
///
/// ```
/// use cass_probe::fit::Knn;
/// let knn = Knn::new(&[1.0, 0.0, 0.9, 0.1, 0.0, 1.0], 2, vec![0, 0, 1], 2)?;
/// let p = knn.probabilities(&[0.8, 0.3], 1)?;
/// assert_eq!(p, [[1.0, 0.0]]);
/// assert_eq!(knn.leave_one_out(1)[2], [1.0, 0.0]); // its nearest other row is of class 0
/// # Ok::<(), cass_probe::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Knn {
    /// Row-major (N, `dim`), each of length 1 or 0.
    rows: Vec<f32>,
    dim: usize,
    /// The classes of each row.
    labels: Vec<Vec<usize>>,
    classes: usize,
}

impl Knn {
    /// Takes `features`, row-major (N, `dim`), and N labels below `classes`.
    ///
    /// # Errors
    /// Fewer than two rows, numbers that do not fit, a label out of range, a feature that is not
    /// finite.
    pub fn new(features: &[f32], dim: usize, labels: Vec<usize>, classes: usize) -> Result<Self> {
        let labels = labels.into_iter().map(|label| vec![label]).collect();
        Self::multi_label(features, dim, labels, classes)
    }

    /// Probabilities where a row may be of any number of classes: it votes for each of them.
    ///
    /// # Errors
    /// As [`Knn::new`].
    pub fn multi_label(
        features: &[f32],
        dim: usize,
        labels: Vec<Vec<usize>>,
        classes: usize,
    ) -> Result<Self> {
        if labels.len() < 2 {
            let (part, found, needed) = ("training", labels.len(), 2);
            return Err(Error::TooFew {
                part,
                found,
                needed,
            });
        }
        if features.len() != labels.len() * dim {
            return Err(cass_metrics::Error::Length {
                what: "feature values",
                found: features.len(),
                expected: labels.len() * dim,
            }
            .into());
        }
        let all = labels.iter().enumerate();
        let mut all = all.flat_map(|(sample, of)| of.iter().map(move |&class| (sample, class)));
        if let Some((sample, class)) = all.find(|&(_, class)| class >= classes) {
            return Err(cass_metrics::Error::ClassIndex {
                sample,
                class,
                classes,
            }
            .into());
        }
        Ok(Self {
            rows: unit_rows(features, dim)?,
            dim,
            labels,
            classes,
        })
    }

    /// Probabilities (M, classes) of the rows of `features`, row-major (M, dim), by `k` neighbours, or
    /// all where there are fewer.
    ///
    /// # Errors
    /// A feature that is not finite, or an incomplete row.
    pub fn probabilities(&self, features: &[f32], k: usize) -> Result<Vec<Vec<f64>>> {
        if !features.len().is_multiple_of(self.dim) {
            return Err(cass_metrics::Error::Length {
                what: "feature values",
                found: features.len(),
                expected: features.len().next_multiple_of(self.dim),
            }
            .into());
        }
        let rows = unit_rows(features, self.dim)?;
        let votes = rows.par_chunks(self.dim).map(|row| self.vote(row, k, None));
        Ok(votes.collect())
    }

    /// Probabilities (N, classes) of the labelled rows themselves, each by its neighbours among the
    /// others.
    pub fn leave_one_out(&self, k: usize) -> Vec<Vec<f64>> {
        let rows = self.rows.par_chunks(self.dim).enumerate();
        rows.map(|(i, row)| self.vote(row, k, Some(i))).collect()
    }

    /// The labelled features, and how many of them `k` vote, as a safetensors file.
    ///
    /// # Errors
    /// If it cannot be written to memory.
    pub(crate) fn to_safetensors(&self, k: usize) -> Result<Vec<u8>> {
        let (n, cpu) = (self.labels.len(), &Device::Cpu);
        let flags = (self.labels.iter())
            .flat_map(|labels| (0..self.classes).map(|class| u8::from(labels.contains(&class))));
        let tensors = HashMap::from([
            (
                "features",
                Tensor::from_slice(&self.rows, (n, self.dim), cpu)?,
            ),
            (
                "labels",
                Tensor::from_iter(flags, cpu)?.reshape((n, self.classes))?,
            ),
            ("k", Tensor::new(&[k as u32], cpu)?),
        ]);
        let bytes = safetensors::serialize(&tensors, None);
        Ok(bytes.map_err(candle_core::Error::wrap)?)
    }

    /// Reads what [`Knn::to_safetensors`] wrote: the neighbours, and how many vote.
    pub(crate) fn read(file: &Path) -> Result<(Self, usize)> {
        let bytes = cass_run::read_bounded(file, LARGEST);
        let bytes = bytes.map_err(cass_run::Error::io(cass_run::Action::Read, file))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
        let get = |name: &str| {
            let missing = || Error::Run {
                path: file.into(),
                reason: format!("it has no {name}, expected features, labels and k"),
            };
            tensors.get(name).ok_or_else(missing)
        };
        let (features, flags) = (get("features")?, get("labels")?.to_vec2::<u8>()?);
        let (dim, classes) = (features.dims2()?.1, flags.first().map_or(0, Vec::len));
        let of = |row: Vec<u8>| (0..classes).filter(|&class| row[class] == 1).collect();
        let labels = flags.into_iter().map(of).collect();
        let rows = features.flatten_all()?.to_vec1::<f32>()?;
        let k = get("k")?
            .to_vec1::<u32>()?
            .first()
            .map_or(1, |&k| k as usize);
        let mut knn = Self::multi_label(&rows, dim, labels, classes)?;
        knn.rows = rows; // of length 1 to the last digit as they were, not made so again
        Ok((knn, k))
    }

    fn vote(&self, row: &[f32], k: usize, except: Option<usize>) -> Vec<f64> {
        let mut nearest: Vec<(f64, usize)> = (self.rows.chunks_exact(self.dim).enumerate())
            .filter(|(i, _)| Some(*i) != except)
            .map(|(i, other)| (f64::from(dot(row, other)), i))
            .collect();
        let k = k.min(nearest.len());
        let by_similarity =
            |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if k < nearest.len() {
            nearest.select_nth_unstable_by(k, by_similarity);
            nearest.truncate(k);
        }
        nearest.sort_unstable_by(by_similarity);
        let mut votes = vec![0.0; self.classes];
        let highest = nearest.first().map_or(0.0, |n| n.0);
        let mut all = 0.0;
        for (cosine, i) in nearest {
            let vote = ((cosine - highest) / TEMPERATURE).exp();
            all += vote;
            for &class in &self.labels[i] {
                votes[class] += vote;
            }
        }
        votes.iter().map(|v| (v / all).min(1.0)).collect()
    }
}

fn unit_rows(features: &[f32], dim: usize) -> Result<Vec<f32>> {
    let mut rows = Vec::with_capacity(features.len());
    for row in features.chunks(dim) {
        let norm = row
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt();
        if !norm.is_finite() {
            return Err(Error::NotFinite);
        }
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        rows.extend(row.iter().map(|&v| (f64::from(v) * scale) as f32));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bundles of directions, three rows each.
    fn bundles() -> Knn {
        let features = [
            1.0, 0.1, 2.0, 0.0, 3.0, -0.2, //
            0.1, 1.0, 0.0, 5.0, -0.1, 2.0,
        ];
        Knn::new(&features, 2, vec![0, 0, 0, 1, 1, 1], 2).unwrap()
    }

    #[test]
    fn votes_are_weighted_by_similarity() {
        let p = &bundles().probabilities(&[1.0, 0.9], 6).unwrap()[0];
        let unit = |x: f64, y: f64| {
            let n = (x * x + y * y).sqrt();
            (x / n, y / n)
        };
        let query = unit(1.0, 0.9);
        let vote = |x, y| {
            let row = unit(x, y);
            ((query.0 * row.0 + query.1 * row.1) / TEMPERATURE).exp()
        };
        let first = vote(1.0, 0.1) + vote(2.0, 0.0) + vote(3.0, -0.2);
        let second = vote(0.1, 1.0) + vote(0.0, 5.0) + vote(-0.1, 2.0);
        assert!((p[0] - first / (first + second)).abs() < 1e-5, "{p:?}");
    }

    #[test]
    fn a_row_of_several_classes_votes_for_each() {
        let labels = vec![vec![0, 1], vec![1], vec![]];
        let knn = Knn::multi_label(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 2, labels, 2).unwrap();
        let p = &knn.probabilities(&[1.0, 0.0], 3).unwrap()[0];
        assert!((p[0] - 1.0 / 3.0).abs() < 1e-12 && (p[1] - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn more_neighbours_than_rows_are_all_rows() {
        let (knn, query) = (bundles(), [0.3, 0.7]);
        let of = |k| knn.probabilities(&query, k).unwrap();
        assert_eq!(of(6), of(20));
        assert_ne!(of(1), of(6));
    }

    #[test]
    fn a_row_is_no_neighbour_of_itself() {
        let knn = Knn::new(&[1.0, 0.0, 0.9, 0.1, 0.0, 1.0], 2, vec![0, 1, 1], 2).unwrap();
        assert_eq!(knn.leave_one_out(1)[0], [0.0, 1.0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error =
            |features: &[f32], labels| Knn::new(features, 2, labels, 2).unwrap_err().to_string();
        assert!(error(&[1.0, 2.0], vec![0]).contains("1 training images"));
        assert!(error(&[1.0; 3], vec![0, 1]).contains("3 feature values were given, expected 4"));
        assert!(error(&[1.0; 4], vec![0, 2]).contains("sample 1 has class 2"));
        assert!(error(&[1.0, f32::NAN, 1.0, 1.0], vec![0, 1]).contains("not finite"));
        assert!(bundles().probabilities(&[f32::INFINITY, 0.0], 1).is_err());
        assert!(bundles().probabilities(&[0.0], 1).is_err());
        // A zero row has no direction, and no neighbour before the first.
        assert_eq!(
            bundles().probabilities(&[0.0, 0.0], 1).unwrap(),
            [[1.0, 0.0]]
        );
    }
}
