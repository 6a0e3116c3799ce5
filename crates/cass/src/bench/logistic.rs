//! `cass bench logistic`: how long a logistic regression takes.

use super::spread::Spread;
use crate::failure::{Failure, Result};
use crate::process;
use crate::say::Report;
use cass_probe::fit::{Labels, Logistic, LogisticConfig, LogisticRecipe};
use cass_rng::Rng;
use serde_json::json;
use std::time::Instant;

/// Measure how long `cass probe --mode logistic` fits its classifiers, features being there.
///
/// Features are drawn: of each class they lie around a centre of its own, so near the others that
/// the classes overlap. The whole grid of penalties is fitted, as a probe does, or one of them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Rows of features.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    images: usize,
    /// Features a row.
    #[arg(long, value_name = "D", default_value_t = 2048)]
    dim: usize,
    /// Classes.
    #[arg(long, value_name = "C", default_value_t = 8)]
    classes: usize,
    /// One inverse strength of the penalty instead of the whole grid.
    #[arg(long, value_name = "C")]
    c: Option<f64>,
    /// Repetitions.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Seed of the drawn features.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

const EXAMPLE: &str = "\
Examples:
  cass bench logistic
  cass bench logistic --images 2000 --dim 512 --classes 4 --c 1";

/// How far the centres of classes lie from each other, in standard deviations of a feature.
const APART: f64 = 0.1;

pub fn run(args: Args) -> Result<Report> {
    let Args {
        images,
        dim,
        classes,
        ..
    } = args;
    if dim == 0 || classes < 2 || images < classes {
        let text = "--images, --dim and --classes: expected at least 2 classes, an image of each, and a feature";
        return Err(Failure::Wrong(text.into()));
    }
    process::configure(args.threads)?;
    let labels: Vec<usize> = (0..images).map(|row| row % classes).collect();
    let features = drawn(args.seed, &labels, dim, classes);
    let settings = LogisticRecipe::default();
    let config = LogisticConfig {
        tolerance: settings.tolerance,
        iterations: settings.iterations,
        ..LogisticConfig::default()
    };
    let grid = args.c.map_or(settings.grid, |c| vec![c]);
    let labels = Labels::One(labels);
    let weights = vec![[1.0; 2]; classes];
    let (mut seconds, mut fits) = (Vec::new(), Vec::new());
    for _ in 0..args.repeat {
        let started = Instant::now();
        fits = Logistic::path(&features, dim, &labels, &weights, &config, &grid)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let spread = Spread::of(&seconds);
    let converged = fits.iter().all(|fit| fit.converged);
    let evaluations: usize = fits.iter().map(|fit| fit.evaluations).sum();
    let text = format!(
        "{images} x {dim} features, {classes} classes, {} penalties: {:.2} s ({:.2} to {:.2}), {evaluations} evaluations, {}",
        grid.len(),
        spread.median,
        spread.min,
        spread.max,
        if converged {
            "all converged"
        } else {
            "NOT all converged"
        },
    );
    Ok(Report::done(
        text,
        json!({
            "kind": "bench-logistic",
            "images": images,
            "dim": dim,
            "classes": classes,
            "grid": grid,
            "threads": cass_ops::threads::threads(),
            "median_s": spread.median,
            "evaluations": evaluations,
            "converged": converged,
        }),
    ))
}

/// Normal features around a centre a class.
fn drawn(seed: u64, labels: &[usize], dim: usize, classes: usize) -> Vec<f32> {
    let centre = |class| {
        let mut rng = Rng::new(seed, "centres", [class as u64, 0], 0);
        (0..dim).map(|_| APART * rng.normal()).collect::<Vec<_>>()
    };
    let centres: Vec<Vec<f64>> = (0..classes).map(centre).collect();
    let row = |(row, &label): (usize, &usize)| {
        let mut rng = Rng::new(seed, "features", [row as u64, 0], 0);
        let around = centres[label].iter();
        around
            .map(|centre| (centre + rng.normal()) as f32)
            .collect::<Vec<_>>()
    };
    labels.iter().enumerate().flat_map(row).collect()
}
