//! `cass bench step`: one training step, as a whole and by operation.

use super::spread::Spread;
use super::workload::{Workload, WorkloadArgs};
use crate::failure::Result;
use crate::process;
use crate::say::Report;
use cass_ops::profile::{OpTime, Pass};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;

/// Time training steps: forward of every network, loss, backward, optimiser.
///
/// Networks begin with random weights and see random images; the time depends on neither. The first
/// step warms up and is not counted.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    work: WorkloadArgs,
    /// Steps to time.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Also tell where the time goes, by operation.
    #[arg(long)]
    profile: bool,
}

const EXAMPLE: &str = "\
Examples:
  cass bench step --size 96 --batch 16 --steps 10 --profile
  cass bench step --method dino --net resnet18 --size 96 --batch 16 --json";

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.work.threads)?;
    let roofline = cass_ops::profile::matmul_roofline();
    let mut step = Workload::new(&args.work)?;
    step.step()?;
    let before = cass_ops::profile::multiply_adds();
    let launched = cass_ops::gpu::launches();
    if args.profile {
        cass_ops::profile::start_profile();
    }
    let mut times = Vec::new();
    for _ in 0..args.steps {
        let started = Instant::now();
        step.step()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let profile = cass_ops::profile::take_profile();
    let multiply_adds = (cass_ops::profile::multiply_adds() - before) / args.steps;
    let gpu = OnGpu {
        device: cass_train::device::device_name(&step.device),
        launches: (cass_ops::gpu::launches() - launched) / args.steps,
        peak_mib: cass_train::memory::peak_gpu_mib(&step.device),
    };
    Ok(report(
        &args,
        &times,
        multiply_adds,
        roofline,
        &profile,
        &gpu,
    ))
}

/// What a GPU had to do.
struct OnGpu {
    device: String,
    /// Of this crate's own kernels, a step.
    launches: u64,
    peak_mib: Option<u64>,
}

fn report(
    args: &Args,
    times: &[f64],
    multiply_adds: u64,
    roofline: f64,
    profile: &[OpTime],
    gpu: &OnGpu,
) -> Report {
    let Spread {
        min: fastest,
        median,
        max: slowest,
    } = Spread::of(times);
    let work = &args.work;
    let images_per_s = work.batch as f64 / median * 1e3;
    let gflops = 2.0 * multiply_adds as f64 / median / 1e6;
    let rss = cass_train::memory::peak_rss_mib();
    let nets = work.nets();
    let mut text = format!(
        "{} at {} px, batch {}: {median:.1} ms a step ({fastest:.1} to {slowest:.1} over {}), \
         {images_per_s:.1} images/s, {} MiB at most, {gflops:.0} GFLOP/s of matrix products, \
         {:.0} % of the {roofline:.0} that a product alone reaches",
        nets.join(" + "),
        work.size,
        work.batch,
        times.len(),
        rss.map_or("unknown".into(), |mib| mib.to_string()),
        100.0 * gflops / roofline,
    );
    if let Some(mib) = gpu.peak_mib {
        let (device, launches) = (&gpu.device, gpu.launches);
        let _ = write!(
            text,
            "\n{device}: {mib} MiB at most, {launches} launches a step"
        );
    }
    let steps = args.steps as f64;
    let ops = profile.iter().map(|op| {
        let ms = op.time.as_secs_f64() * 1e3 / steps;
        let pass = match op.pass {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
        };
        let _ = write!(
            text,
            "\n{:20} {pass:8} {ms:8.2} ms {:5.1} %  {:.0} calls",
            op.op,
            100.0 * ms / median,
            op.calls as f64 / steps
        );
        json!({"op": op.op, "pass": pass, "ms": ms, "calls": op.calls as f64 / steps})
    });
    let ops: Vec<_> = ops.collect();
    let json = json!({
        "method": work.method_name(),
        "nets": nets,
        "size": work.size,
        "batch": work.batch,
        "threads": cass_ops::threads::threads(),
        "device": gpu.device,
        "precision": args.work.precision.name(),
        "launches": gpu.launches,
        "peak_gpu_mib": gpu.peak_mib,
        "median_ms": median,
        "min_ms": fastest,
        "max_ms": slowest,
        "images_per_s": images_per_s,
        "peak_rss_mib": rss,
        "gflops": gflops,
        "roofline_gflops": roofline,
        "roofline_share": gflops / roofline,
        "profile": ops,
    });
    Report::done(text, json)
}
