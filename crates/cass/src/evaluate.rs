//! `cass evaluate`: a finished probe on images of another origin.

use crate::failure::{Failure, Result};
use crate::images::{DataArgs, expect_root, survey};
use crate::options::Compute;
use crate::output::unwritten;
use crate::say::Report;
use crate::{next, process, scores, sealed};
use cass_probe::apply::{Evaluation, Predictor};
use cass_probe::fit::Said;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Judge a finished probe on labelled images of another origin, such as another hospital's.
///
/// All labelled images are judged on: there is no split. Files that the probe was fitted or chosen on are left out, and
/// counted. Classes are told by their names. Images are read as the run's were, but for what flags say. What is printed
/// last is the shift: how far the images' features are from those of the probe's training images.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished probe.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    images: DataArgs,
    /// Score also the mean probabilities of each patient's images.
    #[arg(long)]
    per_patient: bool,
    /// A new or an empty folder for predictions.csv and its figures.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Images at a time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Decides the resamples of the intervals.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLE: &str = "\
Examples:
  cass evaluate --run runs/cass-vit --data folder --data-root other-hospital
  cass evaluate --run runs/cass-vit --data csv --data-root labels.csv --per-patient --out external

Exit status: 0 done, 2 wrong usage or input.";

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.compute.threads)?;
    let predictor = Predictor::open(&args.run, &args.compute.device)?;
    sealed::note(&args.run);
    let mut recipe = predictor.images_of_its_kind();
    args.images.apply(&mut recipe, true)?;
    expect_root(&recipe)?;
    if let Some(out) = &args.out {
        expect_new(out)?;
    }
    survey(&recipe)?;
    let evaluation = predictor.evaluate(&args.run, &recipe, args.batch as usize)?;
    let groups = evaluation.groups();
    let (scores, mut json) = match evaluation.said() {
        Said::One(said) => scores::of_one(said, groups, args.seed, args.per_patient)?,
        Said::Any(said) => scores::of_any(said, groups, args.seed, args.per_patient)?,
    };
    if let Some(out) = &args.out {
        leave(&evaluation, out)?;
    }
    json["kind"] = json!("evaluate");
    json["run"] = json!(args.run);
    json["seen"] = json!(evaluation.seen);
    json["pretrained_on"] = json!(evaluation.pretrained);
    json["unlabelled"] = json!(evaluation.unlabelled);
    json["absent_classes"] = json!(evaluation.absent);
    json["shift"] = json!(evaluation.shift);
    let shift = match &evaluation.shift {
        Some(shift) => format!("{shift}\n"),
        None => "features: not compared, as an earlier version left the probe without those of its own images\n".into(),
    };
    let attend = format!(
        "cass attend --run {} --out {} IMAGES",
        next::word(&args.run),
        next::word(next::beside(&args.run, "attend"))
    );
    let text = notes(&evaluation) + &scores + &shift;
    Ok(Report::done(text, json).next(attend))
}

/// What to know of the images before their scores.
fn notes(evaluation: &Evaluation) -> String {
    let Evaluation {
        seen,
        pretrained,
        unlabelled,
        absent,
        ..
    } = evaluation;
    let mut notes = String::new();
    if *seen > 0 {
        notes += &format!("left out: {seen} images that the probe was fitted or chosen on\n");
    }
    if *unlabelled > 0 {
        notes += &format!("left out: {unlabelled} images without a label\n");
    }
    if *pretrained > 0 {
        notes += &format!(
            "note: the pretraining was trained on {pretrained} of the images: the scores may be too good\n"
        );
    }
    if !absent.is_empty() {
        notes += &format!(
            "note: no image is of {}: macro averages count these classes as 0\n",
            absent.join(", ")
        );
    }
    notes
}

fn expect_new(out: &Path) -> Result<()> {
    let holds = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if holds || out.is_file() {
        let text = format!("--out {}: expected a new or an empty folder", out.display());
        return Err(Failure::Wrong(text));
    }
    Ok(())
}

/// Leaves the files in a folder that appears whole or not at all.
fn leave(evaluation: &Evaluation, out: &Path) -> Result<()> {
    let files = evaluation.files()?;
    let make = || {
        fs::create_dir_all(out.parent().unwrap_or(out))?;
        cass_run::put_whole(out, |beside| {
            fs::create_dir(beside)?;
            for (name, bytes) in &files {
                cass_run::write_whole(&beside.join(name), bytes)?;
            }
            if out.is_dir() {
                fs::remove_dir(out)?; // an empty one
            }
            Ok(())
        })
    };
    make().map_err(|error| unwritten(out, &error))
}
