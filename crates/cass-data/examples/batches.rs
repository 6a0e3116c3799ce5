//! Draws a small data set, opens it and times one epoch of batches.
//!
//! ```text
//! cargo run --release -p cass-data --example batches [-- DATA_ROOT [SIZE]]
//! ```
use std::{error::Error, path::PathBuf, sync::Arc, time::Instant};

use cass_data::{Loader, LoaderConfig, PhantomConfig, Pipeline, open, write_phantom};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let temporary = tempfile::tempdir()?;
    let root = match arguments.next() {
        Some(folder) => PathBuf::from(folder),
        None => {
            let phantoms = PhantomConfig {
                seed: 1,
                train_per_class: 40,
                test_per_class: 10,
                size: 96,
            };
            write_phantom(temporary.path(), &phantoms)?;
            temporary.path().to_owned()
        }
    };
    let size = arguments.next().map_or(Ok(96), |text| text.parse())?;

    let start = Instant::now();
    let dataset = Arc::new(open("brain-mri", &root, false)?);
    println!(
        "{} images of {} checked in {:.2?}",
        dataset.len(),
        dataset.classes.join(", "),
        start.elapsed()
    );
    let split = dataset.split(1, 0.1);
    println!(
        "train {}, val {}, test {}; manifest {}",
        split.train.len(),
        split.val.len(),
        split.test.len(),
        dataset.manifest_hash(&split)
    );

    for pipeline in [Pipeline::Eval, Pipeline::Paper, Pipeline::Dino] {
        let config = LoaderConfig {
            pipeline: pipeline.clone(),
            size,
            batch: 16,
            seed: 1,
            shuffle: true,
            drop_last: false,
            threads: 0,
            device: candle_core::Device::Cpu,
            prefetch: 2,
        };
        let loader = Loader::new(dataset.clone(), split.train.clone(), config)?;
        for epoch in 0..2 {
            let start = Instant::now();
            let mut images = 0;
            for batch in loader.epoch(epoch) {
                images += batch?.labels.len();
            }
            println!(
                "{pipeline}, epoch {epoch}: {images} images, {:.0} a second",
                images as f64 / start.elapsed().as_secs_f64()
            );
        }
    }
    Ok(())
}
