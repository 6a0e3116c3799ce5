//! The penalised mean loss and its gradient, over chunks of rows that do not depend on the number of threads.

use super::kernels::{COLUMNS, Dots, ROWS, add_scaled};
use super::standard::Standard;
use rayon::prelude::*;
use std::ops::Range;

/// Rows a chunk, whose sums are added up in order.
const CHUNK: usize = 128;

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// One logit: that of target 1.
    Sigmoid,
    /// So many logits, one a target.
    Softmax(usize),
}

/// `Σ w_i loss_i / Σ w_i + |coefficients|² / (2 C Σ w_i)`: scikit-learn's objective over `C Σ w_i`.
pub(super) struct Objective<'a> {
    features: &'a [f32],
    standard: &'a Standard,
    targets: Vec<usize>,
    /// Weight of each row; they sum to 1.
    weights: Vec<f64>,
    /// Sum of the weights before they were divided by it.
    total: f64,
    link: Link,
    penalty: f64,
}

/// What some rows add.
struct Sums {
    loss: f64,
    gradient: Vec<f64>,
}

impl<'a> Objective<'a> {
    pub(super) fn new(
        features: &'a [f32],
        standard: &'a Standard,
        targets: Vec<usize>,
        mut weights: Vec<f64>,
        link: Link,
    ) -> Self {
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        Self {
            features,
            standard,
            targets,
            weights,
            total,
            link,
            penalty: 0.0,
        }
    }

    pub(super) fn set_inverse_strength(&mut self, c: f64) {
        self.penalty = 1.0 / (c * self.total);
    }

    /// How many there are: coefficients (outputs, D), then intercepts.
    pub(super) fn params(&self) -> usize {
        self.outputs() * (self.dim() + 1)
    }

