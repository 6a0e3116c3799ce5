//! `cass data`: data sets.

mod check;
mod html;
mod list;
mod phantom;
mod preview;

use crate::failure::Result;
use crate::say::Report;
use clap::Subcommand;

/// Check, list, look at and draw data sets.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    List(list::Args),
    Preview(preview::Args),
    Phantom(phantom::Args),
}

pub fn run(args: Args) -> Result<Report> {
    match args.command {
        Command::Check(args) => check::run(args),
        Command::List(args) => list::run(args),
        Command::Preview(args) => preview::run(args),
        Command::Phantom(args) => phantom::run(args),
    }
}
