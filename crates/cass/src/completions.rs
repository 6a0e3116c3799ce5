//! `cass completions`: what a shell needs to complete the command line.

use crate::failure::{Failure, Result};
use crate::help;
use crate::say::Report;
use clap_complete::{Shell, generate};
use serde_json::json;
use std::io::{self, Write};

/// Print a script with which a shell completes commands, flags and their values.
///
/// Where the script belongs is the shell's matter; the examples are what most installations have.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

const EXAMPLE: &str = "\
Examples:
  cass completions bash > ~/.local/share/bash-completion/completions/cass
  cass completions zsh > ~/.zfunc/_cass          # with fpath+=~/.zfunc ahead of compinit
  cass completions fish > ~/.config/fish/completions/cass.fish
  cass completions powershell >> $PROFILE";

pub fn run(args: &Args) -> Result<Report> {
    let mut script = Vec::new();
    generate(args.shell, &mut help::command(), "cass", &mut script);
    // A reader that has gone away is no error.
    match io::stdout().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Failed(format!(
            "standard output cannot be written to: {error}"
        ))),
        _ => Ok(Report::done(
            String::new(),
            json!({ "shell": args.shell.to_string() }),
        )),
    }
}