    pub(super) fn dim(&self) -> usize {
        self.standard.mean.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn outputs(&self) -> usize {
        match self.link {
            Link::Sigmoid => 1,
            Link::Softmax(outputs) => outputs,
        }
    }

    /// What half the square of each coefficient is multiplied by.
    pub(super) fn penalty(&self) -> f64 {
        self.penalty
    }

    /// The standardised features of a row.
    pub(super) fn standardised(&self, row: usize, z: &mut [f64]) {
        let dim = self.dim();
        let features = &self.features[row * dim..(row + 1) * dim];
        self.standard.apply(features, z, 0..dim);
    }

    /// The second derivative of each row's weighted loss by one of its logits, the mean over logits.
    pub(super) fn curvatures(&self, params: &[f64]) -> Vec<f64> {
        let (dim, outputs) = (self.dim(), self.outputs());
        let (coefficients, intercepts) = params.split_at(outputs * dim);
        let of = |z: &mut Vec<f64>, row: usize| {
            self.standardised(row, z);
            let logits = coefficients.chunks_exact(dim).zip(intercepts);
            let logits =
                logits.map(|(w, b)| b + w.iter().zip(&*z).map(|(w, z)| w * z).sum::<f64>());
            let mut p: Vec<f64> = logits.collect();
            match self.link {
                Link::Sigmoid => p[0] = sigmoid(p[0]),
                Link::Softmax(_) => _ = softmax(&mut p),
            }
            let sum: f64 = p.iter().map(|p| p * (1.0 - p)).sum();
            self.weights[row] * sum / outputs as f64
        };
        let rows = (0..self.rows()).into_par_iter();
        rows.map_init(|| vec![0.0; dim], of).collect()
    }

    /// The objective at `params`, and its gradient.
    pub(super) fn at(&self, params: &[f64]) -> (f64, Vec<f64>) {
        let chunks = self.features.par_chunks(CHUNK * self.dim()).enumerate();
        let parts: Vec<Sums> = chunks
            .map(|(chunk, features)| {
                pulp::Arch::new().dispatch(|| self.part(chunk * CHUNK, features, params))
            })
            .collect();
        let mut loss = 0.0;
        let mut gradient = vec![0.0; params.len()];
        for part in parts {
            loss += part.loss;
            for (sum, g) in gradient.iter_mut().zip(part.gradient) {
                *sum += g;
            }
        }
        let coefficients = self.outputs() * self.dim();
        for (g, w) in gradient.iter_mut().zip(&params[..coefficients]) {
            loss += 0.5 * self.penalty * w * w;
            *g += self.penalty * w;
        }
        (loss, gradient)
    }

    /// What the rows of `features`, of which the first is row `start`, add.
    #[inline(always)]
    fn part(&self, start: usize, features: &[f32], params: &[f64]) -> Sums {
        let (dim, outputs) = (self.dim(), self.outputs());
        let (coefficients, intercepts) = params.split_at(outputs * dim);
        let mut part = Sums {
            loss: 0.0,
            gradient: vec![0.0; params.len()],
        };
        let (slopes, offsets) = part.gradient.split_at_mut(outputs * dim);
        let mut z = vec![0.0; ROWS * dim];
        let columns = || {
            (0..dim)
                .step_by(COLUMNS)
                .map(|at| at..(at + COLUMNS).min(dim))
        };
        let mut dots = vec![Dots::default(); outputs];
        let mut logits = vec![[0.0; ROWS]; outputs];
        let mut row = vec![0.0; outputs];
        for (block, features) in features.chunks(ROWS * dim).enumerate() {
            let rows = features.len() / dim;
            z[rows * dim..].fill(0.0);
            dots.fill(Dots::default());
            for columns in columns() {
                for (features, z) in features.chunks_exact(dim).zip(z.chunks_exact_mut(dim)) {
                    self.standard.apply(features, z, columns.clone());
                }
                let four = four(&z, dim, &columns);
                for (dots, w) in dots.iter_mut().zip(coefficients.chunks_exact(dim)) {
                    dots.add(four, &w[columns.clone()]);
                }
            }
            for ((logits, dots), b) in logits.iter_mut().zip(&dots).zip(intercepts) {
                *logits = dots.sums().map(|dot| dot + b);
            }
            for i in 0..rows {
                let sample = start + block * ROWS + i;
                let (target, weight) = (self.targets[sample], self.weights[sample]);
                for (value, logits) in row.iter_mut().zip(&logits) {
                    *value = logits[i];
                }
                part.loss += weight * self.link.loss(&mut row, target);
                for (logits, slope) in logits.iter_mut().zip(&row) {
                    logits[i] = weight * slope;
                }
            }
            for logits in &mut logits {
                logits[rows..].fill(0.0); // rows that are not there
            }
            for columns in columns() {
                let four = four(&z, dim, &columns);
                for (slopes, factors) in slopes.chunks_exact_mut(dim).zip(&logits) {
                    add_scaled(&mut slopes[columns.clone()], *factors, four);
                }
            }
            for (offset, factors) in offsets.iter_mut().zip(&logits) {
                *offset += factors.iter().sum::<f64>();
            }
        }
        part
    }
}

/// These columns of four rows of `z`.
#[inline(always)]
fn four<'z>(z: &'z [f64], dim: usize, columns: &Range<usize>) -> [&'z [f64]; ROWS] {
    std::array::from_fn(|i| &z[i * dim..(i + 1) * dim][columns.clone()])
}

impl Link {
    /// The loss of one row, whose logits become its gradient by them.
    fn loss(self, logits: &mut [f64], target: usize) -> f64 {
        match self {
            Self::Sigmoid => {
                let logit = logits[0];
                logits[0] = sigmoid(logit) - target as f64;
                let against = if target == 1 { -logit } else { logit };
                // log(1 + exp(x)), whatever the size of x
                against.max(0.0) + (-against.abs()).exp().ln_1p()
            }
            Self::Softmax(_) => {
                let own = logits[target];
                let log_sum = softmax(logits);
                logits[target] -= 1.0;
                log_sum - own
            }
        }
    }
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

/// Makes logits probabilities; the logarithm of the sum of their exponentials.
pub(super) fn softmax(logits: &mut [f64]) -> f64 {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in logits.iter_mut() {
        *value = (*value - highest).exp();
        sum += *value;
    }
    logits.iter_mut().for_each(|value| *value /= sum);
    highest + sum.ln()
}
