//! The commands of a reproduction within a program of one's own, which knows where its `cass` is:
//! `cargo run -p cass-reproduce --example own_command -- reproduce --table 3 --dry-run`.

use cass_reproduce::{Command, Device, Host, failed};
use clap::Parser;
use std::process::ExitCode;

/// A laboratory's own tool.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let host = Host {
        caller: "lab",
        base: std::env::temp_dir(),
        cass: &|device: &Device| {
            eprintln!("for {}: the `cass` in PATH", device.0);
            Ok("cass".into())
        },
        commit: &|| None,
    };
    let done = Cli::parse().command.run(&host);
    done.unwrap_or_else(|error| failed(&error))
}
