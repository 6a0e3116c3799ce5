//! L-BFGS by `argmin`, and what became of it.

use super::Found;
use super::objective::Objective;
use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use std::cell::RefCell;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// The objective, which gives value and gradient at once and is asked for them one after the other.
struct Problem<'a> {
    objective: &'a Objective<'a>,
    seen: &'a RefCell<Seen>,
}

/// What was computed so far.
#[derive(Default)]
struct Seen {
    last: Option<Evaluated>,
    /// The point with the shortest gradient.
    best: Option<Evaluated>,
    evaluations: usize,
}

/// The objective at one point.
#[derive(Clone)]
struct Evaluated {
    params: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

impl Problem<'_> {
    fn with<T>(&self, params: &[f64], take: impl Fn(&Evaluated) -> T) -> T {
        let mut seen = self.seen.borrow_mut();
        if let Some(known) = seen.last.as_ref().filter(|known| known.params == params) {
            return take(known);
        }
        let (loss, gradient) = self.objective.at(params);
        let found = Evaluated {
            params: params.to_vec(),
            loss,
            gradient,
        };
        seen.evaluations += 1;
        let better = |best: &Evaluated| norm(&found.gradient) < norm(&best.gradient);
        if seen.best.as_ref().is_none_or(better) {
            seen.best = Some(found.clone());
        }
        take(seen.last.insert(found))
    }
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, params: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.with(params, |at| at.loss))
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, params: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.with(params, |at| at.gradient.clone()))
    }
}

/// Goes downhill from `start` until the gradient is no longer than `tolerance`.
pub(super) fn minimise(
    objective: &Objective,
    start: Vec<f64>,
    tolerance: f64,
    iterations: usize,
) -> Found {
    let seen = RefCell::new(Seen::default());
    let problem = Problem {
        objective,
        seen: &seen,
    };
    // Where rounding leaves the line search no way down, the solver ends with an error. The best point is the best
    // point all the same, and its gradient alone says whether it is good enough.
    let _ = solve(problem, start.clone(), tolerance, iterations);
    let Seen {
        best, evaluations, ..
    } = seen.into_inner();
    let converged = best
        .as_ref()
        .is_some_and(|best| norm(&best.gradient) <= tolerance);
    Found {
        params: best.map_or(start, |best| best.params),
        converged,
        evaluations,
    }
}

fn solve(
    problem: Problem,
    start: Vec<f64>,
    tolerance: f64,
    iterations: usize,
) -> Result<(), Error> {
    let line = MoreThuenteLineSearch::new().with_c(1e-4, 0.9)?;
    let solver = LBFGS::new(line, MEMORY)
        .with_tolerance_grad(tolerance)?
        .with_tolerance_cost(0.0)?;
    Executor::new(problem, solver)
        .configure(|state| state.param(start).max_iters(iterations as u64))
        .run()?;
    Ok(())
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}
