//! Logistic regression on standardised features: a convex problem, so that it converges to one answer.

mod kernels;
mod minimise;
mod objective;
mod round;
mod standard;
#[cfg(test)]
mod tests;

pub use standard::Standard;

use crate::{Error, Result};
use minimise::minimise;
use objective::{Link, Objective};

/// Classes of the rows of features.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One class for each row: N class indices.
    One(Vec<usize>),
    /// Any number of classes a row: `(N, classes)` row-major, true at each class of a row.
    Any(Vec<bool>),
    /// The same where not all is known: what is not weighs nothing.
    Known(Vec<Option<bool>>),
}

/// Settings of the fit of a [`Logistic`].
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticConfig {
    /// Inverse strength of the L2 penalty, above 0: `C` of scikit-learn.
    pub c: f64,
    /// Length of the gradient of the mean loss (penalty included) at which the fit has converged.
    pub tolerance: f64,
    /// Iterations of L-BFGS at most.
    pub iterations: usize,
}

impl Default for LogisticConfig {
    /// C 1, as scikit-learn's; a gradient that leaves coefficients no visible way to go.
    fn default() -> Self {
        Self {
            c: 1.0,
            tolerance: 1e-7,
            iterations: 2000,
        }
    }
}

/// A fitted logistic regression with an L2 penalty (`sklearn.linear_model.LogisticRegression` after a
/// `StandardScaler`): multinomial where a row is of one class, one against the rest for each class where it is
/// of any number.
///
/// It minimises `C Σ w_i loss_i + ½ |coefficients|²`; intercepts go without a penalty. Two classes have one row
/// of coefficients, as scikit-learn has it. A class that no row is of has probability 0, one that all rows are
/// of has 1.
///
/// ```
/// use cass_probe::fit::{Labels, Logistic, LogisticConfig};
/// let features = [0.0, 1.0, 0.2, 0.8, 1.0, 0.1, 0.9, 0.0];
/// let labels = Labels::One(vec![0, 0, 1, 1]);
/// let fitted = Logistic::fit(&features, 2, &labels, &[[1.0; 2]; 2], &LogisticConfig::default())?;
/// assert!(fitted.converged);
/// assert!(fitted.probabilities(&[0.1, 0.9])?[0][0] > 0.7);
/// # Ok::<(), cass_probe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// Standardisation of the features, which comes first.
    pub standard: Standard,
    /// `(K, D)` row-major, of standardised features; K is the number of classes, 1 for two classes.
    pub coefficients: Vec<f64>,
    /// K values.
    pub intercepts: Vec<f64>,
    /// Whether the gradient reached the tolerance; of several fits, that of every one.
    pub converged: bool,
    /// Times that loss and gradient were computed, of all fits together.
    pub evaluations: usize,
    classes: usize,
    one: bool,
}

/// Logit of a class that is never or always there: its probability is 0 or 1 to the last digit.
const NEVER: f64 = -1e6;

impl Logistic {
    /// Fits `features`, row-major (N, `dim`), to their classes. `weights` has a pair a class: what a row that
    /// is not of the class weighs (only where rows may be of any number of classes), and one that is.
    ///
    /// The same bits whatever the number of threads.
    ///
    /// # Errors
    /// Numbers that do not fit each other, no row, a class out of range, or a feature that is not finite.
    pub fn fit(
        features: &[f32],
        dim: usize,
        labels: &Labels,
        weights: &[[f64; 2]],
        config: &LogisticConfig,
    ) -> Result<Self> {
        let mut path = Self::path(features, dim, labels, weights, config, &[config.c])?;
        Ok(path.remove(0))
    }

