//! `cargo xtask reproduce`: a table of the paper, from images to a report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};

use crate::data::{Data, draw_phantoms};
use crate::executor::{Executor, Local, Site};
use crate::folder::{Folder, Info};
use crate::gather::Source;
use crate::machine::{self, Device, Provenance, cores};
use crate::plan::{Costs, Downstream, Job, Plan, Protocol, Role, Run, folder};
use crate::profile::{DefaultDownstream, Profile};
use crate::progress::duration;
use crate::report;
use crate::results::Results;
use crate::table::{Method, Table};

#[derive(clap::Args)]
pub struct Args {
    /// Number of the table.
    #[arg(long)]
    table: String,
    /// Scale: auto, demo (phantoms, minutes), small (real images on a CPU) or paper (the paper's settings).
    /// auto takes demo without a data root, small with one but no GPU, paper with both.
    #[arg(long, default_value = "auto")]
    profile: String,
    /// The paper's text, or what its published notebooks do.
    #[arg(long, value_enum, default_value = "paper")]
    protocol: Protocol,
    /// linear: frozen features; finetune: all parameters; default: as the profile says.
    #[arg(long, value_enum)]
    downstream: Option<Which>,
    /// Folder with `Training/<class>/*.jpg` and `Testing/<class>/*.jpg`, or one that holds it as `brain-mri`.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Results, report and runs go here [default: runs/table-N-PROFILE].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Number of seeds [default: as the profile says].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Only runs whose names contain this, and what they need.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Threads of one run [default: the cores, shared among --jobs].
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..))]
    threads: Option<u64>,
    /// Runs at a time.
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Leave out images that cannot be decoded, and list them in the report.
    #[arg(long)]
    skip_bad: bool,
    /// Print every run, what it reuses and what it will cost; start nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Which {
    Linear,
    Finetune,
    Both,
}

pub fn reproduce(args: Args) -> Result<ExitCode> {
    let table = Table::find(&args.table)?;
    let device = args.device.clone().resolve();
    let profile = choose_profile(&args, &device)?;
    let default_out = default_out(&table, &profile, args.protocol);
    let out = args.out.clone().unwrap_or(default_out);
    let data = find_images(&args, &table, &profile, &out)?;
    let downstream = downstreams(args.downstream, &profile, args.protocol);
    let seeds = args.seeds.unwrap_or(profile.seeds);
    let job = Job {
        table: &table,
        profile: &profile,
        protocol: args.protocol,
        downstream: &downstream,
        seeds,
        data: &data,
    };
    let all = job.plan();
    let plan = match &args.only {
        Some(text) => all.clone().only(text)?,
        None => all.clone(),
    };
    let jobs = args.jobs as usize;
    if args.dry_run {
        print_plan(&out, &plan, &profile, jobs);
        return Ok(ExitCode::SUCCESS);
    }

    let threads = args
        .threads
        .map_or_else(|| (cores() / jobs).max(1), |threads| threads as usize);
    let cass = machine::cass(&device)?;
    let provenance = Provenance::read(&cass, &device, threads, &data.given)?;
    eprintln!(
        "table {} · profile {} · protocol {} · {} runs · device {} · {threads} threads · {}",
        table.number,
        profile.name,
        args.protocol.name(),
        plan.runs.len(),
        device.0,
        out.display()
    );
    let site = Site {
        cass: &cass,
        out: &out,
        data: &data,
        skip_bad: args.skip_bad,
        info: Info {
            table: table.number.clone(),
            profile_name: profile.name.clone(),
            profile: profile.clone(),
            protocol: args.protocol,
            images: data.images,
            run: plan.runs[0].clone(),
            provenance,
            started: 0,
        },
    };
    site.prepare(&plan)?;
    draw_phantoms(&cass, &data, &table.data)?;
    let outcome = Local { jobs }.execute(&site, &plan)?;
    if outcome.interrupted {
        eprintln!("interrupted: the same command goes on from here");
        return Ok(ExitCode::from(130));
    }

    let mut folders = Vec::new();
    for run in &all.runs {
        folders.extend(Folder::read(&folder(&out, &run.name))?);
    }
    sort(&mut folders);
    let seeds: Vec<u64> = distinct_seeds(all.runs.iter());
    let results = Source {
        table: &table,
        profile: &profile,
        protocol: args.protocol,
        downstream: &downstream,
        seeds: &seeds,
        folders: &folders,
        failures: &outcome.failures,
    }
    .gather()?;
    report::write(&results, &out)?;
    print_results(&results, &out);
    // Of a part of the job, the part decides.
    Ok(match args.only {
        Some(_) => exit(outcome.failures.len(), "runs failed"),
        None => exit(incomplete(&results), "cells are incomplete"),
    })
}

fn choose_profile(args: &Args, device: &Device) -> Result<Profile> {
    Profile::find(match args.profile.as_str() {
        "auto" => match (&args.data_root, device.is_gpu()) {
            (None, _) => "demo",
            (Some(_), false) => "small",
            (Some(_), true) => "paper",
        },
        name => name,
    })
}

fn find_images(args: &Args, table: &Table, profile: &Profile, out: &Path) -> Result<Data> {
    match (&profile.phantom, &args.data_root) {
        (Some(phantom), None) => Ok(Data::phantom(phantom, out)),
        (None, Some(root)) => Data::files(&table.data, root),
        (Some(_), Some(_)) => bail!(
            "profile {} draws its images: leave out --data-root",
            profile.name
        ),
        (None, None) => bail!(
            "profile {} needs images: pass --data-root DIR with {}",
            profile.name,
            Data::LAYOUT
        ),
    }
}

