//! The command line: `reproduce` and what belongs to it.

mod choice;
mod host;
mod outcome;
mod plan;
mod report;
mod reproduce;
mod setup;
mod status;

pub use choice::{Choice, Room};
pub use host::Host;
pub use plan::Args as PlanArgs;
pub use reproduce::Args as ReproduceArgs;
pub use setup::JobArgs;
pub use status::Args as StatusArgs;

use crate::executor::cancel_job;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// The commands of a reproduction, to be flattened into a program's own.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Run tables of the paper, from images to report.html.
    #[command(after_help = example("reproduce --table 3 --data-root ~/brain-mri --seeds 1"))]
    Reproduce(ReproduceArgs),
    /// What tables would take, on a device of a stated speed; needs no images.
    #[command(after_help = example("plan --table all --profile paper --gflops 20000 --jobs 8"))]
    Plan(PlanArgs),
    /// Write the report again, from run folders alone; several folders are merged.
    #[command(after_help = example("report runs/small other-machine/runs/small"))]
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
    #[command(after_help = example("claims runs/small --table 3,16"))]
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
    /// How a job stands, from its run folders alone, wherever it runs.
    #[command(after_help = example("status runs/paper"))]
    Status(StatusArgs),
    /// End what was submitted from a folder; the same `reproduce` continues from there.
    #[command(after_help = example("cancel runs/paper"))]
    Cancel {
        /// Output folder of `reproduce`.
        dir: PathBuf,
    },
}

impl Command {
    /// Does what was asked. Exit code 0: done; 1: runs failed or cells are incomplete, and the report says which.
    ///
    /// # Errors
    /// Wrong usage or input, as one sentence that names the value and what was expected: exit code 2.
    pub fn run(self, host: &Host) -> Result<ExitCode> {
        match self {
            Command::Reproduce(args) => reproduce::reproduce(args, host),
            Command::Plan(args) => plan::plan(&args, host),
            Command::Report { dirs, table, out } => report::report(&dirs, table.as_deref(), out),
            Command::Claims { dirs, table, json } => report::claims(&dirs, table.as_deref(), json),
            Command::Status(args) => status::status(&args),
            Command::Cancel { dir } => {
                let (job, queue) = cancel_job(&dir)?;
                println!(
                    "{job}: {} running and {} waiting tasks cancelled; the same `reproduce` continues from there",
                    queue.running, queue.waiting
                );
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// One line on standard error. Exit code 75 where another process works in the folder, as `cass` has it, and else 2.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    const ELSEWHERE: u8 = 75;
    let exit = wrong(&format!("{error:#}"));
    match error.downcast_ref::<cass_run::Error>() {
        Some(cass_run::Error::Locked { .. }) => ExitCode::from(ELSEWHERE),
        _ => exit,
    }
}

/// One line on standard error, exit code 2: wrong usage or input.
pub fn wrong(message: &str) -> ExitCode {
    // clap adds usage and hints in further paragraphs.
    let message = message.split("\n\n").next().unwrap_or(message);
    let words: Vec<_> = message.split_whitespace().collect();
    let line = words.join(" ");
    let line = cass_run::printable(&line);
    eprintln!("error: {}", line.strip_prefix("error: ").unwrap_or(&line));
    ExitCode::from(2)
}

/// The last line of a command's help, as the program that offers it is called.
fn example(arguments: &str) -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let caller = match program.file_stem().and_then(|stem| stem.to_str()) {
        Some("xtask") => "cargo xtask",
        Some("cass") => "cass",
        _ => "cass-reproduce",
    };
    // Below `cass reproduce` the other commands stand as they are.
    let inner = caller == "cass" && !arguments.starts_with("reproduce ");
    let between = if inner { "reproduce " } else { "" };
    format!("Example: {caller} {between}{arguments}")
}
