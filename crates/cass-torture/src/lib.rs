#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod ground;
mod kinds;
mod process;
mod subject;
mod tally;

use crate::ground::Ground;
use crate::kinds::{Case, KINDS, Verdict};
use crate::tally::Tally;
use anyhow::Result;
use cass_rng::Rng;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Arguments of `torture`.
#[derive(Default, clap::Args)]
pub struct Args {
    /// How long to go on; a case that has begun is ended.
    #[arg(long, value_name = "M", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub minutes: u64,
    /// Decides every case.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// This case alone.
    #[arg(long, value_name = "CASE")]
    pub case: Option<u64>,
    /// Only faults whose names contain this.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Another `cass` than the debug build of this checkout.
    #[arg(long, value_name = "FILE")]
    pub cass: Option<PathBuf>,
    /// Leave the folder of a lost case, and say where.
    #[arg(long)]
    pub keep: bool,
}

/// Runs a campaign against a `cass`; exit code 1 where a case was lost.
///
/// # Errors
/// If the undisturbed runs, which every case is held to, cannot be had.
pub fn torture(args: &Args, cass: &Path) -> Result<ExitCode> {
    let end = Instant::now() + Duration::from_secs(60 * args.minutes);
    let ground = Ground::new(cass)?;
    eprintln!(
        "torture: seed {}, {} minutes, {}",
        args.seed,
        args.minutes,
        cass.display()
    );
    let mut tally = Tally::default();
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    let mut number = args.case.unwrap_or_default();
    while Instant::now() < end {
        let kind = &KINDS[number as usize % KINDS.len()];
        let alone = args.case.is_some();
        if wanted(kind.name) || alone {
            let rng = Rng::new(args.seed, "torture", [number, 0], 0);
            let mut case = Case::new(&ground, number, rng)?;
            let verdict = match (kind.run)(&mut case) {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Lost(format!("{error:#}")),
            };
            if let Verdict::Lost(why) = &verdict {
                eprintln!(
                    "LOST {} (--seed {} --case {number}): {why}",
                    kind.name, args.seed
                );
                eprintln!("     {}", case.told());
                if args.keep {
                    eprintln!("     kept in {}", case.keep().display());
                }
            }
            tally.count(kind.name, verdict);
        }
        number += 1;
        if alone {
            break;
        }
    }
    print!("{tally}");
    Ok(match tally.lost() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
