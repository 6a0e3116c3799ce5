//! L-BFGS by `argmin`, in coordinates that are made round where it is slow, and what became of it.

use super::Found;
use super::objective::Objective;
use super::round::Coordinates;
use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use std::cell::RefCell;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// The objective, which gives value and gradient at once and is asked for them one after the other.
struct Problem<'a> {
    objective: &'a Objective<'a>,
    coordinates: &'a Coordinates,
    tolerance: f64,
    seen: &'a RefCell<Seen>,
}

/// What was computed so far.
#[derive(Default)]
struct Seen {
    last: Option<Evaluated>,
    /// The point with the shortest gradient.
    best: Option<Point>,
    /// The lowest loss, and where it is.
    lowest: Option<(f64, Vec<f64>)>,
    evaluations: usize,
}

/// The objective at one point.
struct Evaluated {
    at: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

/// Parameters, and the length of the gradient by them.
struct Point {
    params: Vec<f64>,
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
        if seen.is_short(self.tolerance) {
            return Err(Error::msg("the gradient is short enough"));
        }
        let params = self.coordinates.params(at);
        let (loss, gradient) = self.objective.at(&params);
        let slope = norm(&gradient);
        seen.evaluations += 1;
        if seen
            .lowest
            .as_ref()
            .is_none_or(|(lowest, _)| loss < *lowest)
        {
            seen.lowest = Some((loss, params.clone()));
        }
        if seen.best.as_ref().is_none_or(|best| slope < best.slope) {
            seen.best = Some(Point { params, slope });
        }
        Ok(take(seen.last.insert(Evaluated {
            at: at.to_vec(),
            loss,
            gradient: self.coordinates.gradient(&gradient),
        })))
    }
}

impl Seen {
    /// Whether there is a point whose gradient is no longer than that.
    fn is_short(&self, tolerance: f64) -> bool {
        self.best
            .as_ref()
            .is_some_and(|best| best.slope <= tolerance)
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
///
/// A step costs a pass over the features for each output, round coordinates one for each feature: so that neither is
/// dear, the first are made after some of the second's time, and again after as many steps.
pub(super) fn minimise(
    objective: &Objective,
    start: Vec<f64>,
    tolerance: f64,
    iterations: usize,
) -> Found {
    let seen = RefCell::new(Seen::default());
    let stage = 50 + objective.dim() / 8;
    let mut coordinates = Coordinates::plain(start.clone(), objective.outputs());
    let mut left = iterations;
    while left > 0 {
        let problem = Problem {
            objective,
            coordinates: &coordinates,
            tolerance,
            seen: &seen,
        };
        // The solver ends with an error at a gradient that is short enough, and where rounding leaves the line search no
        // way down. The best point is the best point in any case, and its gradient alone says whether it is good enough.
        let _ = solve(problem, objective.params(), left.min(stage));
        left -= left.min(stage);
        let mut seen = seen.borrow_mut();
        seen.last = None;
        if seen.is_short(tolerance) || left == 0 {
            break;
        }
        let Some((_, lowest)) = &seen.lowest else {
            break; // nowhere is the loss a number
        };
        coordinates = Coordinates::round(objective, lowest.clone());
    }
    let Seen {
        best, evaluations, ..
    } = seen.into_inner();
    Found {
        converged: best.as_ref().is_some_and(|best| best.slope <= tolerance),
        params: best.map_or(start, |best| best.params),
        evaluations,
    }
}

fn solve(problem: Problem, params: usize, iterations: usize) -> Result<(), Error> {
    let line = MoreThuenteLineSearch::new().with_c(1e-4, 0.9)?;
    let solver = LBFGS::new(line, MEMORY)
        .with_tolerance_grad(0.0)?
        .with_tolerance_cost(0.0)?;
    Executor::new(problem, solver)
        .configure(|state| state.param(vec![0.0; params]).max_iters(iterations as u64))
        .run()?;
    Ok(())
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}
