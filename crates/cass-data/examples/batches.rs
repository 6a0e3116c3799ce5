//! A batch loop: opens a data set and times two epochs of each augmentation.
//!
//! ```text
//! cargo run --release -p cass-data --example batches [-- DATA_ROOT [SIZE]]
//! ```

use cass_data::phantom::{PhantomConfig, PhantomStyle, write_phantom};
use cass_data::prelude::*;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

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
                style: PhantomStyle::Varied,
            };
            write_phantom(temporary.path(), &phantoms)?;
            temporary.path().to_owned()
        }
    };
    let size = arguments.next().map_or(Ok(96), |text| text.parse())?;

    for pipeline in [Pipeline::Eval, Pipeline::Paper, Pipeline::Dino] {
        let config = LoaderConfig {
            pipeline: pipeline.clone(),
            size,
            seed: 1,
            ..LoaderConfig::default()
        };
        let start = Instant::now();
        let recipe = DataRecipe::new("brain-mri", &root);
        let images = RunImages::open(&recipe, config, &Storage::default())?;
        let [train, val, test] =
            [Part::Train, Part::Val, Part::Test].map(|part| images.part(part).len());
        println!(
            "{} images of {} checked in {:.2?}: train {train}, val {val}, test {test}",
            images.dataset.len(),
            images.dataset.classes.join(", "),
            start.elapsed(),
        );
        let loader = images.augmented(images.part(Part::Train).to_vec())?;
        for epoch in 0..2 {
            let start = Instant::now();
            let mut seen = 0;
            for batch in loader.epoch(epoch) {
                seen += batch?.labels.len();
            }
            println!(
                "{pipeline}, epoch {epoch}: {seen} images, {:.0} a second",
                seen as f64 / start.elapsed().as_secs_f64()
            );
        }
    }
    Ok(())
}
