//! `cass data`: data sets.

mod check;
mod html;
mod phantom;
mod preview;

use crate::failure::Result;
use crate::say::Report;
use clap::Subcommand;
use std::path::PathBuf;

/// Check, look at and draw data sets.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Preview(preview::Args),
    Phantom(phantom::Args),
}

/// Which data set.
#[derive(clap::Args)]
pub struct Source {
    /// Data set: brain-mri, isic2019, biopsies, folder, csv or medmnist.
    #[arg(long, value_name = "NAME", default_value = "brain-mri")]
    pub data: String,
    /// Folder that holds the data set, or a folder of its name.
    #[arg(long, value_name = "DIR")]
    pub data_root: PathBuf,
}

pub fn run(args: Args) -> Result<Report> {
    match args.command {
        Command::Check(args) => check::run(args),
        Command::Preview(args) => preview::run(args),
        Command::Phantom(args) => phantom::run(args),
    }
}