    /// Fits once for each inverse strength of `grid`, in its order; each fit starts where the one before ended, so that
    /// rising values are quick.
    ///
    /// # Errors
    /// As [`Logistic::fit`].
    pub fn path(
        features: &[f32],
        dim: usize,
        labels: &Labels,
        weights: &[[f64; 2]],
        config: &LogisticConfig,
        grid: &[f64],
    ) -> Result<Vec<Self>> {
        let classes = weights.len();
        check(features, dim, labels, classes)?;
        let standard = Standard::of(features, dim)?;
        let empty = |_: &f64| Self {
            standard: standard.clone(),
            coefficients: Vec::new(),
            intercepts: Vec::new(),
            converged: true,
            evaluations: 0,
            classes,
            one: matches!(labels, Labels::One(_)),
        };
        let mut path: Vec<Self> = grid.iter().map(empty).collect();
        match labels {
            Labels::One(labels) => {
                let of = |&class: &usize| weights[class][1];
                let weights: Vec<f64> = labels.iter().map(of).collect();
                let present: Vec<usize> = (0..classes).filter(|c| labels.contains(c)).collect();
                let place = |label: &usize| present.iter().position(|c| c == label).unwrap_or(0);
                let targets: Vec<usize> = labels.iter().map(place).collect();
                let link = match present.len() {
                    2 => Link::Sigmoid,
                    n => Link::Softmax(n),
                };
                let fits = along(features, &standard, targets, weights, link, config, grid);
                for (fitted, found) in path.iter_mut().zip(fits) {
                    fitted.take(found, &present);
                }
            }
            Labels::Any(_) | Labels::Known(_) => {
                let targets: Vec<Option<bool>> = match labels {
                    Labels::Known(targets) => targets.clone(),
                    Labels::Any(targets) => targets.iter().copied().map(Some).collect(),
                    Labels::One(_) => Vec::new(),
                };
                for (class, weights) in weights.iter().enumerate() {
                    let column = targets.iter().skip(class).step_by(classes);
                    let column: Vec<Option<bool>> = column.copied().collect();
                    let mut known = column.iter().flatten();
                    let first = known.next().copied().unwrap_or(false);
                    if known.all(|t| *t == first) {
                        let logit = if first { -NEVER } else { NEVER };
                        for fitted in &mut path {
                            fitted.coefficients.extend(vec![0.0; dim]);
                            fitted.intercepts.push(logit);
                        }
                        continue;
                    }
                    let weight = |t: &Option<bool>| t.map_or(0.0, |t| weights[usize::from(t)]);
                    let own = column.iter().map(weight).collect();
                    let column = column.iter().map(|t| usize::from(*t == Some(true)));
                    let column = column.collect();
                    let fits = along(
                        features,
                        &standard,
                        column,
                        own,
                        Link::Sigmoid,
                        config,
                        grid,
                    );
                    for (fitted, found) in path.iter_mut().zip(fits) {
                        fitted.extend(&found);
                    }
                }
            }
        }
        Ok(path)
    }

    /// Takes one row of coefficients after the others.
    fn extend(&mut self, found: &Found) {
        let dim = self.standard.mean.len();
        let (coefficients, intercepts) =
            found.params.split_at(found.params.len() / (dim + 1) * dim);
        self.coefficients.extend(coefficients);
        self.intercepts.extend(intercepts);
        self.converged &= found.converged;
        self.evaluations += found.evaluations;
    }

    /// Takes the rows of the classes that are `present`, and gives the others none.
    fn take(&mut self, found: Found, present: &[usize]) {
        self.extend(&found);
        if present.len() == self.classes {
            return;
        }
        let dim = self.standard.mean.len();
        let (rows, intercepts) = self.rows();
        // One row stands for two classes: half of it for each, in opposite directions.
        let mut all = (vec![0.0; self.classes * dim], vec![NEVER; self.classes]);
        for (place, &class) in present.iter().enumerate() {
            let row = class * dim..(class + 1) * dim;
            all.0[row].copy_from_slice(&rows[place * dim..(place + 1) * dim]);
            all.1[class] = intercepts[place];
        }
        (self.coefficients, self.intercepts) = all;
    }

