//! `cass metrics`: anyone's predictions to scores.

use crate::failure::{Failure, Result};
use crate::say::Report;
use crate::scores;
use cass_metrics::{Groups, MultiLabelPredictions, Predictions};
use cass_run::names;
use serde_json::json;
use std::path::PathBuf;

/// Score predictions from a CSV file.
///
/// Columns: file, true, predicted, then one probability a class, headed by the class's name (or
/// none). Scores equal scikit-learn's with all classes as labels and zero_division=0; a score that
/// has no value is null. Intervals are 95 %, of 1,000 stratified resamples of the files.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The predictions.
    #[arg(long, value_name = "FILE.csv")]
    predictions: PathBuf,
    /// The truth, if not in the predictions: columns file, true.
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    /// Which patient or other group each file is of: columns file, group. By default groups.csv next to
    /// the predictions, as a probe leaves it. Intervals are then drawn over groups.
    #[arg(long, value_name = "FILE.csv")]
    groups: Option<PathBuf>,
    /// Score also the mean probabilities of each patient's files.
    #[arg(long)]
    per_patient: bool,
    /// A file has any number of classes: `true` and `predicted` separate them by |, and may be empty.
    #[arg(long)]
    multi_label: bool,
    /// Decides the resamples of the intervals.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

const EXAMPLE: &str = "\
Examples:
  cass metrics --predictions runs/cass-vit/predictions.csv --json
  cass metrics --predictions predictions.csv --labels labels.csv";

pub fn run(args: Args) -> Result<Report> {
    let (path, labels) = (&args.predictions, args.labels.as_deref());
    cass_run::expect_intact(path)?;
    let groups = groups(&args)?;
    let groups = groups.as_ref();
    let scored = if args.multi_label {
        scores::of_any(
            &MultiLabelPredictions::read(path, labels)?,
            groups,
            args.seed,
            args.per_patient,
        )?
    } else {
        let predictions = match labels {
            Some(labels) => Predictions::read_with_labels(path, labels)?,
            None => Predictions::read(path)?,
        };
        scores::of_one(&predictions, groups, args.seed, args.per_patient)?
    };
    let (text, mut json) = scored;
    json["kind"] = json!("metrics");
    Ok(Report::done(text, json))
}

/// The groups that were given, or those that a probe left next to its predictions.
fn groups(args: &Args) -> Result<Option<Groups>> {
    let beside = args.predictions.with_file_name(names::GROUPS);
    let file = match &args.groups {
        Some(file) => file.clone(),
        None if beside.is_file() => beside,
        None if args.per_patient => {
            let text = "--per-patient needs --groups FILE.csv with the columns file, group";
            return Err(Failure::Wrong(text.into()));
        }
        None => return Ok(None),
    };
    cass_run::expect_intact(&file)?;
    Ok(Some(Groups::read(&file)?))
}
