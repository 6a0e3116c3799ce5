//! `cass data preview`: pictures to judge a data set and its augmentation by.

use crate::failure::Result;
use crate::images::{DataArgs, survey};
use crate::say::{Report, left_out};
use crate::{next, process};
use cass_data::prelude::*;
use cass_data::preview::{PreviewConfig, preview};
use serde_json::json;
use std::path::PathBuf;

/// Draw some training images of every class, each next to augmented views of it.
///
/// The views are what training by the same seed shows a network in its first epochs.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass data preview --data brain-mri --data-root data --out preview.png"
)]
pub struct Args {
    #[command(flatten)]
    images: DataArgs,
    /// PNG file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which augmentation: paper, paper-hue, paper-solarize, paper-blur, paper-blur-solarize, crops,
    /// dino, byol or eval (none).
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
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(0)?;
    let recipe = args.images.recipe()?;
    let config = LoaderConfig {
        pipeline: args.pipeline.clone(),
        size: args.size,
        seed: args.seed,
        ..LoaderConfig::default()
    };
    survey(&recipe)?;
    let images = RunImages::open(&recipe, config, &Storage::default())?;
    for warning in &images.dataset.warnings {
        tracing::info!("  {warning}");
    }
    let config = PreviewConfig {
        per_class: args.per_class,
        views: args.views,
    };
    preview(&images, &config, &args.out)?;
    let (out, data, dataset) = (&args.out, &recipe.name, &images.dataset);
    let (classes, skipped) = (dataset.classes.len(), &dataset.skipped);
    Ok(Report::done(
        format!(
            "drew {classes} classes of {data} in {}\n{}",
            out.display(),
            left_out(skipped)
        ),
        json!({"kind": "preview", "data": data, "out": out, "classes": dataset.classes, "skipped": skipped}),
    )
    .next(next::pretrain(&recipe)))
}
