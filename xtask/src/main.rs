//! Checks and measurements of the workspace, and the commands of cass-reproduce over the `cass` of this checkout. Links
//! no tensor library: it starts `cass` and reads what it wrote.

mod bench;
mod check;
mod checkout;
mod cuda;
mod docs;
mod golden;
mod gpu;
mod onnx;
#[cfg(unix)]
mod test_slurm;

use cass_reproduce::{failed, wrong};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Reproduce the paper's tables; check the workspace"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Reproduction(cass_reproduce::Command),
    /// Table 3 on a real Slurm of two nodes on this machine, mistreated meanwhile. Needs root, and apt-get once.
    #[cfg(unix)]
    #[command(after_help = "Example: cargo xtask test-slurm --only node-killed --keep")]
    TestSlurm(test_slurm::Args),
    /// All that must be right before a change is merged; CI runs this.
    #[command(after_help = "Example: cargo xtask check")]
    Check(check::Args),
    /// The tests alone, or the fast ones among them.
    #[command(after_help = "Example: cargo xtask test --fast schedule")]
    Test(check::TestArgs),
    /// Measure training steps and loading next to PyTorch's, in turn.
    #[command(
        after_help = "Example: cargo xtask bench --against-torch .venv/bin/python --json bench.json"
    )]
    Bench(bench::Args),
    /// Build the guide (docs/) as a book of pages, with mdBook.
    #[command(after_help = "Example: cargo xtask docs --open")]
    Docs(docs::Args),
    /// Do to `cass` what computers and people do: kills, damage, full disks, links, hostile recipes and images.
    #[command(after_help = "Example: cargo xtask torture --minutes 20 --seed 1")]
    Torture(cass_torture::Args),
    /// A folder that checks `cass` on a machine with a GPU.
    #[command(after_help = "Example: cargo xtask gpu pack --out gpu")]
    Gpu(gpu::Args),
    /// Compare exported networks of every family with onnxruntime.
    #[command(after_help = "Example: cargo xtask onnx --python .venv/bin/python resnet50 224")]
    Onnx(onnx::Args),
    /// Write the golden files again with PyTorch, or compare.
    #[command(after_help = "Example: cargo xtask golden --check --python .venv/bin/python")]
    Golden {
        /// Change nothing; fail where a file would change.
        #[arg(long)]
        check: bool,
        /// A Python with torch, timm and safetensors.
        #[arg(long, default_value = "python3")]
        python: PathBuf,
        /// Only fixtures whose names contain this.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => return wrong(&error.to_string()),
    };
    let result = match cli.command {
        Command::Reproduction(command) => command.run(&checkout::host()),
        #[cfg(unix)]
        Command::TestSlurm(args) => test_slurm::test(&args),
        Command::Check(args) => check::check(&args),
        Command::Test(args) => check::test(&args),
        Command::Bench(args) => bench::bench(args),
        Command::Docs(args) => docs::build(&args),
        Command::Torture(args) => {
            let cass = args.cass.clone().map_or_else(checkout::debug_cass, Ok);
            cass.and_then(|cass| cass_torture::torture(&args, &cass))
        }
        Command::Gpu(args) => gpu::run(args),
        Command::Onnx(args) => onnx::compare(&args),
        Command::Golden {
            check,
            python,
            only,
        } => golden::golden(check, &python, only.as_deref()),
    };
    result.unwrap_or_else(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_testing::commands_on_pages;
    use clap::error::ErrorKind;

    #[test]
    fn every_line_that_the_pages_show_is_read() {
        let unread = commands_on_pages("cargo xtask")
            .into_iter()
            .filter_map(|line| {
                // Cargo hands on what follows its alias.
                let error = Cli::try_parse_from(&line.words[1..]).err()?;
                (error.kind() != ErrorKind::DisplayHelp).then(|| format!("{}: {error}", line.place))
            });
        let unread: Vec<String> = unread.collect();
        assert!(unread.is_empty(), "{}", unread.join("\n"));
    }
}
