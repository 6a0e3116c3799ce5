//! Coordinates in which the objective is nearly round, so that few steps lead down.
//!
//! Features of a network go together: some directions of them vary a thousand times as much as others, and L-BFGS would
//! need thousands of steps. Their second moments and the penalty say beforehand how the objective curves; in coordinates
//! that take it out (a Cholesky factor's) dozens of steps do. The minimum is the same.

use super::objective::Objective;
use crate::Result;
use candle_core::{DType, Device, Tensor};
use cass_ops::Tracked;
use cass_ops::nn::linear;
use nalgebra::{Cholesky, DMatrix};

/// Rows for each feature that say how features go together; of more, so many are taken, evenly apart.
const ROWS: usize = 4;

/// What the loss is taken to curve by at least: where it does not, every step is far too long.
const LEAST_CURVATURE: f64 = 1e-4;

/// The second moments `(D, D)` of standardised features, weighted as the objective weights rows.
pub(super) struct Moments(DMatrix<f64>);

impl Moments {
    /// Reads them from some of the objective's rows. The same bits whatever the number of threads.
    ///
    /// # Errors
    /// If there is no room for them.
    pub(super) fn of(objective: &Objective) -> Result<Self> {
        let (rows, dim) = (objective.rows(), objective.dim());
        let apart = rows.div_ceil(ROWS * dim).max(1);
        let taken: Vec<usize> = (0..rows).step_by(apart).collect();
        let n = taken.len();
        let mut columns = vec![0f32; dim * n]; // (D, n)
        let mut z = vec![0.0; dim];
        for (place, &row) in taken.iter().enumerate() {
            let weight = (objective.weight(row) * apart as f64).sqrt();
            objective.standardised(row, &mut z);
            for (column, z) in columns.chunks_exact_mut(n).zip(&z) {
                column[place] = (weight * z) as f32;
            }
        }
        let columns = Tracked::constant(&Tensor::from_vec(columns, (dim, n), &Device::Cpu)?);
        let moments = linear(&columns, &columns, None)?.into_value();
        let moments = moments
            .to_dtype(DType::F64)?
            .flatten_all()?
            .to_vec1::<f64>()?;
        Ok(Self(DMatrix::from_vec(dim, dim, moments)))
    }
}

/// The coordinates for one strength of the penalty.
pub(super) struct Round {
    /// `L` of `L Lᵀ = curvature × moments + penalty`.
    factor: DMatrix<f64>,
    /// What an intercept is multiplied by.
    intercept: f64,
    outputs: usize,
}

impl Round {
    /// Coordinates for the objective as it is now, near `params`; `None` where rounding leaves the moments no factor, which costs time
    /// alone.
    pub(super) fn of(objective: &Objective, moments: &Moments, params: &[f64]) -> Option<Self> {
        let (dim, outputs) = (objective.dim(), objective.outputs());
        // Where classes are told apart well, the loss curves little.
        let curvature = objective.curvature(params).max(LEAST_CURVATURE);
        let mut matrix = &moments.0 * curvature;
        // Moments were summed in f32.
        let rounding = matrix.trace() / dim.max(1) as f64 * f64::from(f32::EPSILON) * 10.0;
        for i in 0..dim {
            matrix[(i, i)] += objective.penalty().max(rounding);
        }
        Some(Self {
            factor: Cholesky::new(matrix)?.unpack(),
            intercept: curvature.sqrt(),
            outputs,
        })
    }

    /// Coefficients `(outputs, D)` and intercepts at these coordinates: `L⁻ᵀ u`.
    pub(super) fn params(&self, at: &[f64]) -> Vec<f64> {
        self.with(at, 1.0 / self.intercept, |m| {
            self.factor.tr_solve_lower_triangular_mut(m);
        })
    }

    /// The coordinates of coefficients and intercepts: `Lᵀ w`.
    pub(super) fn coordinates(&self, params: &[f64]) -> Vec<f64> {
        self.with(params, self.intercept, |m| *m = self.factor.tr_mul(m))
    }

    /// The gradient by the coordinates, of that by coefficients and intercepts: `L⁻¹ g`.
    pub(super) fn gradient(&self, by_params: &[f64]) -> Vec<f64> {
        self.with(by_params, 1.0 / self.intercept, |m| {
            self.factor.solve_lower_triangular_mut(m);
        })
    }

    /// Does something to coefficients, as a matrix with a column for each output, and scales intercepts.
    fn with(&self, params: &[f64], scale: f64, map: impl FnOnce(&mut DMatrix<f64>)) -> Vec<f64> {
        let dim = self.factor.nrows();
        let (coefficients, intercepts) = params.split_at(self.outputs * dim);
        let mut matrix = DMatrix::from_column_slice(dim, self.outputs, coefficients);
        map(&mut matrix);
        let scaled = intercepts.iter().map(|value| scale * value);
        matrix.iter().copied().chain(scaled).collect()
    }
}
