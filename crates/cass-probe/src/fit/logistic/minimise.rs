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
    tolerance: f64,
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
    /// Length of the gradient.
    slope: f64,
}

impl Problem<'_> {
    /// # Errors
    /// If a point was found before from which there is no need to go on.
    fn with<T>(&self, params: &[f64], take: impl Fn(&Evaluated) -> T) -> Result<T, Error> {
        let mut seen = self.seen.borrow_mut();
        if let Some(known) = seen.last.as_ref().filter(|known| known.params == params) {
            return Ok(take(known));
        }
        let slope = seen.best.as_ref().map(|best| best.slope);
        if slope.is_some_and(|slope| slope <= self.tolerance) {
            return Err(Error::msg("the gradient is short enough"));
        }
        let (loss, gradient) = self.objective.at(params);
        let slope = norm(&gradient);
        let found = Evaluated {
            params: params.to_vec(),
            loss,
            gradient,
            slope,
        };
        seen.evaluations += 1;
        if seen.best.as_ref().is_none_or(|best| slope < best.slope) {
            seen.best = Some(found.clone());
        }
        Ok(take(seen.last.insert(found)))
    }
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, params: &Vec<f64>) -> Result<f64, Error> {
        self.with(params, |at| at.loss)
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, params: &Vec<f64>) -> Result<Vec<f64>, Error> {
        self.with(params, |at| at.gradient.clone())
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
        tolerance,
        seen: &seen,
    };
    // The solver ends with an error at a gradient that is short enough, and where rounding leaves the line search no way
    // down. The best point is the best point in any case, and its gradient alone says whether it is good enough.
    let _ = solve(problem, start.clone(), iterations);
    let Seen {
        best, evaluations, ..
    } = seen.into_inner();
    Found {
        converged: best.as_ref().is_some_and(|best| best.slope <= tolerance),
        params: best.map_or(start, |best| best.params),
        evaluations,
    }
}

fn solve(problem: Problem, start: Vec<f64>, iterations: usize) -> Result<(), Error> {
    let line = MoreThuenteLineSearch::new().with_c(1e-4, 0.9)?;
    let solver = LBFGS::new(line, MEMORY)
        .with_tolerance_grad(0.0)?
        .with_tolerance_cost(0.0)?;
    Executor::new(problem, solver)
        .configure(|state| state.param(start).max_iters(iterations as u64))
        .run()?;
    Ok(())
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}
