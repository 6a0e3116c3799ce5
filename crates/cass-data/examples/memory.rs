//! One's own images in memory, to augmented batches.
//!
//! ```text
//! cargo run --release -p cass-data --example memory
//! ```

use cass_data::augment::{Normalization, Transform};
use cass_data::image::Pixels;
use cass_data::prelude::*;
use cass_data::source::Item;
use std::error::Error;
use std::sync::Arc;

/// A disc on a dark ground; large ones are of class 1.
fn disc(number: usize, radius: f64) -> Pixels {
    let (side, centre) = (48, 16.0 + (number % 16) as f64);
    let level = |i: usize| {
        let (x, y) = ((i % side) as f64 - centre, (i / side) as f64 - centre);
        if x.hypot(y) < radius { 220 } else { 30 }
    };
    Pixels::from_grey(side, side, (0..side * side).map(level).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let items = (0..80).map(|number| {
        let class = number % 2;
        let pixels = disc(number, if class == 0 { 5.0 } else { 12.0 });
        // Two images a patient: no split divides them.
        Item::pixels(format!("disc-{number:02}"), pixels)
            .label(class)
            .group(format!("patient {}", number / 2))
    });
    let dataset = Arc::new(Dataset::from_items(["small", "large"], items.collect())?);
    let split = dataset.split(0, 0.1);

    let transforms = [
        Transform::RandomHorizontalFlip { p: 0.5 },
        Transform::RandomAffine {
            degrees: 15.0,
            translate: Some([0.1, 0.1]),
            scale: None,
            shear: None,
        },
    ];
    let config = LoaderConfig {
        pipeline: Pipeline::Transforms(Arc::new(transforms)),
        normalization: Normalization::HALF,
        size: 32,
        batch: 16,
        ..LoaderConfig::default()
    };
    let loader = Loader::new(dataset.clone(), split.train, config)?;
    for batch in loader.epoch(0) {
        let batch = batch?;
        let mean = batch.images().mean_all()?.to_scalar::<f32>()?;
        println!(
            "{:?}, labels {:?}, mean {mean:.3}",
            batch.images().shape(),
            batch.labels
        );
    }
    Ok(())
}
