//! Coordinates in which the objective curves about as much in every direction, so that a minimum is near.

use super::kernels::{ROWS, add_scaled};
use super::objective::Objective;
use nalgebra::{Cholesky, DMatrix, Dyn};
use rayon::prelude::*;

/// Rows of features whose squares are added up at once, so that they stay in the cache.
const CHUNK: usize = 8 * ROWS;

/// `params = origin + L⁻ᵀ y` for each output, with `L Lᵀ` the curvature at the origin that the outputs have on
/// average. All outputs share it: what is added to all of them alike changes no probability, and would be a
/// direction without curvature if each had coordinates of its own.
pub(super) struct Coordinates {
    origin: Vec<f64>,
    /// None for `params = origin + y`.
    factor: Option<Cholesky<f64, Dyn>>,
    outputs: usize,
}

impl Coordinates {
    /// The parameters themselves, from `origin` on.
    pub(super) fn plain(origin: Vec<f64>, outputs: usize) -> Self {
        Self {
            origin,
            factor: None,
            outputs,
        }
    }

    /// Those that are round at `origin`; plain ones where the curvature vanishes in some direction.
    pub(super) fn round(objective: &Objective, origin: Vec<f64>) -> Self {
        let factor = Cholesky::new(curvature(objective, &origin));
        Self {
            factor,
            ..Self::plain(origin, objective.outputs())
        }
    }

    /// The parameters at `y`.
    pub(super) fn params(&self, y: &[f64]) -> Vec<f64> {
        let mut params = self.origin.clone();
        let moved = self.each(y, |factor, y| {
            factor.l_dirty().tr_solve_lower_triangular_mut(y)
        });
        for (param, moved) in params.iter_mut().zip(moved) {
            *param += moved;
        }
        params
    }

    /// The gradient by `y`, of that by the parameters.
    pub(super) fn gradient(&self, by_params: &[f64]) -> Vec<f64> {
        self.each(by_params, |factor, g| {
            factor.l_dirty().solve_lower_triangular_mut(g)
        })
    }

    /// Solves for each output's coefficients and intercept.
    fn each(
        &self,
        values: &[f64],
        solve: impl Fn(&Cholesky<f64, Dyn>, &mut DMatrix<f64>) -> bool,
    ) -> Vec<f64> {
        let Some(factor) = &self.factor else {
            return values.to_vec();
        };
        let n = values.len() / self.outputs;
        let (coefficients, intercepts) = values.split_at(values.len() - self.outputs);
        let mut columns = DMatrix::zeros(n, self.outputs);
        for (k, mut column) in columns.column_iter_mut().enumerate() {
            let own = &coefficients[k * (n - 1)..(k + 1) * (n - 1)];
            column
                .as_mut_slice()
                .copy_from_slice(&[own, &intercepts[k..=k]].concat());
        }
        let solved = solve(factor, &mut columns);
        debug_assert!(solved, "a Cholesky factor has no zero on its diagonal");
        let columns = columns.as_slice();
        let coefficients = columns.chunks_exact(n).flat_map(|column| &column[..n - 1]);
        let intercepts = columns.chunks_exact(n).map(|column| &column[n - 1]);
        coefficients.chain(intercepts).copied().collect()
    }
}

/// The Hessian by one output's coefficients and intercept, the mean over outputs, those of two outputs apart. The
/// same bits whatever the number of threads: each row of it is one thread's.
fn curvature(objective: &Objective, params: &[f64]) -> DMatrix<f64> {
    let (rows, dim) = (objective.rows(), objective.dim());
    let n = dim + 1;
    let weights = objective.curvatures(params);
    let mut sums = vec![0.0; n * n];
    let mut scaled = vec![0.0; CHUNK * n];
    for start in (0..rows).step_by(CHUNK) {
        scaled.fill(0.0);
        let chunk = start..(start + CHUNK).min(rows);
        scaled
            .par_chunks_exact_mut(n)
            .zip(chunk)
            .for_each(|(row, i)| {
                objective.standardised(i, &mut row[..dim]);
                row[dim] = 1.0;
                let root = weights[i].sqrt();
                row.iter_mut().for_each(|value| *value *= root);
            });
        sums.par_chunks_exact_mut(n)
            .enumerate()
            .for_each(|(i, sum)| {
                pulp::Arch::new().dispatch(|| {
                    for four in scaled.chunks_exact(ROWS * n) {
                        let four: [&[f64]; ROWS] =
                            std::array::from_fn(|row| &four[row * n..row * n + i + 1]);
                        add_scaled(&mut sum[..=i], four.map(|row| row[i]), four);
                    }
                });
            });
    }
    let mut curvature = DMatrix::from_row_slice(n, n, &sums);
    for i in 0..dim {
        curvature[(i, i)] += objective.penalty();
    }
    // The intercept has no penalty, and no curvature once all is told apart.
    let most = (0..n).map(|i| curvature[(i, i)]).fold(0.0, f64::max);
    curvature[(dim, dim)] += 1e-12 * most;
    curvature
}
