//! `cass data preview`: pictures to judge a data set and its augmentation by.

use super::Source;
use crate::failure::Result;
use crate::process;
use crate::say::{Report, left_out};
use cass_data::{Pipeline, PreviewConfig};
use cass_run::Skipped;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Draw some images of every class, each beside augmented views of it.
///
/// The views are what training by the same seed shows a network in its first epochs.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass data preview --data brain-mri --data-root data --out preview.png"
)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// PNG file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which augmentation: paper, paper-hue, paper-solarize, paper-blur, paper-blur-solarize, dino or
    /// eval (none).
    #[arg(long, value_name = "NAME", default_value = "paper")]
    pipeline: Pipeline,
    /// Height and width of each image, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 160)]
    size: usize,
    /// Images of each class.
    #[arg(long, value_name = "N", default_value_t = 2)]
    per_class: usize,
    /// Augmented views of each image.
    #[arg(long, value_name = "N", default_value_t = 6)]
    views: usize,
    /// Chooses the images and draws the views.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Leave out images that cannot be decoded instead of stopping.
    #[arg(long)]
    skip_bad: bool,
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(0)?;
    let Source { data, data_root } = &args.source;
    let dataset = Arc::new(cass_data::open(data, data_root, args.skip_bad)?);
    let config = PreviewConfig {
        pipeline: args.pipeline.clone(),
        size: args.size,
        per_class: args.per_class,
        views: args.views,
        seed: args.seed,
    };
    cass_data::preview(&dataset, &config, &args.out)?;
    let (out, classes) = (&args.out, dataset.classes.len());
    let skipped = dataset.skipped.iter();
    let skipped = skipped.map(|(file, reason)| Skipped::new(file, reason));
    let skipped: Vec<Skipped> = skipped.collect();
    Ok(Report::done(
        format!(
            "drew {classes} classes of {data} in {}\n{}",
            out.display(),
            left_out(&skipped)
        ),
        json!({"kind": "preview", "data": data, "out": out, "classes": dataset.classes, "skipped": skipped}),
    ))
}
