//! `cass data phantom`: drawn images.

use crate::failure::Result;
use crate::process;
use crate::say::Report;
use cass_data::{PhantomConfig, write_phantom};
use serde_json::json;
use std::path::PathBuf;

/// Draw a data set to try things with: heads with and without lesions, in the brain-MRI layout.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass data phantom --out phantoms --train-per-class 40 --size 64"
)]
pub struct Args {
    /// Folder to write Training/CLASS/ and Testing/CLASS/ into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Decides every pixel.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Training images of each of the four classes.
    #[arg(long, value_name = "N", default_value_t = 60)]
    train_per_class: usize,
    /// Test images of each class.
    #[arg(long, value_name = "N", default_value_t = 20)]
    test_per_class: usize,
    /// Height and width, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 96)]
    size: usize,
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(0)?;
    let Args {
        out,
        seed,
        train_per_class,
        test_per_class,
        size,
    } = args;
    write_phantom(
        &out,
        &PhantomConfig {
            seed,
            train_per_class,
            test_per_class,
            size,
        },
    )?;
    let (train, test) = (4 * train_per_class, 4 * test_per_class);
    Ok(Report::done(
        format!(
            "drew {train} training and {test} test images in {}",
            out.display()
        ),
        json!({"kind": "phantom", "root": out, "train": train, "test": test, "seed": seed}),
    ))
}
