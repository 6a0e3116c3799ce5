//! Features in two dimensions: principal components and t-SNE, both without a random number.

use crate::{Error, Result};
use bhtsne::tSNE;
use nalgebra::{DMatrix, SymmetricEigen};

/// Directions iterated together; the more of them besides the two wanted, the faster they are found.
const BLOCK: usize = 12;
/// When a direction counts as found: its residual, in parts of the largest eigenvalue.
const FOUND: f64 = 1e-9;
const MOST_ROUNDS: usize = 300;
/// Neighbours that t-SNE has in mind, where there are images enough (van der Maaten & Hinton 2008).
const PERPLEXITY: f32 = 30.0;
const EPOCHS: usize = 1000;
/// Exactness of the Barnes-Hut approximation, as scikit-learn has it.
const THETA: f32 = 0.5;
/// Standard deviation of the first axis at the start, as scikit-learn's `init="pca"`.
const START: f64 = 1e-4;

/// The first two principal components of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Place of each row along the two. A component points where its largest loading is positive.
    pub points: Vec<[f64; 2]>,
    /// Share of the variance that each explains, in [0, 1]; 0 where nothing varies.
    pub explained: [f64; 2],
}

/// Projects `features`, row-major (N, `dim`), on their first two principal components
/// (`sklearn.decomposition.PCA`), by subspace iteration in f64.
///
/// ```
/// let pca = cass_probe::look::pca(&[0.0, 0.0, 2.0, 2.0, 4.0, 4.0, 1.0, 3.0], 2)?;
/// assert!(pca.explained[0] > 0.8 && pca.points.len() == 4);
/// # Ok::<(), cass_probe::Error>(())
/// ```
///
/// # Errors
/// Fewer than two rows, an incomplete row or a value that is not finite.
pub fn pca(features: &[f32], dim: usize) -> Result<Pca> {
    let centred = centred(features, dim)?;
    let total = centred.norm_squared();
    let (rows, dim) = centred.shape();
    if total == 0.0 {
        let points = vec![[0.0; 2]; rows];
        let explained = [0.0; 2];
        return Ok(Pca { points, explained });
    }
    // Distinct directions to start from: any set that no component is orthogonal to.
    let start = |i: usize, j: usize| ((i * BLOCK + j + 1) as f64 * 0.754_877_666).fract() - 0.5;
    let mut basis = DMatrix::from_fn(dim, BLOCK.min(dim).min(rows), start)
        .qr()
        .q();
    let mut values = [0.0; 2];
    for _ in 0..MOST_ROUNDS {
        let image = &centred * &basis; // (N, block)
        let small = SymmetricEigen::new(image.transpose() * &image);
        let mut order: Vec<usize> = (0..small.eigenvalues.len()).collect();
        order.sort_by(|&a, &b| small.eigenvalues[b].total_cmp(&small.eigenvalues[a]));
        let turned = DMatrix::from_fn(basis.ncols(), basis.ncols(), |i, j| {
            small.eigenvectors[(i, order[j])]
        });
        basis = &basis * turned;
        let next = centred.transpose() * (&centred * &basis);
        let wanted = 0..basis.ncols().min(2);
        for i in wanted.clone() {
            values[i] = small.eigenvalues[order[i]].max(0.0);
        }
        let residual = |i: usize| (next.column(i) - basis.column(i) * values[i]).norm();
        if wanted.clone().all(|i| residual(i) <= FOUND * values[0]) {
            break;
        }
        basis = next.qr().q();
    }
    for mut column in basis.column_iter_mut() {
        let largest = column
            .iter()
            .copied()
            .fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 {
            column.neg_mut();
        }
    }
    let places = &centred * basis;
    let place = |row: usize, i: usize| {
        if i < places.ncols() {
            places[(row, i)]
        } else {
            0.0
        }
    };
    Ok(Pca {
        points: (0..rows)
            .map(|row| [place(row, 0), place(row, 1)])
            .collect(),
        explained: values.map(|value| (value / total).min(1.0)),
    })
}

/// Places features, row-major (N, `dim`), so that neighbours stay neighbours: Barnes-Hut t-SNE
/// (van der Maaten 2014) of Euclidean distances, perplexity 30 or a third of the rows if that is
/// less, 1,000 epochs from `start`. Distances between clusters mean little.
///
/// The same on every machine of the same arithmetic, whatever the number of threads: it uses one.
///
/// # Errors
/// As [`pca`], a `start` of another length, or threads that do not start.
pub fn tsne(features: &[f32], dim: usize, start: &Pca) -> Result<Vec<[f64; 2]>> {
    let centred = centred(features, dim)?;
    let n = centred.nrows();
    if start.points.len() != n {
        return Err(cass_metrics::Error::Length {
            what: "starting points",
            found: start.points.len(),
            expected: n,
        }
        .into());
    }
    if n < 4 {
        return Ok(start.points.clone()); // no neighbourhood to keep
    }
    let spread = start.points.iter().map(|p| p[0] * p[0]).sum::<f64>() / n as f64;
    let scale = if spread > 0.0 {
        START / spread.sqrt()
    } else {
        0.0
    };
    // Rows that are equal start apart, or no force would part them from their likes.
    let nudge = |i: usize| START * 1e-3 * ((i as f64 * 0.618_033_988_7).fract() - 0.5);
    let place = |(i, p): (usize, &[f64; 2])| {
        [0, 1].map(|axis| (p[axis] * scale + nudge(2 * i + axis)) as f32)
    };
    let first: Vec<f32> = start.points.iter().enumerate().flat_map(place).collect();
    let rows: Vec<&[f32]> = features.chunks_exact(dim).collect();
    let perplexity = PERPLEXITY.min((n - 1) as f32 / 3.0);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let one_thread = one_thread.map_err(|error| Error::Threads(error.to_string()))?;
    let placed = one_thread.install(|| {
        let mut tsne: tSNE<f32, &[f32], 2> = tSNE::new(&rows);
        tsne.perplexity(perplexity).epochs(EPOCHS);
        tsne.initial_embedding(first);
        tsne.barnes_hut(THETA, |a, b| {
            let squares = a.iter().zip(b.iter()).map(|(x, y)| (x - y) * (x - y));
            squares.sum::<f32>().sqrt()
        });
        tsne.embedding()
    });
    let (points, _) = placed.as_chunks::<2>();
    if placed.iter().any(|v| !v.is_finite()) {
        return Err(Error::NotFinite);
    }
    Ok(points.iter().map(|p| p.map(f64::from)).collect())
}

