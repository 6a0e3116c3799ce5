//! `cass bench`: how fast it is on this machine.

mod features;
mod loader;
mod logistic;
mod memory;
mod ops;
mod spread;
mod step;
mod workload;

use crate::failure::Result;
use crate::say::Report;
use clap::Subcommand;

/// Measure how fast parts of the work are on this machine.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Bench,
}

#[derive(Subcommand)]
enum Bench {
    Step(step::Args),
    Ops(ops::Args),
    Memory(memory::Args),
    Loader(loader::Args),
    Features(features::Args),
    Logistic(logistic::Args),
}

pub fn run(args: Args) -> Result<Report> {
    match args.command {
        Bench::Step(args) => step::run(args),
        Bench::Ops(args) => ops::run(args),
        Bench::Memory(args) => memory::run(args),
        Bench::Loader(args) => loader::run(args),
        Bench::Features(args) => features::run(args),
        Bench::Logistic(args) => logistic::run(args),
    }
}
