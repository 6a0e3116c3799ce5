//! What a plan will take: `reproduce --dry-run` and `plan`.

use super::host::Host;
use super::setup::{Images, JobArgs, Setup};
use crate::machine::Device;
use crate::networks::Network;
use crate::plan::{Cost, Costs, Kind, Plan, Profile, Run, Schedule, critical_path, schedule};
use crate::store::{Folder, folder};
use crate::units::{duration, mib};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Arguments of `plan`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Speed of the device in 10⁹ operations a second, as training reaches it [default: the profile's].
    #[arg(long, value_name = "GFLOPS")]
    gflops: Option<f64>,
    /// Measure this machine for a minute instead.
    #[arg(long, conflicts_with = "gflops")]
    measure: bool,
    /// Devices, each with one run at a time.
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Memory of a device in GiB: a plan with a run that needs more is refused.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// Simulate so many devices with one run at a time each: several numbers with commas between.
    #[arg(long, value_name = "W,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    workers: Vec<u64>,
    /// Print every run too.
    #[arg(long)]
    runs: bool,
}

/// `plan`: needs no images and starts nothing.
pub fn plan(args: &Args, host: &Host) -> Result<ExitCode> {
    let device = Device("cpu".to_owned());
    let mut setup = Setup::new(&args.job, &device, Images::Counted, host)?;
    let cost = &mut setup.profile.cost;
    if let Some(gflops) = args.gflops {
        ensure!(
            gflops.is_finite() && gflops > 0.0,
            "--gflops {gflops}: expected a number above 0"
        );
        cost.gflops = gflops;
        cost.machine = format!("a device of {gflops} GFLOP/s");
    }
    if args.measure {
        setup.profile.cost = measure(&setup.profile, &host.cass_on_cpu()?)?;
    }
    let plan = setup.job()?.plan();
    if args.runs {
        print(&setup.out, &plan, &setup.profile, args.jobs as usize);
    } else {
        total(&setup.out, &plan, &setup.profile, args.jobs as usize);
    }
    if let Some(gib) = args.memory {
        ensure!(
            gib.is_finite() && gib > 0.0,
            "--memory {gib}: expected a number above 0"
        );
        fits(&plan, gib * 1024.0, &format!("--memory {gib}"))?;
    }
    if !args.workers.is_empty() {
        simulate(&setup.out, &plan, &args.workers);
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a plan with a run that needs more than `room` MiB, which `whose` is.
pub fn fits(plan: &Plan, room: f64, whose: &str) -> Result<()> {
    let needs = |run: &&Run| run.estimate.memory_mib;
    let largest = plan
        .runs
        .iter()
        .max_by(|a, b| needs(a).total_cmp(&needs(b)));
    if let Some(run) = largest.filter(|run| needs(run) > room) {
        bail!(
            "{} needs about {}, and {whose} is {}; a profile of smaller batches needs less",
            run.name,
            mib(needs(&run)),
            mib(room)
        );
    }
    Ok(())
}

/// How long what is left would take on so many devices, by list scheduling.
fn simulate(out: &Path, plan: &Plan, workers: &[u64]) {
    let (finished, costs) = finished(out, plan);
    let left = plan
        .runs
        .iter()
        .zip(&finished)
        .filter(|(_, seconds)| seconds.is_none());
    let left: Vec<&Run> = left.map(|(run, _)| run).collect();
    let seconds = |run: &Run| costs.of(run);
    println!(
        "\ncritical path: {} (no number of devices is faster)",
        duration(critical_path(&left, seconds))
    );
    for &workers in workers {
        let Schedule { end, busy } = schedule(&left, workers as usize, seconds);
        let share = 100.0 * busy;
        println!(
            "{workers:>8} devices: {:>14}, {share:>5.1} % busy",
            duration(end)
        );
    }
}

/// Every run, and the sums.
pub fn print(out: &Path, plan: &Plan, profile: &Profile, jobs: usize) {
    let (finished, costs) = finished(out, plan);
    let width = plan
        .runs
        .iter()
        .map(|run| run.name.len())
        .max()
        .unwrap_or(0);
    for (run, seconds) in plan.runs.iter().zip(&finished) {
        let state = match seconds {
            Some(seconds) => format!("done in {}", duration(*seconds)),
            None => format!("about {}", duration(costs.of(run))),
        };
        let needs = run.needs.as_ref().map(|name| format!("  from {name}"));
        println!(
            "{:width$}  {state:>18}{}",
            run.name,
            needs.unwrap_or_default()
        );
    }
    println!();
    total(out, plan, profile, jobs);
}

/// The sums alone.
fn total(out: &Path, plan: &Plan, profile: &Profile, jobs: usize) {
    let (finished, costs) = finished(out, plan);
    let done = finished.iter().flatten().count();
    let waiting = || {
        plan.runs
            .iter()
            .zip(&finished)
            .filter(|(_, seconds)| seconds.is_none())
    };
    let left: f64 = waiting().map(|(run, _)| costs.of(run)).sum();
    let memory = plan
        .runs
        .iter()
        .map(|run| run.estimate.memory_mib)
        .fold(0.0, f64::max);
    let disk: f64 = waiting().map(|(run, _)| run.estimate.disk_mib).sum();
    let count = |kind: Kind| plan.runs.iter().filter(|run| run.kind == kind).count();
    let basis = if done > 0 {
        "measured in finished runs".to_owned()
    } else {
        format!(
            "for {}, {:.0} GFLOP/s",
            profile.cost.machine, profile.cost.gflops
        )
    };
    println!(
        "{} pretrainings, {} probes; up to {} of memory a run, {} of disk",
        count(Kind::Pretrain),
        count(Kind::Probe),
        mib(memory),
        mib(disk)
    );
    println!(
        "{} runs, {done} done; about {} left with --jobs {jobs} ({basis})",
        plan.runs.len(),
        duration(left / jobs as f64)
    );
}

/// Seconds of what is finished, and what they say of the rest.
fn finished(out: &Path, plan: &Plan) -> (Vec<Option<f64>>, Costs) {
    let mut costs = Costs::default();
    let seconds = plan
        .runs
        .iter()
        .map(|run| {
            let seconds = Folder::finished(&folder(out, &run.name), run)?
                .common()
                .seconds;
            costs.add(run, seconds);
            Some(seconds)
        })
        .collect();
    (seconds, costs)
}

/// What `cass bench step --json` says.
#[derive(Deserialize)]
struct Step {
    median_ms: f64,
    peak_rss_mib: f64,
}

/// Times the standard pair at the profile's scale: warm-up and as many steps as go into a minute, at most ten.
pub fn measure(profile: &Profile, cass: &Path) -> Result<Cost> {
    let paper = |name: &str| Network::try_from(name.to_owned());
    let (cnn, vit) = (
        paper("resnet50.a1_in1k")?,
        paper("vit_base_patch16_384.augreg_in21k_ft_in1k")?,
    );
    let (cnn, vit) = (profile.network(&cnn), profile.network(&vit));
    let batch = profile.pretrain.batch;
    let forward = cnn.gflops(profile.size) + vit.gflops(profile.size);
    let expected = 3.0 * forward * f64::from(batch) / profile.cost.gflops;
    let steps = (60.0 / expected - 1.0).clamp(1.0, 10.0) as u32;
    eprintln!(
        "measuring {steps} steps of {cnn} and {vit} at {} pixels",
        profile.size
    );
    let output = Command::new(cass)
        .args([
            "--json",
            "bench",
            "step",
            "--cnn",
            cnn.short(),
            "--vit",
            vit.short(),
        ])
        .args(["--size", &profile.size.to_string()])
        .args(["--batch", &batch.to_string()])
        .args(["--steps", &steps.to_string()])
        .output()
        .with_context(|| format!("{} cannot be started", cass.display()))?;
    ensure!(
        output.status.success(),
        "nothing could be measured: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let step: Step = serde_json::from_str(text.lines().last().unwrap_or_default())
        .context("what `cass bench step` printed cannot be read")?;
    let weights = 4.0 * 4.0 * (cnn.parameters() + vit.parameters()) * 1e6 / (1 << 20) as f64;
    let images = forward * f64::from(batch);
    Ok(Cost {
        machine: "this machine, measured".to_owned(),
        gflops: 3.0 * images / (step.median_ms / 1000.0),
        mib_per_gflop: ((step.peak_rss_mib - weights) / images).max(1.0),
        ..profile.cost.clone()
    })
}