/// `(N, dim)` with a mean of 0 in every column.
fn centred(features: &[f32], dim: usize) -> Result<DMatrix<f64>> {
    let rows = features.len() / dim.max(1);
    if rows < 2 || rows * dim != features.len() {
        return Err(cass_metrics::Error::Length {
            what: "feature values",
            found: features.len(),
            expected: rows.max(2) * dim,
        }
        .into());
    }
    if features.iter().any(|v| !v.is_finite()) {
        return Err(Error::NotFinite);
    }
    let values = features.iter().map(|&v| f64::from(v));
    let mut matrix = DMatrix::from_row_iterator(rows, dim, values);
    for mut column in matrix.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_rng::Rng;

    /// `(N, 20)` around three centres, the rows of one after those of another.
    fn clusters(each: usize) -> Vec<f32> {
        let mut rng = Rng::new(0, "features", [0, 0], 0);
        let mut row = |cluster: usize| -> Vec<f32> {
            let centre = |d: usize| if d % 3 == cluster { 4.0 } else { 0.0 };
            (0..20).map(|d| (centre(d) + rng.normal()) as f32).collect()
        };
        (0..3 * each).flat_map(|i| row(i / each)).collect()
    }

    #[test]
    fn components_equal_those_of_an_eigenvalue_problem() {
        let features = clusters(15);
        let got = pca(&features, 20).unwrap();
        let centred = centred(&features, 20).unwrap();
        let all = SymmetricEigen::new(centred.transpose() * &centred);
        let mut values: Vec<f64> = all.eigenvalues.iter().copied().collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let total: f64 = values.iter().sum();
        for axis in 0..2 {
            assert!((got.explained[axis] - values[axis] / total).abs() < 1e-12);
            let variance: f64 = got.points.iter().map(|p| p[axis] * p[axis]).sum();
            assert!((variance / values[axis] - 1.0).abs() < 1e-9);
        }
        let across: f64 = got.points.iter().map(|p| p[0] * p[1]).sum();
        assert!(across.abs() < 1e-6 * total);
    }

    #[test]
    fn what_lies_on_a_line_or_in_a_point_has_no_second_component() {
        let line = pca(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 2).unwrap();
        assert!((line.explained[0] - 1.0).abs() < 1e-12 && line.explained[1] < 1e-12);
        assert!((line.points[2][0] - 2f64.sqrt()).abs() < 1e-9, "{line:?}");
        let point = pca(&[1.0, 2.0, 1.0, 2.0], 2).unwrap();
        assert_eq!((point.explained, point.points[1]), ([0.0; 2], [0.0; 2]));
        assert_eq!(pca(&[1.0, 2.0], 1).unwrap().points[1][1], 0.0);
        assert!(pca(&[1.0, 2.0], 2).is_err());
        assert!(pca(&[1.0, f32::NAN, 1.0, 1.0], 2).is_err());
        assert!(pca(&[1.0; 5], 2).is_err());
    }

    #[test]
    fn neighbours_stay_neighbours_and_nothing_is_drawn() {
        let features = clusters(15);
        let start = pca(&features, 20).unwrap();
        let placed = tsne(&features, 20, &start).unwrap();
        assert_eq!(placed, tsne(&features, 20, &start).unwrap());
        let distance = |a: usize, b: usize| {
            let [x, y] = [0, 1].map(|axis| placed[a][axis] - placed[b][axis]);
            x.hypot(y)
        };
        for i in 0..45 {
            let nearest = (0..45).filter(|&j| j != i);
            let nearest = nearest.min_by(|&a, &b| distance(i, a).total_cmp(&distance(i, b)));
            assert_eq!(nearest.unwrap() / 15, i / 15, "{i}");
        }
    }

    #[test]
    fn few_or_equal_rows_are_placed_too() {
        let few = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let start = pca(&few, 2).unwrap();
        assert_eq!(tsne(&few, 2, &start).unwrap(), start.points);
        let equal = [1.0; 20];
        let start = pca(&equal, 2).unwrap();
        assert_eq!(tsne(&equal, 2, &start).unwrap().len(), 10);
        assert!(tsne(&few, 2, &start).is_err());
    }
}
