//! `cass models`: the registry.

use crate::failure::Result;
use crate::list;
use crate::say::Report;

/// The networks that can be named, and their ImageNet weights.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Args),
}

pub fn run(args: &Args) -> Result<Report> {
    match &args.command {
        Command::List(args) => list::run(args),
    }
}
