//! `cass models`: the registry and the cache of weights.

use crate::failure::Result;
use crate::say::Report;
use crate::{fetch, list};

/// The networks that can be named, and their ImageNet weights.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Args),
    Fetch(fetch::Args),
}

pub fn run(args: &Args) -> Result<Report> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Fetch(args) => fetch::run(args),
    }
}
