//! `cass data phantom`: drawn images.

use crate::choice::one_of;
use crate::failure::Result;
use crate::next::word;
use crate::process;
use crate::say::Report;
use cass_data::phantom::{PhantomConfig, PhantomStyle, write_phantom_of};
use clap::builder::TypedValueParser;
use serde_json::json;
use std::path::PathBuf;

/// Draw a data set to try things with.
///
/// brain-mri: heads with and without lesions. isic2019: blobs on skin. biopsies: glowing cells, several
/// types in an image. Each is in the layout of the data set that it stands for; the latter two have
/// no given split, and as many images a class as for training and testing together.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cass data phantom --out phantoms --train-per-class 40 --size 64"
)]
pub struct Args {
    /// Which data set to stand in for: brain-mri, isic2019 or biopsies.
    #[arg(long, value_name = "NAME", default_value = "brain-mri")]
    data: String,
    /// Folder to write into, empty or new.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Decides every pixel.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Training images of each class.
    #[arg(long, value_name = "N", default_value_t = 60)]
    train_per_class: usize,
    /// Test images of each class.
    #[arg(long, value_name = "N", default_value_t = 20)]
    test_per_class: usize,
    /// Height and width, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 96)]
    size: usize,
    /// How much the images differ, but for what tells their classes apart; brain-mri alone has two styles.
    #[arg(long, default_value = "varied", value_parser = style())]
    style: PhantomStyle,
}

/// Reads a style's name.
fn style() -> impl TypedValueParser<Value = PhantomStyle> {
    let about = |style| match style {
        PhantomStyle::Varied => "Much, as those of patients do",
        PhantomStyle::Clear => "Little: a small network learns to tell the classes in a minute",
    };
    one_of(PhantomStyle::ALL.map(|style| (style, style.name(), about(style))))
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(0)?;
    let Args {
        data,
        out,
        seed,
        train_per_class,
        test_per_class,
        size,
        style,
    } = args;
    write_phantom_of(
        &data,
        &out,
        &PhantomConfig {
            seed,
            train_per_class,
            test_per_class,
            size,
            style,
        },
    )?;
    let classes = match data.as_str() {
        "isic2019" => 8,
        "biopsies" => 5,
        _ => 4,
    };
    let (train, test) = (classes * train_per_class, classes * test_per_class);
    let parts = match data.as_str() {
        "brain-mri" => format!("{train} training and {test} test images"),
        _ => format!("{} images", train + test),
    };
    Ok(Report::done(
        format!("drew {parts} in {}", out.display()),
        json!({"kind": "phantom", "data": data, "root": out, "train": train, "test": test, "seed": seed}),
    )
    .next(format!(
        "cass pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random \
         --data {data} --data-root {} --size 64 --epochs 2 --out runs/cass",
        word(&out)
    )))
}
