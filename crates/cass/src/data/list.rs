//! `cass data list`: a data set as one table.

use crate::failure::Result;
use crate::images::{CacheArgs, DataArgs};
use crate::output::write;
use crate::process;
use crate::say::{Report, left_out};
use cass_data::cache::Cache;
use cass_data::dataset::{OpenOptions, Part};
use serde_json::json;
use std::collections::HashSet;
use std::path::PathBuf;

/// Write a table of a data set's images, which `--data csv` reads again.
///
/// A row an image, by its absolute path: label, or a 0/1 column a class; patient or other group; and the part that it
/// was given to. With --keep-copies-together, images that are the same, or nearly, are one group, so that no split
/// divides them.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass data list --data folder --data-root scans --keep-copies-together --out scans.csv"
)]
pub struct Args {
    #[command(flatten)]
    images: DataArgs,
    /// Put images that are copies, or nearly, into one group.
    #[arg(long)]
    keep_copies_together: bool,
    /// The table.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    cache: CacheArgs,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.threads)?;
    let recipe = args.images.recipe()?;
    let storage = args.cache.storage(Cache::Off)?;
    let mut dataset = recipe.open(&OpenOptions {
        storage,
        ..OpenOptions::default()
    })?;
    let copies = args
        .keep_copies_together
        .then(|| dataset.keep_copies_together());
    let table = dataset.to_csv()?;
    let bytes = dataset.samples.iter().map(|sample| sample.sha256);
    let bytes: Vec<u8> = bytes.flatten().collect();
    let fingerprint = cass_run::sha256([&table[..], &bytes].concat());
    write(&args.out, table)?;
    let groups: HashSet<_> = (dataset.samples.iter())
        .filter_map(|sample| sample.group.as_ref())
        .collect();
    let labelled = dataset.samples.iter().filter(|s| s.labelled).count();
    let of_part = |part| {
        dataset
            .samples
            .iter()
            .filter(|s| s.part == Some(part))
            .count()
    };
    let counts = [Part::Train, Part::Val, Part::Test].map(|part| (part.name(), of_part(part)));
    let images_of = |class: usize| {
        let of_class = |s: &&cass_data::dataset::Sample| s.labelled && s.labels.contains(&class);
        dataset.samples.iter().filter(of_class).count()
    };
    let classes = dataset.classes.iter().enumerate();
    let classes: serde_json::Map<_, _> = classes
        .map(|(class, name)| (name.clone(), json!(images_of(class))))
        .collect();
    let mut text = format!(
        "{}: {} images, {labelled} with a label, {} groups\n",
        args.out.display(),
        dataset.len(),
        groups.len()
    );
    if let Some(copies @ 1..) = copies {
        text += &format!("  {copies} of them have a copy, or nearly one, and are kept together\n");
    }
    text += &left_out(&dataset.skipped);
    let json = json!({
        "kind": "list",
        "file": args.out,
        "fingerprint": fingerprint,
        "images": dataset.len(),
        "labelled": labelled,
        "task": dataset.task.name(),
        "classes": classes,
        "groups": groups.len(),
        "copies": copies,
        "parts": counts.into_iter().map(|(name, n)| (name.to_owned(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "skipped": dataset.skipped,
        "warnings": dataset.warnings,
    });
    Ok(Report::done(text, json))
}
