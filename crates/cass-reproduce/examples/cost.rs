//! What a table takes on this computer, before anything runs: `cargo run -p cass-reproduce --example cost -- 3 paper`.

use cass_reproduce::{Command, Device, Host, cores};
use clap::Parser;
use std::env;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let table = arguments.next().unwrap_or_else(|| "3".into());
    let profile = arguments.next().unwrap_or_else(|| "small".into());
    println!("on {} cores:", cores());
    let cli = Cli::try_parse_from(["cost", "plan", "--table", &table, "--profile", &profile])?;
    let host = Host {
        caller: "cost",
        base: env::current_dir()?,
        cass: &|_: &Device| Ok("cass".into()),
        commit: &|| None,
    };
    cli.command.run(&host)?;
    Ok(())
}
