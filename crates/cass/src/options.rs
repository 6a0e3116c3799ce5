//! Flags that several commands share.

use crate::choice::one_of;
use crate::failure::{Failure, Result};
use crate::images::{CacheArgs, DataArgs};
use cass_run::{first_difference, names};
use cass_train::Protocol;
use cass_train::recipe::Normalize;
use clap::Args;
use clap::builder::TypedValueParser;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Which images, how many, where to compute. A flag that is not given leaves the recipe's value.
#[derive(Args)]
pub struct Common {
    #[command(flatten)]
    pub images: DataArgs,
    /// Height and width of the images the networks see, in pixels [default: 384, or that of --run or --recipe].
    #[arg(long, value_name = "PX")]
    pub size: Option<usize>,
    /// Passes over the images [default: 100 to pretrain, 50 to probe, or those of --recipe].
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Images a step [default: 16, or that of --recipe].
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Seed of weights, split, order and augmentation [default: 0, or that of --run or --recipe].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Share of the training images to use, above 0 to 1, the same share of every class [default: 1].
    #[arg(long, value_name = "SHARE")]
    pub fraction: Option<f64>,
    /// Where to compute: auto, cpu, cuda or cuda:N [default: auto].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Worker threads; 0 for one a core [default: 0]. Any number gives the same bytes, and a run may continue with
    /// another.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Folder of the run. A finished run with the same settings is not repeated.
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
}

/// The folder that relative paths of a command line are of.
pub fn here() -> Result<PathBuf> {
    let wrong = |error| Failure::Failed(format!("the current folder cannot be told: {error}"));
    std::env::current_dir().map_err(wrong)
}

/// The recipe that a run folder has of an earlier attempt.
pub struct Earlier<R> {
    text: String,
    /// With absolute paths.
    pub recipe: R,
}

impl<R: Serialize + DeserializeOwned> Earlier<R> {
    /// That of the folder `out`, where it can be read; `resolve` makes its paths absolute.
    pub fn of(out: &Path, resolve: impl Fn(&mut R, &Path)) -> Result<Option<Self>> {
        let text = cass_run::read_text(&out.join(names::RECIPE)).ok().flatten();
        let Some(text) = text else { return Ok(None) };
        let Ok(mut recipe) = cass_run::from_toml(&text) else {
            return Ok(None);
        };
        resolve(&mut recipe, &here()?);
        Ok(Some(Self { text, recipe }))
    }

    /// The text of a recipe for the folder: what is there, where that says the same.
    pub fn or(earlier: Option<Self>, recipe: &R) -> String {
        let new = cass_run::to_toml(recipe);
        let same = |e: &Self| first_difference(&cass_run::to_toml(&e.recipe), &new).is_none();
        match earlier.filter(same) {
            Some(earlier) => earlier.text,
            None => new,
        }
    }
}

/// Writes the flags that were given into a recipe, whichever kind it is of.
macro_rules! apply {
    ($common:expr, $recipe:expr, $decided:expr) => {{
        let (common, recipe) = ($common, &mut $recipe);
        common.images.apply(&mut recipe.data, $decided)?;
        $crate::images::set(&mut recipe.size, common.size);
        $crate::images::set(&mut recipe.epochs, common.epochs);
        $crate::images::set(&mut recipe.batch, common.batch);
        $crate::images::set(&mut recipe.seed, common.seed);
        $crate::images::set(&mut recipe.data.fraction, common.fraction);
        $crate::images::set(&mut recipe.device, common.device);
        $crate::images::set(&mut recipe.threads, common.threads);
    }};
}
pub(crate) use apply;

/// Where a command that trains nothing computes.
#[derive(Args)]
pub struct Compute {
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// Reads what images are normalised by.
pub fn normalization() -> impl TypedValueParser<Value = Normalize> {
    one_of([
        (
            Normalize::Imagenet,
            "imagenet",
            "ImageNet's statistics, as the paper's",
        ),
        (
            Normalize::Weights,
            "weights",
            "Those that the weights were trained with, as the registry knows them by the network's name",
        ),
    ])
}

/// Reads whose settings a run starts from.
pub fn protocol() -> impl TypedValueParser<Value = Protocol> {
    one_of([
        (Protocol::Paper, "paper", "The paper's text"),
        (
            Protocol::Notebook,
            "notebook",
            "The authors' published notebooks, quirks included",
        ),
    ])
}
