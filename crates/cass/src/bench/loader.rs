//! `cass bench loader`: images a second from files to augmented batches.

use crate::failure::{Failure, Result};
use crate::images::{CacheArgs, PlaceArgs};
use crate::process;
use crate::say::Report;
use cass_data::prelude::*;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Instant;

/// Measure how many images a second become augmented batches.
///
/// The files are real: each is read, decoded, resized, augmented and normalised, as in training.
/// Without --cache every epoch decodes; with it only the first does. What is reported is the last
/// epoch, after its first batches, and where the threads' time went in it.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass bench loader --data brain-mri --data-root data --size 384 --threads 2"
)]
pub struct Args {
    #[command(flatten)]
    source: PlaceArgs,
    /// Height and width of the images, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 384)]
    size: usize,
    /// Images a batch.
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    /// Training images to load an epoch; all of them if there are fewer.
    #[arg(long, value_name = "N", default_value_t = 800)]
    images: usize,
    /// Passes over the images.
    #[arg(long, value_name = "N", default_value_t = 1)]
    epochs: u64,
    /// Which augmentation: paper, paper-hue, paper-solarize, paper-blur, paper-blur-solarize, crops,
    /// dino, byol or eval (none).
    #[arg(long, value_name = "NAME", default_value = "paper")]
    pipeline: Pipeline,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Chooses the images and draws the augmentation.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Batches before the clock starts: threads and memory are new.
const WARM_UP: usize = 4;

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.threads)?;
    if args.epochs == 0 {
        return Err(Failure::Wrong("--epochs is 0: expected at least 1".into()));
    }
    let recipe = DataRecipe {
        skip_bad: true,
        ..args.source.recipe()?
    };
    let config = LoaderConfig {
        pipeline: args.pipeline.clone(),
        size: args.size,
        batch: args.batch,
        seed: args.seed,
        threads: args.threads,
        ..LoaderConfig::default()
    };
    let storage = Storage {
        record: None,
        ..args.cache.storage(Cache::Off)?
    };
    let data = &recipe.name;
    let images = RunImages::open(&recipe, config.clone(), &storage)?;
    let train = images.part(Part::Train);
    let apart = train.len().div_ceil(args.images.max(1)).max(1);
    let some = train.iter().copied().step_by(apart).collect();
    let loader = Loader::new(images.dataset.clone(), some, config)?;
    if loader.batches() <= WARM_UP {
        let (batches, least) = (loader.batches(), WARM_UP + 1);
        return Err(Failure::Wrong(format!(
            "{} images make {batches} batches of {}: expected at least {least} batches to measure",
            loader.images(),
            args.batch
        )));
    }
    let mut rates = Vec::new();
    let mut shares = Vec::new();
    for epoch in 0..args.epochs {
        let before = loader.phase_times();
        let (mut start, mut counted) = (Instant::now(), 0);
        for (number, batch) in loader.epoch(epoch).enumerate() {
            let batch = batch?;
            if number < WARM_UP {
                start = Instant::now();
            } else {
                counted += batch.samples.len();
            }
        }
        rates.push(counted as f64 / start.elapsed().as_secs_f64());
        shares = loader.phase_times().since(&before).shares().to_vec();
    }
    let rate = rates.last().copied().unwrap_or(0.0);
    let mut text = format!(
        "{rate:.1} images/s of {data} at {} px, {} images in batches of {}\n ",
        args.size,
        loader.images(),
        args.batch
    );
    for (stage, share) in &shares {
        let _ = write!(text, " {stage} {:.0} %", 100.0 * share);
    }
    let shares: serde_json::Map<_, _> = shares
        .into_iter()
        .map(|(stage, share)| (stage.to_owned(), json!(share)))
        .collect();
    Ok(Report::done(
        text,
        json!({
            "kind": "bench-loader",
            "images_per_s": rate,
            "epochs_images_per_s": rates,
            "images": loader.images(),
            "size": args.size,
            "batch": args.batch,
            "threads": args.threads,
            "stages": shares,
        }),
    ))
}
