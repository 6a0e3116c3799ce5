use crate::{Error, Result};
use std::ops::Range;

/// Means and standard deviations that features are standardised by (`sklearn.preprocessing.StandardScaler`).
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    /// Mean of each feature.
    pub mean: Vec<f64>,
    /// Standard deviation of each feature (of the population: over N), 1 for a feature that does not vary.
    pub scale: Vec<f64>,
}

impl Standard {
    /// Reads them from `features`, row-major (N, `dim`), at least one row.
    ///
    /// # Errors
    /// A feature that is not finite.
    pub fn of(features: &[f32], dim: usize) -> Result<Self> {
        let rows = (features.len() / dim.max(1)).max(1) as f64;
        let mut mean = vec![0.0; dim];
        for row in features.chunks_exact(dim) {
            for (sum, &x) in mean.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= rows);
        let mut variance = vec![0.0; dim];
        for row in features.chunks_exact(dim) {
            for ((sum, &x), mean) in variance.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(x) - mean).powi(2);
            }
        }
        if variance.iter().any(|v| !v.is_finite()) {
            return Err(Error::NotFinite);
        }
        let scale = variance.iter().zip(&mean).map(|(sum, mean)| {
            let variance = sum / rows;
            // What rounding leaves of the variance of equal values, as scikit-learn counts it.
            let rounding = rows * f64::EPSILON * variance + (rows * mean * f64::EPSILON).powi(2);
            if variance <= rounding {
                1.0
            } else {
                variance.sqrt()
            }
        });
        Ok(Self {
            scale: scale.collect(),
            mean,
        })
    }

    /// Standardises these columns of one row into those of `z`.
    #[inline(always)]
    pub(super) fn apply(&self, row: &[f32], z: &mut [f64], columns: Range<usize>) {
        let (mean, scale) = (&self.mean[columns.clone()], &self.scale[columns.clone()]);
        let of = row[columns.clone()].iter().zip(mean).zip(scale);
        for (z, ((&x, mean), scale)) in z[columns].iter_mut().zip(of) {
            *z = (f64::from(x) - mean) / scale;
        }
    }
}
