//! `cass reproduce`: the paper's tables, by this very program.

use cass_reproduce::{Command, Device, Host, ReproduceArgs, failed};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run tables of the paper, from images to report.html.
///
/// This program starts itself for every run. Without images it draws phantoms. The other commands
/// estimate a job, say how it stands, write its report again or end it on a cluster.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example: cass reproduce --table 3 --data-root ~/brain-mri --seeds 1"
)]
#[group(id = "reproduction")]
pub struct Args {
    #[command(flatten)]
    job: ReproduceArgs,
    #[command(subcommand)]
    other: Option<Command>,
}

/// Runs it; results are printed as they come, errors are a line and exit code 2.
pub fn run(args: Args) -> ExitCode {
    let command = args.other.unwrap_or(Command::Reproduce(args.job));
    let done = command.run(&host("cass reproduce"));
    done.unwrap_or_else(|error| failed(&error))
}

/// This program, as what starts itself for every run.
pub fn host(caller: &str) -> Host<'_> {
    Host {
        caller,
        base: PathBuf::new(),
        cass: &|_: &Device| match std::env::var_os("CASS_BIN") {
            Some(path) => Ok(path.into()),
            None => Ok(std::env::current_exe()?),
        },
        commit: &|| None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    /// Tables link no network, and have a list of their own.
    #[test]
    fn tables_may_name_every_method() {
        let methods = cass_train::Method::all();
        let ours = methods
            .iter()
            .map(|method| (method.name(), method.arms().len() == 2));
        let (mut ours, mut theirs) = (ours.collect::<Vec<_>>(), cass_reproduce::pretrainings());
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "crates/cass-reproduce/src/table/method.rs");
    }

    #[test]
    fn tables_are_run_where_no_other_command_is_named() {
        Cli::command().debug_assert();
        let read = |words: &[&str]| Cli::try_parse_from([&["reproduce"][..], words].concat());
        let run = read(&["--table", "3", "--seeds", "1"]).ok();
        assert!(run.is_some_and(|cli| cli.args.other.is_none()));
        let status = read(&["status", "runs/demo", "--json"]).ok();
        assert!(status.is_some_and(|cli| matches!(cli.args.other, Some(Command::Status(_)))));
        assert!(read(&[]).is_err(), "no table is named");
        assert!(read(&["--table", "3", "status", "runs/demo"]).is_err());
    }
}
