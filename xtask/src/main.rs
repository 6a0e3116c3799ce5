//! Experiments and checks of the workspace. Links none of its crates: it starts `cass` and reads what it wrote.

mod bench;
mod check;
mod claims;
mod cuda;
mod data;
mod estimate;
mod executor;
mod folder;
mod gather;
mod golden;
mod machine;
mod networks;
mod plan;
mod preview;
mod profile;
mod progress;
mod rebuild;
mod report;
mod reproduce;
mod results;
mod seal;
mod setup;
mod stats;
mod status;
mod table;
#[cfg(unix)]
mod test_slurm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Run tables of the paper, from images to report.html.
    #[command(
        after_help = "Example: cargo xtask reproduce --table 3 --data-root ~/brain-mri --seeds 1"
    )]
    Reproduce(reproduce::Args),
    /// What tables would take, on a device of a stated speed; needs no images.
    #[command(
        after_help = "Example: cargo xtask plan --table all --profile paper --gflops 20000 --jobs 8"
    )]
    Plan(estimate::Args),
    /// Write the report again, from run folders alone; several folders are merged.
    #[command(after_help = "Example: cargo xtask report runs/small other-machine/runs/small")]
    Report {
        /// Output folders of `reproduce`, or single run folders.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Only these tables, or a table file [default: all that the folders were run for].
        #[arg(long, value_name = "N,...")]
        table: Option<String>,
        /// Where the report goes [default: the first DIR].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// The paper's claims and what became of them, from run folders alone.
    #[command(after_help = "Example: cargo xtask claims runs/small --table 3,16")]
    Claims {
        /// Output folders of `reproduce`, or single run folders.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Only these tables, or a table file [default: all that the folders were run for].
        #[arg(long, value_name = "N,...")]
        table: Option<String>,
        /// Print them as JSON, with every comparison.
        #[arg(long)]
        json: bool,
    },
    /// How a job stands, from its run folders alone, whoever runs it.
    #[command(after_help = "Example: cargo xtask status runs/paper")]
    Status(status::Args),
    /// End what was submitted from a folder; the same `reproduce` goes on from there.
    #[command(after_help = "Example: cargo xtask cancel runs/paper")]
    Cancel {
        /// Output folder of `reproduce`.
        dir: PathBuf,
    },
    /// Table 3 on a real Slurm of two nodes on this machine, mistreated meanwhile. Needs root, and apt-get once.
    #[cfg(unix)]
    #[command(after_help = "Example: cargo xtask test-slurm --only node-killed --keep")]
    TestSlurm(test_slurm::Args),
    /// All that must be right before a change is merged; CI runs this.
    #[command(after_help = "Example: cargo xtask check")]
    Check {
        /// Check that the CUDA features compile too; brings its own nvcc, needs no GPU.
        #[arg(long)]
        cuda: bool,
    },
    /// Measure training steps and loading beside PyTorch's, in turn.
    #[command(
        after_help = "Example: cargo xtask bench --against-torch .venv/bin/python --json bench.json"
    )]
    Bench(bench::Args),
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
        Command::Reproduce(args) => reproduce::reproduce(args),
        Command::Plan(args) => estimate::plan(&args),
        Command::Report { dirs, table, out } => rebuild::report(&dirs, table.as_deref(), out),
        Command::Claims { dirs, table, json } => rebuild::claims(&dirs, table.as_deref(), json),
        Command::Status(args) => status::status(&args),
        Command::Cancel { dir } => executor::cancel_job(&dir),
        #[cfg(unix)]
        Command::TestSlurm(args) => test_slurm::test(&args),
        Command::Check { cuda } => check::check(cuda),
        Command::Bench(args) => bench::bench(args),
        Command::Golden {
            check,
            python,
            only,
        } => golden::golden(check, &python, only.as_deref()),
    };
    result.unwrap_or_else(|error| wrong(&format!("{error:#}")))
}

/// One line on standard error, exit code 2: wrong usage or input.
fn wrong(message: &str) -> ExitCode {
    // clap adds usage and hints in further paragraphs.
    let message = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<_> = message.split_whitespace().collect();
    let line = words.join(" ");
    eprintln!("error: {}", line.strip_prefix("error: ").unwrap_or(&line));
    ExitCode::from(2)
}