    /// Coefficients `(rows, D)` and intercepts, one row a class: that of two classes halved, in opposite directions.
    fn rows(&self) -> (Vec<f64>, Vec<f64>) {
        if !self.one || self.intercepts.len() > 1 {
            return (self.coefficients.clone(), self.intercepts.clone());
        }
        let both = |values: &[f64]| -> Vec<f64> {
            let signs = [-0.5, 0.5].into_iter();
            signs
                .flat_map(|s| values.iter().map(move |v| s * v))
                .collect()
        };
        (both(&self.coefficients), both(&self.intercepts))
    }

    /// The linear layer that does the same with features as they are: weights `(classes, D)` row-major and biases.
    pub fn to_linear(&self) -> (Vec<f64>, Vec<f64>) {
        let (mut rows, mut biases) = self.rows();
        let Standard { mean, scale } = &self.standard;
        for (row, bias) in rows.chunks_exact_mut(mean.len()).zip(&mut biases) {
            for ((w, mean), scale) in row.iter_mut().zip(mean).zip(scale) {
                *w /= scale;
                *bias -= *w * mean;
            }
        }
        (rows, biases)
    }

    /// Probabilities (M, classes) of the rows of `features`, row-major (M, D).
    ///
    /// # Errors
    /// An incomplete row.
    pub fn probabilities(&self, features: &[f32]) -> Result<Vec<Vec<f64>>> {
        let dim = self.standard.mean.len();
        check_width(features, dim)?;
        let (rows, intercepts) = self.rows();
        let mut z = vec![0.0; dim];
        let of = |features: &[f32]| {
            self.standard.apply(features, &mut z, 0..dim);
            let logits = rows.chunks_exact(dim).zip(&intercepts);
            let logits = logits.map(|(w, b)| b + w.iter().zip(&z).map(|(w, z)| w * z).sum::<f64>());
            let mut p: Vec<f64> = logits.collect();
            if self.one {
                objective::softmax(&mut p);
            } else {
                p.iter_mut().for_each(|p| *p = objective::sigmoid(*p));
            }
            p
        };
        Ok(features.chunks_exact(dim).map(of).collect())
    }
}

/// One minimum.
struct Found {
    params: Vec<f64>,
    converged: bool,
    evaluations: usize,
}

/// The minima for each inverse strength of the penalty.
fn along(
    features: &[f32],
    standard: &Standard,
    targets: Vec<usize>,
    weights: Vec<f64>,
    link: Link,
    config: &LogisticConfig,
    grid: &[f64],
) -> Vec<Found> {
    let mut objective = Objective::new(features, standard, targets, weights, link);
    let mut params = vec![0.0; objective.params()];
    let mut path = Vec::with_capacity(grid.len());
    for &c in grid {
        objective.set_inverse_strength(c);
        let found = minimise(&objective, params, config.tolerance, config.iterations);
        params = found.params.clone();
        path.push(found);
    }
    path
}

fn check(features: &[f32], dim: usize, labels: &Labels, classes: usize) -> Result<()> {
    check_width(features, dim)?;
    let rows = features.len() / dim.max(1);
    let (what, found, expected) = match labels {
        Labels::One(labels) => ("labels", labels.len(), rows),
        Labels::Any(targets) => ("label flags", targets.len(), rows * classes),
        Labels::Known(targets) => ("label flags", targets.len(), rows * classes),
    };
    if rows == 0 {
        return Err(Error::TooFew {
            part: "training",
            found: 0,
            needed: 1,
        });
    }
    if found != expected {
        return Err(cass_metrics::Error::Length {
            what,
            found,
            expected,
        }
        .into());
    }
    if let Labels::One(labels) = labels
        && let Some(sample) = labels.iter().position(|&label| label >= classes)
    {
        let class = labels[sample];
        return Err(cass_metrics::Error::ClassIndex {
            sample,
            class,
            classes,
        }
        .into());
    }
    Ok(())
}

fn check_width(features: &[f32], dim: usize) -> Result<()> {
    if dim > 0 && features.len().is_multiple_of(dim) {
        return Ok(());
    }
    Err(cass_metrics::Error::Length {
        what: "feature values",
        found: features.len(),
        expected: features.len().next_multiple_of(dim.max(1)).max(dim),
    }
    .into())
}
