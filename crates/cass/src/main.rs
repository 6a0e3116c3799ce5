//! The `cass` command: arguments to recipes, recipes to runs, errors to one line and an exit code.

mod attend;
mod bench;
mod choice;
mod cka;
mod compare;
mod completions;
mod data;
mod embed;
mod estimate;
mod evaluate;
mod export;
mod failure;
mod features;
mod fetch;
mod help;
mod hub;
mod images;
mod list;
mod metrics;
mod models;
mod next;
mod options;
mod output;
mod pace;
mod predict;
mod pretrain;
mod probe;
mod process;
mod progress;
mod recompute;
mod reproduce;
mod say;
mod scores;
mod sealed;
mod study;
mod trajectory;
mod verify;

use clap::{FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// Cross-architectural self-supervision for medical images.
///
/// Pretrains a CNN and a Transformer together on images without labels (CASS), or one network with
/// DINO, and measures with a few labels what they learned. Every run leaves a folder: recipe.toml
/// (all settings), log.jsonl, checkpoints and metrics.json.
#[derive(Parser)]
#[command(name = "cass", version, after_help = EXAMPLE, max_term_width = 100)]
struct Cli {
    /// Print the result as one JSON object, the last line of standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example, on drawn images, in a minute or two:
  cass data phantom --out phantoms
  cass pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random \\
      --data-root phantoms --size 64 --epochs 2 --out runs/cass
  cass probe --run runs/cass --arm vit --data-root phantoms --out runs/cass-vit

Exit status: 0 done, 1 the run or check failed, 2 wrong usage or input, 75 another process works in
the run folder, 130 stopped by a signal (the same command continues).";

#[derive(Subcommand)]
enum Command {
    Pretrain(pretrain::Args),
    Probe(probe::Args),
    Predict(predict::Args),
    Evaluate(evaluate::Args),
    Features(features::Args),
    Compare(compare::Args),
    Embed(embed::Args),
    Cka(cka::Args),
    Attend(attend::Args),
    Metrics(metrics::Args),
    Data(data::Args),
    Models(models::Args),
    Export(export::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    Study(study::Args),
    Reproduce(reproduce::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    process::log_to_stderr();
    process::outlive_file_limits();
    process::end_with_owner();
    let done = match cli.command {
        Command::Pretrain(args) => pretrain::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Predict(args) => predict::run(args, cli.json),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Features(args) => features::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Cka(args) => cka::run(args),
        Command::Attend(args) => attend::run(args),
        Command::Metrics(args) => metrics::run(args),
        Command::Data(args) => data::run(args),
        Command::Models(args) => models::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Study(args) => return study::run(args, cli.json),
        Command::Reproduce(args) => return reproduce::run(args),
        Command::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(report) => {
            report.print(cli.json);
            report.exit_code()
        }
        Err(failure) => {
            eprintln!("error: {}", cass_run::printable(&failure.to_string()));
            failure.exit_code()
        }
    }
}
