//! `cass bench ops`: each operation of cass-ops by itself, next to Candle's own.

mod agree;
mod case;
mod cases;
mod measure;
mod roofline;
mod table;
mod updates;

use crate::failure::{Failure, Result};
use crate::process;
use crate::say::Report;
use cases::Entry;
use measure::Measured;
use roofline::Rooflines;
use serde_json::json;

/// Time every operation by itself, forward and backward, at the shapes of the paper's networks.
///
/// Beside each stands what Candle offers for it, with as many threads and the same input. Candle's
/// gradients are compared with ours first: where there are none, or others, the table says so and
/// gives no time. Rates count the arithmetic of the definition (Winograd's way needs less of it),
/// or, where memory is the limit, each tensor once; their shares are of a matrix product and of a
/// copy, both measured in the same process.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Only operations whose names contain this.
    #[arg(long, value_name = "TEXT")]
    op: Option<String>,
    /// Images an operation gets.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Measurements of each, after one that warms up.
    #[arg(long, value_name = "K", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    repeats: u64,
    /// Instead of times: compare values and gradients on this device, in f32, with a CPU's in f64.
    #[arg(long, value_name = "DEVICE")]
    against_cpu: Option<String>,
    /// Worker threads, ours and Candle's; 0 for one a core.
    #[arg(long, value_name = "T", default_value_t = 0)]
    threads: usize,
}

const EXAMPLE: &str = "\
Examples:
  cass bench ops
  cass bench ops --op conv2d --threads 1 --json
  cass bench ops --batch 2 --against-cpu cuda";

pub fn run(args: Args) -> Result<Report> {
    let batch = usize::try_from(args.batch).unwrap_or(usize::MAX);
    let entries = cases::all(batch);
    let known: Vec<_> = entries.iter().map(|entry| entry.op()).collect();
    let wanted = args.op.as_deref().unwrap_or_default();
    if !known.iter().any(|op| op.contains(wanted)) {
        let known = known.join(", ");
        let text = format!("--op {wanted}: no operation's name contains it; there are {known}");
        return Err(Failure::Wrong(text));
    }
    process::configure_for_candle(args.threads)?;
    if let Some(device) = &args.against_cpu {
        let device = cass_train::device::open_device(device)?;
        let cases = entries.iter().filter_map(Entry::case);
        let cases = cases.filter(|case| case.op.contains(wanted));
        return Ok(agree::compare(cases, &device));
    }
    let rooflines = Rooflines::measure();
    let mut all: Vec<Measured> = Vec::new();
    for entry in entries {
        if entry.op().contains(wanted) {
            tracing::info!("{}", entry.op());
            let measured = entry
                .measure(args.repeats)
                .map_err(cass_train::Error::from)?;
            all.extend(measured);
        }
    }
    let rows = all.iter().map(|measured| measured.json(&rooflines));
    Ok(Report::done(
        table::table(&all, &rooflines),
        json!({
            "kind": "bench-ops",
            "batch": args.batch,
            "repeats": args.repeats,
            "threads": cass_ops::threads::threads(),
            "roofline_gflops": rooflines.gflops,
            "copy_gb_per_s": rooflines.gb_per_s,
            "ops": rows.collect::<Vec<_>>(),
        }),
    ))
}
