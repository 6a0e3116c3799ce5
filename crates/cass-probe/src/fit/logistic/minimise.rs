//! L-BFGS by `argmin`, and what became of it.

use super::Found;
use super::objective::Objective;
use super::round::Round;
use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use std::cell::RefCell;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// The objective in round coordinates. It gives value and gradient at once, and is asked for them one after the other.
struct Problem<'a> {
    objective: &'a Objective<'a>,
    round: Option<&'a Round>,
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
    at: Vec<f64>,
    params: Vec<f64>,
    loss: f64,
    /// By the coordinates.
    gradient: Vec<f64>,
    /// Length of the gradient by the parameters.
    slope: f64,
}

impl Problem<'_> {
    /// # Errors
    /// If a point was found before from which there is no need to go on.
    fn with<T>(&self, at: &[f64], take: impl Fn(&Evaluated) -> T) -> Result<T, Error> {
        let mut seen = self.seen.borrow_mut();
        if let Some(known) = seen.last.as_ref().filter(|known| known.at == at) {
            return Ok(take(known));
        }
        let slope = seen.best.as_ref().map(|best| best.slope);
        if slope.is_some_and(|slope| slope <= self.tolerance) {
            return Err(Error::msg("the gradient is short enough"));
        }
        let params = self
            .round
            .map_or_else(|| at.to_vec(), |round| round.params(at));
        let (loss, by_params) = self.objective.at(&params);
        let slope = norm(&by_params);
        let found = Evaluated {
            at: at.to_vec(),
            params,
            loss,
            gradient: match self.round {
                Some(round) => round.gradient(&by_params),
                None => by_params,
            },
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

/// Goes downhill from `start` until the gradient is no longer than `tolerance`, in `round` coordinates if there are any.
pub(super) fn minimise(
    objective: &Objective,
    round: Option<&Round>,
    start: Vec<f64>,
    tolerance: f64,
    iterations: usize,
) -> Found {
    let seen = RefCell::new(Seen::default());
    let problem = Problem {
        objective,
        round,
        tolerance,
        seen: &seen,
    };
    let from = round.map_or_else(|| start.clone(), |round| round.coordinates(&start));
    // The solver ends with an error at a gradient that is short enough, and where rounding leaves the line search no way
    // down. The best point is the best point in any case, and its gradient alone says whether it is good enough.
    let _ = solve(problem, from, iterations);
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
