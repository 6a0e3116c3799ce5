//! The commands of a reproduction alone, where `cass` is another program: the one that `CASS_BIN` names, or the one in
//! `PATH`.

use cass_reproduce::{Command, Device, Host, failed, wrong};
use clap::Parser;
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    version,
    about = "Reproduce the paper's tables with the `cass` command"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => return wrong(&error.to_string()),
    };
    let host = Host {
        caller: "cass-reproduce",
        base: PathBuf::new(),
        cass: &|_: &Device| Ok(env::var_os("CASS_BIN").map_or_else(|| "cass".into(), PathBuf::from)),
        commit: &|| None,
    };
    let done = cli.command.run(&host);
    done.unwrap_or_else(|error| failed(&error))
}
