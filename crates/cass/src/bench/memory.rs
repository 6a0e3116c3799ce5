//! `cass bench memory`: how much memory a training step takes.

use super::workload::{Workload, WorkloadArgs};
use crate::failure::Result;
use crate::process;
use crate::say::Report;
use serde_json::json;

/// Measure how much memory training takes: run a few steps and tell the most that was held.
///
/// Weights, the optimiser's moments and gradients are counted; what the program holds before any
/// network is measured; the rest are activations and working memory. The first step reaches nearly
/// all of it; a second one shows what is left over from the first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    work: WorkloadArgs,
    /// Steps to run.
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
}

const EXAMPLE: &str = "\
Examples:
  cass bench memory --size 96 --batch 16
  cass bench memory --cnn resnet50 --vit vit_base_patch16_384 --size 384 --batch 16 --json";

const MIB: f64 = (1u64 << 20) as f64;

pub fn run(args: Args) -> Result<Report> {
    let work = &args.work;
    process::configure(work.threads)?;
    let program = cass_train::memory::peak_rss_mib();
    let mut workload = Workload::new(work)?;
    let mut peaks = Vec::new();
    for _ in 0..args.steps {
        workload.step()?;
        peaks.push(cass_train::memory::peak_rss_mib());
    }
    let peak = peaks.last().copied().flatten();
    let held = workload.held;
    let [weights, optimizer, gradients] =
        [held.weights, held.optimizer, held.gradients].map(|bytes| bytes as f64 / MIB);
    // What is counted is not all there at the moment of the peak: the rest can only be a bound.
    let rest = peak
        .zip(program)
        .map(|(peak, program)| peak as f64 - program as f64 - weights - optimizer - gradients);
    let show = |mib: Option<f64>| mib.map_or("unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
    let as_float = |mib: Option<u64>| mib.map(|mib| mib as f64);
    let text = format!(
        "{} at {} px, batch {}: {} at most over {} steps, {} after the first\n  \
         weights {}, optimiser {}, gradients {}, program {}, activations and working memory {}",
        work.nets().join(" + "),
        work.size,
        work.batch,
        show(as_float(peak)),
        args.steps,
        show(as_float(peaks[0])),
        show(Some(weights)),
        show(Some(optimizer)),
        show(Some(gradients)),
        show(as_float(program)),
        show(rest),
    );
    Ok(Report::done(
        text,
        json!({
            "kind": "bench-memory",
            "method": work.method_name(),
            "nets": work.nets(),
            "size": work.size,
            "batch": work.batch,
            "steps": args.steps,
            "threads": cass_ops::threads::threads(),
            "peak_rss_mib": peak,
            "first_step_mib": peaks[0],
            "program_mib": program,
            "weights_mib": weights,
            "optimizer_mib": optimizer,
            "gradients_mib": gradients,
            "activations_mib": rest,
        }),
    ))
}
