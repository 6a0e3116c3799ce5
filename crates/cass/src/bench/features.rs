//! `cass bench features`: features of images from files, next to the network alone.

use crate::failure::{Failure, Result};
use crate::images::PlaceArgs;
use crate::process;
use crate::say::Report;
use cass_data::prelude::*;
use cass_models::{Mode, Model, ModelOptions};
use cass_probe::look::Subject;
use serde_json::json;
use std::time::Instant;

/// Measure how fast features are computed, from files, and how much of the network's own speed that is.
///
/// A frozen network with random weights sees the same images twice: from files, as a linear probe
/// reads them (decoded, resized and normalised ahead of the network), and from memory. Both are
/// repeated in turn; the fastest of each counts.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass bench features --data-root data --arch resnet50 --size 384 --images 64"
)]
pub struct Args {
    #[command(flatten)]
    source: PlaceArgs,
    /// The network, by timm's name.
    #[arg(long, value_name = "NAME", default_value = "resnet18")]
    arch: String,
    /// Height and width of the images, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    size: usize,
    /// Images a batch.
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    /// Training images to use; all of them if there are fewer.
    #[arg(long, value_name = "N", default_value_t = 128)]
    images: usize,
    /// Repetitions.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

pub fn run(args: Args) -> Result<Report> {
    if args.size == 0 || args.batch == 0 || args.images == 0 {
        let text = "--size, --batch and --images: expected at least 1";
        return Err(Failure::Wrong(text.into()));
    }
    process::configure(args.threads)?;
    let options = ModelOptions {
        num_classes: 2,
        input_size: args.size,
        ..ModelOptions::default()
    };
    let model = Model::new(&args.arch, &options)?.frozen()?;
    let recipe = DataRecipe {
        skip_bad: true,
        ..args.source.recipe()?
    };
    let config = LoaderConfig {
        size: args.size,
        batch: args.batch,
        threads: args.threads,
        ..LoaderConfig::default()
    };
    let images = RunImages::open(&recipe, config, &Cache::Off.into())?;
    let train = images.part(Part::Train);
    let apart = train.len().div_ceil(args.images).max(1);
    let loader = images.plain(train.iter().copied().step_by(apart).collect())?;
    let batches = loader.epoch(0).collect::<cass_data::Result<Vec<_>>>()?;
    let images = loader.images();
    let subject = Subject {
        name: args.arch.clone(),
        model,
    };
    let (mut alone, mut from_files) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..=args.repeat {
        // The first of each warms up; it may as well count, being the slowest.
        let started = Instant::now();
        for batch in &batches {
            subject.model.features(batch.images(), Mode::Eval)?;
        }
        alone = alone.min(started.elapsed().as_secs_f64());
        let started = Instant::now();
        subject.features(&loader)?;
        from_files = from_files.min(started.elapsed().as_secs_f64());
    }
    let share = alone / from_files;
    let [alone, from_files] = [alone, from_files].map(|seconds| images as f64 / seconds);
    let text = format!(
        "{} at {} px: {from_files:.1} images/s from files, {alone:.1} of the network alone: {:.1} % \
         ({images} images, batches of {})",
        args.arch,
        args.size,
        100.0 * share,
        args.batch
    );
    Ok(Report::done(
        text,
        json!({
            "kind": "bench-features",
            "arch": args.arch,
            "size": args.size,
            "batch": args.batch,
            "images": images,
            "threads": cass_ops::threads::threads(),
            "images_per_s": from_files,
            "forward_images_per_s": alone,
            "share": share,
        }),
    ))
}
