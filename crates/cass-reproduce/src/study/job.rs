//! A study from its arguments to its report.

use super::args::{Args, Networks, Reading};
use super::best::Best;
use super::budget::{Choice, Wishes};
use super::cass::{ask, path, words};
use super::found::Found;
use super::images::{self, Images};
use super::plan::Study;
use super::report::{self, Report};
use super::verdict::{surer, verdicts};
use crate::command::Host;
use crate::executor::{Executor, Site, claim};
use crate::machine::Provenance;
use crate::networks::Network;
use crate::plan::{Facts, Plan};
use crate::store::{self, Info};
use crate::units::{duration, mib};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// `study.json`: what was asked for and chosen, so that the same command continues with the same plan however fast the
/// machine is then.
#[derive(PartialEq, Serialize, Deserialize)]
struct Noted {
    asked: Asked,
    choice: Choice,
}

/// What decides a study besides its images.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    dir: String,
    labels: Option<String>,
    test: Option<String>,
    budget: f64,
    seeds: u64,
    networks: Networks,
    reading: Reading,
}

const NOTED: &str = "study.json";

/// Looks at the images, plans, runs, and writes the report. Exit code 0: done; 1: runs failed, or images are both
/// learned from and tested on.
///
/// # Errors
/// Wrong usage or input, as one sentence that names the value and what was expected: exit code 2.
pub fn study(args: Args, host: &Host, json: bool) -> Result<ExitCode> {
    ensure!(
        args.dir.is_dir(),
        "{} is no folder: expected one with images",
        args.dir.display()
    );
    let slurm = args.choice.slurm()?;
    args.room.check(slurm.as_ref())?;
    let device = args.room.device(slurm.as_ref());
    let cass = (host.cass)(&device)?;
    let out = std::path::absolute(&args.out)?;
    let asked = asked(&args);
    let noted = noted(&out, &asked)?;
    // Before anything is written: another study may be at work in the folder.
    let lock = claim(&out)?;
    eprintln!("looking at the images of {}", args.dir.display());
    let images = match images::look(&cass, &args) {
        Ok(images) => images,
        Err(error) => {
            drop(lock);
            leave_nothing(&out);
            return Err(error);
        }
    };
    print(&images);
    if images.leaked > 0 && !args.accept_leakage {
        eprintln!(
            "error: {} of the {} test images are of a patient who is also learned from, or copies of such an image: a score \
             on them is too good; correct the parts, or go on with --accept-leakage (images.csv in {} has the groups)",
            images.leaked,
            images.test,
            out.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    let choice = match noted {
        Some(noted) => noted.choice,
        None => choose(&cass, &args, &images)?,
    };
    let record = Noted {
        asked,
        choice: choice.clone(),
    };
    store::write(&out.join(NOTED), &serde_json::to_vec_pretty(&record)?)?;
    let study = Study {
        choice: &choice,
        images: &images,
        reading: &args.reading,
    };
    let plan = study.plan();
    announce(&choice, &plan, args.budget);
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let threads = args.room.threads(slurm.as_ref());
    let nothing = BTreeMap::new();
    let site = Site {
        caller: host.caller,
        cass: &cass,
        out: &out,
        data: &nothing,
        // A flag of the study's own recipes.
        skip_bad: false,
        info: Info {
            of: None,
            images: facts(&images, &args),
            run: plan.runs[0].clone(),
            provenance: Provenance::read(&cass, &device, threads, (host.commit)().as_deref())?,
            started: 0,
        },
    };
    site.prepare(&plan)?;
    let outcome = match &slurm {
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
    let found = Found::read(&study, &out)?;
    let verdicts = verdicts(&found, &choice)?;
    let best = Best::of(&study, &found, &out);
    if let Some(best) = &best {
        best.write(&site, &study)?;
    }
    let report = Report {
        surer: surer(&verdicts, &choice),
        verdicts,
        best,
        found: &found,
        study: &study,
        failures: &outcome.failures,
        provenance: &site.info.provenance,
        dir: &args.dir,
    };
    report::write(&report, &site)?;
    if json {
        println!("{}", serde_json::to_string(&report::json(&report))?);
    } else {
        print!("{}", cass_run::printable_lines(&report::text(&report)));
        println!("\n{}", out.join("report.html").display());
        if let Some(next) = report.next() {
            eprintln!("next: {next}");
        }
    }
    if outcome.failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "error: {} runs failed; the report says which and why",
        outcome.failures.len()
    );
    Ok(ExitCode::FAILURE)
}

fn asked(args: &Args) -> Asked {
    let labels = args.labels.as_ref().map(|labels| match Path::new(labels) {
        file if file.exists() => path(file),
        _ => labels.clone(),
    });
    Asked {
        dir: path(&args.dir),
        labels,
        test: args.test.as_deref().map(path),
        budget: args.budget,
        seeds: args.seeds,
        networks: args.networks.clone(),
        reading: args.reading.clone(),
    }
}

/// The study that is in the folder, which has to be the one that is asked for.
fn noted(out: &Path, asked: &Asked) -> Result<Option<Noted>> {
    let Some(noted) = cass_run::read_json::<Noted>(&out.join(NOTED))? else {
        return Ok(None);
    };
    if noted.asked != *asked {
        let [was, is] = [&noted.asked, asked].map(serde_json::to_value);
        let (was, is) = (was?, is?);
        let differs = |name: &&str| was[name] != is[name];
        let names = [
            "dir", "labels", "test", "budget", "seeds", "networks", "reading",
        ];
        let which = names.into_iter().find(differs).unwrap_or("setting");
        anyhow::bail!(
            "{} holds a study with another {which}: {}, here {}; continue it with its own, or name another --out",
            out.display(),
            was[which],
            is[which]
        );
    }
    Ok(Some(noted))
}

/// Removes what a start that failed has made, unless there is more.
fn leave_nothing(out: &Path) {
    for file in ["listed.csv", "images.csv", ".job.lock"] {
        let _ = fs::remove_file(out.join(file));
    }
    // Neither is removed if it holds anything.
    let _ = fs::remove_dir(out.join("runs"));
    let _ = fs::remove_dir(out);
}

fn facts(images: &Images, args: &Args) -> Facts {
    Facts {
        fingerprint: images.fingerprint.clone(),
        images: vec![images.images],
        phantoms: false,
        root: args.dir.display().to_string(),
    }
}

/// Measures this machine for some seconds, and chooses what fits.
fn choose(cass: &Path, args: &Args, images: &Images) -> Result<Choice> {
    let Networks {
        cnn,
        vit,
        method,
        size,
        epochs,
        finetune_epochs,
        ..
    } = args.networks.clone();
    let usual = if args.networks.weights.is_none() && cached(cass, &cnn)? && cached(cass, &vit)? {
        "hub"
    } else {
        "random"
    };
    Ok(Choice::of(&Wishes {
        gflops: measured(cass, &cnn, &vit, size)?,
        weights: args.networks.weights(usual),
        cnn,
        vit,
        method,
        size,
        epochs,
        finetune_epochs,
        seeds: args.seeds,
        budget: args.budget,
        images: images.images,
        labelled: images.labelled,
        classes: images.classes.len() as u64,
        test: images.test,
        side: images.side,
    }))
}

/// Whether a network's weights are on this computer.
fn cached(cass: &Path, network: &Network) -> Result<bool> {
    let (list, _): (Value, bool) = ask(cass, &words(&["models", "list", network.short()]))?;
    let models = list["models"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let own = |model: &&Value| model["name"] == network.short() && model["default"] == true;
    Ok(models
        .iter()
        .find(own)
        .is_some_and(|model| model["cached"] == true))
}

/// 10⁹ operations a second of a training step here.
fn measured(cass: &Path, cnn: &Network, vit: &Network, size: Option<u32>) -> Result<f64> {
    #[derive(Deserialize)]
    struct Step {
        median_ms: f64,
    }
    const BATCH: u32 = 16;
    let size = size.unwrap_or(if vit.short().contains("patch14") {
        70
    } else {
        64
    });
    let mut bench = words(&[
        "bench",
        "step",
        "--steps",
        "4",
        "--cnn",
        cnn.short(),
        "--vit",
        vit.short(),
    ]);
    for (flag, value) in [("--size", size), ("--batch", BATCH)] {
        bench.extend([flag.to_owned(), value.to_string()]);
    }
    let (step, _): (Step, bool) = ask(cass, &bench)?;
    let forward = cnn.gflops(size) + vit.gflops(size);
    Ok(3.0 * forward * f64::from(BATCH) / (step.median_ms / 1000.0).max(1e-6))
}

fn print(images: &Images) {
    let groups = match images.groups {
        0 => String::new(),
        groups => format!(", {groups} groups (patients, or copies of a picture)"),
    };
    let copies = match images.copies {
        0 => String::new(),
        copies => format!("; {copies} have a copy, or nearly one: no split divides these"),
    };
    eprintln!(
        "{} images, {} with a label, {} classes{groups}{copies}",
        images.images,
        images.labelled,
        images.classes.len()
    );
    for (kind, findings) in &images.findings {
        eprintln!("  {kind}: {}", findings.count);
    }
}

/// The plan, with time and disk.
fn announce(choice: &Choice, plan: &Plan, budget: f64) {
    let disk: f64 = plan.runs.iter().map(|run| run.estimate.disk_mib).sum();
    let memory = plan
        .runs
        .iter()
        .map(|run| run.estimate.memory_mib)
        .fold(0.0, f64::max);
    let [cnn, vit] = &choice.weights;
    let start = if cnn == vit {
        cnn.clone()
    } else {
        format!("{cnn} and {vit}")
    };
    let shares: Vec<String> = choice
        .percents
        .iter()
        .map(|percent| format!("{percent} %"))
        .collect();
    eprintln!(
        "plan: {} and {} from {start} weights, {} px; {} epochs of pretraining; probes with {} of the labels; {}; {} seeds",
        choice.cnn.short(),
        choice.vit.short(),
        choice.size,
        choice.epochs,
        shares.join(", "),
        match choice.finetune_epochs {
            0 => "no fine-tuning, for which there is no time".to_owned(),
            epochs => format!("fine-tuning of at most {epochs} epochs"),
        },
        choice.seeds,
    );
    eprintln!(
        "plan: {} runs, about {}, {} of disk, up to {} of memory",
        plan.runs.len(),
        duration(choice.seconds),
        mib(disk),
        mib(memory)
    );
    if choice.seconds > 1.1 * budget {
        eprintln!(
            "note: that is more than the {} it was given: fewer images, a smaller --size, --seeds or --epochs shorten it",
            duration(budget)
        );
    }
}
