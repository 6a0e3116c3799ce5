//! `cass bench`: how fast it is on this machine.

mod loader;
mod step;

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
    Loader(loader::Args),
}

pub fn run(args: Args) -> Result<Report> {
    match args.command {
        Bench::Step(args) => step::run(args),
        Bench::Loader(args) => loader::run(args),
    }
}
