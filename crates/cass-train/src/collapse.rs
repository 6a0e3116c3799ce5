//! How far features have collapsed, measured.

use cass_run::Collapse;
use nalgebra::DMatrix;

/// Reads how far `features` have collapsed, row-major with shape (rows, `dim`).
///
/// `None` where no reading exists: fewer than two rows, an incomplete row or a value that is
/// not finite. Computed in f64; the time is that of one eigenvalue problem of size
/// min(rows, dim).
///
/// ```
/// use cass_train::collapse::collapse_of;
/// let healthy = collapse_of(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0], 2).unwrap();
/// assert!(healthy.mean_cosine < 0.0 && healthy.effective_rank > 1.99);
/// let point = collapse_of(&[1.0, 2.0, 1.0, 2.0], 2).unwrap();
/// assert!(point.mean_cosine > 0.999 && point.effective_rank == 0.0 && point.std == 0.0);
/// ```
pub fn collapse_of(features: &[f32], dim: usize) -> Option<Collapse> {
    let complete = dim > 0 && features.len().is_multiple_of(dim);
    if !complete || features.len() < 2 * dim || !features.iter().all(|v| v.is_finite()) {
        return None;
    }
    let rows = features.len() / dim;
    let mut centred = DMatrix::from_row_iterator(rows, dim, features.iter().map(|&v| f64::from(v)));
    let norm = centred.norm();
    for mut column in centred.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    let std = |column: &[f64]| dot(column, column) / (rows - 1) as f64;
    let stds = centred.as_slice().chunks_exact(rows).map(std);
    Some(Collapse {
        mean_cosine: mean_cosine(features, dim),
        std: stds.map(f64::sqrt).sum::<f64>() / dim as f64,
        effective_rank: effective_rank(&centred, 1e-7 * norm),
    })
}

/// The sum of all pairs' products is (|sum of rows|² - sum of |row|²) / 2: linear in the rows.
fn mean_cosine(features: &[f32], dim: usize) -> f64 {
    let mut sum = vec![0.0; dim];
    let mut nonzero = 0.0;
    for row in features.chunks_exact(dim) {
        let norm = row
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            nonzero += 1.0;
            for (s, &v) in sum.iter_mut().zip(row) {
                *s += f64::from(v) / norm;
            }
        }
    }
    let rows = (features.len() / dim) as f64;
    let mean = (dot(&sum, &sum) - nonzero) / (rows * (rows - 1.0));
    mean.clamp(-1.0, 1.0)
}

/// The effective rank by the singular values above `floor`, through the smaller of the two Gram matrices.
fn effective_rank(centred: &DMatrix<f64>, floor: f64) -> f64 {
    let gram = if centred.nrows() < centred.ncols() {
        centred * centred.transpose()
    } else {
        centred.transpose() * centred
    };
    let mut singular: Vec<f64> = gram
        .symmetric_eigenvalues()
        .iter()
        .map(|v| v.max(0.0).sqrt())
        .filter(|&s| s > floor)
        .collect();
    if singular.is_empty() {
        return 0.0;
    }
    singular.sort_by(f64::total_cmp);
    let total: f64 = singular.iter().sum();
    let entropy: f64 = singular
        .iter()
        .map(|s| s / total)
        .map(|p| -p * p.ln())
        .sum();
    entropy.exp()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize)]
    struct Case {
        features: Vec<Vec<f32>>,
        #[serde(flatten)]
        expected: Collapse,
    }

    #[test]
    fn equals_the_definitions_in_numpy() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/golden/collapse/golden.json"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let mut cases: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        cases.remove("versions");
        assert_eq!(cases.len(), 9);
        for (name, case) in cases {
            let Case { features, expected } = serde_json::from_value(case).unwrap();
            let got = collapse_of(&features.concat(), features[0].len()).unwrap();
            // Squaring into a Gram matrix costs half the digits of the smallest singular values.
            for (got, expected, tolerance) in [
                (got.mean_cosine, expected.mean_cosine, 1e-12),
                (got.effective_rank, expected.effective_rank, 1e-7),
                (got.std, expected.std, 1e-12),
            ] {
                assert!(
                    (got - expected).abs() <= tolerance * expected.abs().max(1.0),
                    "{name}: {got} for {expected}"
                );
            }
        }
    }

    #[test]
    fn no_reading_without_two_finite_rows() {
        assert_eq!(collapse_of(&[], 3), None);
        assert_eq!(collapse_of(&[1.0, 2.0, 3.0], 3), None);
        assert_eq!(collapse_of(&[1.0; 7], 3), None);
        assert_eq!(collapse_of(&[1.0; 6], 0), None);
        assert_eq!(collapse_of(&[1.0, f32::NAN, 3.0, 4.0], 2), None);
    }

    #[test]
    fn large_values_do_not_overflow() {
        let got = collapse_of(&[3e38, 0.0, 0.0, 3e38, 3e38, 3e38], 2).unwrap();
        assert!(got.mean_cosine.is_finite() && got.std.is_finite());
        assert!(got.effective_rank > 1.0);
    }
}