/// `cargo xtask report DIR...`: the same files again, from run folders alone.
pub fn rebuild(dirs: &[PathBuf], out: Option<PathBuf>) -> Result<ExitCode> {
    let mut folders = Folder::all(dirs)?;
    // Of two runs of one cell and seed the later counts.
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.info.started));
    let mut seen = std::collections::BTreeSet::new();
    folders.retain(|folder| seen.insert((folder.info.run.role, folder.info.run.seed)));
    sort(&mut folders);

    let first = &folders[0].info;
    let kind = |info: &Info| {
        format!(
            "table {}, {}, {}",
            info.table,
            info.profile_name,
            info.protocol.name()
        )
    };
    for folder in &folders {
        ensure!(
            kind(&folder.info) == kind(first),
            "failed to put runs into one report: {} is of {}, {} of {}",
            folders[0].path.display(),
            kind(first),
            folder.path.display(),
            kind(&folder.info),
        );
    }
    let table = Table::find(&first.table)?;
    let profile = Profile {
        name: first.profile_name.clone(),
        ..first.profile.clone()
    };
    // Supervised runs stand in both tables and say nothing of which was asked for.
    let probed: Vec<Downstream> = folders
        .iter()
        .filter_map(|folder| match folder.info.run.role {
            Role::Probe { cell, downstream } => {
                (cell.method != Method::Supervised).then_some(downstream)
            }
            Role::Pretrain { .. } => None,
        })
        .collect();
    let mut downstream = downstreams(Some(Which::Both), &profile, first.protocol);
    downstream.retain(|one| probed.is_empty() || probed.contains(one));
    let seeds = distinct_seeds(folders.iter().map(|folder| &folder.info.run));
    let results = Source {
        table: &table,
        profile: &profile,
        protocol: first.protocol,
        downstream: &downstream,
        seeds: &seeds,
        folders: &folders,
        failures: &[],
    }
    .gather()?;
    let out = out.unwrap_or_else(|| dirs[0].clone());
    report::write(&results, &out)?;
    print_results(&results, &out);
    Ok(exit(incomplete(&results), "cells are incomplete"))
}

fn print_results(results: &Results, out: &Path) {
    print!("{}", report::summary(results));
    println!("\n{}", out.join("report.html").display());
}

fn incomplete(results: &Results) -> usize {
    results
        .cells
        .iter()
        .filter(|cell| !cell.missing.is_empty())
        .count()
}

fn exit(lost: usize, what: &str) -> ExitCode {
    if lost == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {lost} {what}; the report says which and why");
    ExitCode::FAILURE
}

/// The order of a report, however its runs came together.
fn sort(folders: &mut [Folder]) {
    folders.sort_by_key(|folder| (folder.info.run.seed, folder.info.run.role));
}

fn distinct_seeds<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<u64> {
    let seeds: std::collections::BTreeSet<u64> = runs.map(|run| run.seed).collect();
    seeds.into_iter().collect()
}

/// The headline first.
fn downstreams(asked: Option<Which>, profile: &Profile, protocol: Protocol) -> Vec<Downstream> {
    let headline = protocol.headline();
    let asked = asked.unwrap_or(match (profile.downstream, headline) {
        (DefaultDownstream::Both, _) => Which::Both,
        (DefaultDownstream::Headline, Downstream::Linear) => Which::Linear,
        (DefaultDownstream::Headline, Downstream::Finetune) => Which::Finetune,
    });
    match asked {
        Which::Linear => vec![Downstream::Linear],
        Which::Finetune => vec![Downstream::Finetune],
        Which::Both if headline == Downstream::Linear => {
            vec![Downstream::Linear, Downstream::Finetune]
        }
        Which::Both => vec![Downstream::Finetune, Downstream::Linear],
    }
}

fn default_out(table: &Table, profile: &Profile, protocol: Protocol) -> PathBuf {
    let suffix = match protocol {
        Protocol::Paper => "",
        Protocol::Notebook => "-notebook",
    };
    machine::workspace().join(format!(
        "runs/table-{}-{}{suffix}",
        table.number, profile.name
    ))
}

fn print_plan(out: &Path, plan: &Plan, profile: &Profile, jobs: usize) {
    let runs = &plan.runs;
    let finished: Vec<_> = runs
        .iter()
        .map(|run| Folder::finished(&folder(out, &run.name), run))
        .collect();
    let mut costs = Costs::new();
    for (run, metrics) in runs.iter().zip(&finished) {
        if let Some(metrics) = metrics {
            costs.add(run, metrics.common().seconds);
        }
    }
    let width = runs.iter().map(|run| run.name.len()).max().unwrap_or(0);
    let (mut left, mut done) = (0.0, 0);
    for (run, metrics) in runs.iter().zip(&finished) {
        let state = match metrics {
            Some(metrics) => {
                done += 1;
                format!("done in {}", duration(metrics.common().seconds))
            }
            None => {
                left += costs.of(run);
                format!("about {}", duration(costs.of(run)))
            }
        };
        let needs = run.needs.as_ref().map(|name| format!("  from {name}"));
        println!(
            "{:width$}  {state:>18}{}",
            run.name,
            needs.unwrap_or_default()
        );
    }
    let basis = if done > 0 {
        "measured in finished runs".to_owned()
    } else {
        format!("the profile's figures for {}", profile.cost.machine)
    };
    println!(
        "\n{} runs, {done} done; about {} left with --jobs {jobs} ({basis})",
        runs.len(),
        duration(left / jobs as f64)
    );
}
