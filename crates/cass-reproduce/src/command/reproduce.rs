//! `reproduce`: tables of the paper, from images to a report.

use super::choice::{Choice, Room};
use super::host::Host;
use super::outcome::{exit, incomplete, print_results, sort};
use super::plan as estimate;
use super::setup::{Images, JobArgs, Setup};
use crate::executor::{Executor, Site};
use crate::images::{draw_phantoms, preview};
use crate::machine::{Provenance, gpu_memory_mib};
use crate::report;
use crate::results::Source;
use crate::store::{Folder, Info, OfTables};
use anyhow::{Result, ensure};
use std::process::ExitCode;

/// Arguments of `reproduce`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// Only runs whose names contain this, and what they need.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    #[command(flatten)]
    room: Room,
    #[command(flatten)]
    choice: Choice,
    /// Leave out images that cannot be decoded, and list them in the report.
    #[arg(long)]
    skip_bad: bool,
    /// Print every run, what it reuses and what it will cost; start nothing. With --executor slurm the
    /// scripts are written too.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: measure this machine for a minute first.
    #[arg(long, requires = "dry_run")]
    measure: bool,
}

pub fn reproduce(args: Args, host: &Host) -> Result<ExitCode> {
    let slurm = args.choice.slurm()?;
    args.room.check(slurm.as_ref())?;
    let device = args.room.device(slurm.as_ref());
    let mut setup = Setup::new(&args.job, &device, Images::Real, host)?;
    let jobs = args.room.jobs();
    if args.measure {
        setup.profile.cost = estimate::measure(&setup.profile, &(host.cass)(&device)?)?;
    }
    let job = setup.job()?;
    let all = job.plan();
    let plan = match &args.only {
        Some(text) => all.clone().only(text)?,
        None => all.clone(),
    };
    if args.dry_run {
        estimate::print(&setup.out, &plan, &setup.profile, jobs);
        if slurm.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    ensure!(!plan.runs.is_empty(), "no run is behind these tables");
    // The nodes of a cluster are not this computer.
    if let Some(room) = gpu_memory_mib(&device).filter(|_| slurm.is_none()) {
        estimate::fits(&plan, room, "the memory of this GPU")?;
    }

    let threads = args.room.threads(slurm.as_ref());
    // Scripts that nobody submits need no binary for the nodes' GPUs.
    let cass = match args.dry_run {
        true => host.cass_on_cpu()?,
        false => (host.cass)(&device)?,
    };
    let provenance = Provenance::read(&cass, &device, threads, (host.commit)().as_deref())?;
    let numbers: Vec<String> = job
        .tables
        .iter()
        .map(|table| table.number.clone())
        .collect();
    eprintln!(
        "{} {} · profile {} · protocol {} · {} runs · device {} · {threads} threads · {}",
        if numbers.len() == 1 {
            "table"
        } else {
            "tables"
        },
        numbers.join(", "),
        setup.profile.name,
        setup.protocol.name(),
        plan.runs.len(),
        device.0,
        setup.out.display()
    );
    let data = &setup.data;
    let first = &plan.runs[0];
    let site = Site {
        caller: host.caller,
        cass: &cass,
        out: &setup.out,
        data,
        skip_bad: args.skip_bad,
        info: Info {
            of: Some(OfTables {
                tables: numbers,
                profile_name: setup.profile.name.clone(),
                profile: setup.profile.clone(),
                protocol: setup.protocol,
                downstream: job.downstream.clone(),
                set: job.set.clone(),
            }),
            images: job.data[&first.data].clone(),
            run: first.clone(),
            provenance,
            started: 0,
        },
    };
    site.check_settings(&plan)?;
    let _lock = site.claim()?;
    site.prepare(&plan)?;
    for data in data.values() {
        draw_phantoms(&cass, data)?;
    }
    let outcome = match &slurm {
        Some(slurm) if args.dry_run => {
            println!("{}", slurm.write(&site, &plan, "dry-run")?.display());
            return Ok(ExitCode::SUCCESS);
        }
        Some(slurm) => slurm.execute(&site, &plan)?,
        None => args.room.executor(&device).execute(&site, &plan)?,
    };
    if outcome.detached {
        return Ok(ExitCode::SUCCESS);
    }
    if outcome.interrupted {
        eprintln!("interrupted: the same command continues from here");
        return Ok(ExitCode::from(130));
    }

    for data in data.values() {
        preview::draw(&cass, data, &setup.out);
    }
    let mut folders = Vec::new();
    for run in &all.runs {
        folders.extend(Folder::read(&site.folder(&run.name))?);
    }
    sort(&mut folders);
    let results = Source {
        job: &job,
        folders: &folders,
        failures: &outcome.failures,
        dirs: std::slice::from_ref(&setup.out),
    }
    .gather()?;
    report::write(&results, &setup.out)?;
    print_results(&results, &setup.out);
    // Of a part of the job, the part decides.
    Ok(match args.only {
        Some(_) => exit(outcome.failures.len(), "runs failed"),
        None => exit(incomplete(&results), "cells are incomplete"),
    })
}
