//! Flags that several commands share.

use crate::failure::{Failure, Result};
use cass_data::Cache;
use cass_train::Protocol;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which images, how many, where to compute. A flag that is not given leaves the recipe's value.
#[derive(Args)]
pub struct Common {
    /// Data set: brain-mri, isic2019, biopsies, folder, csv or medmnist.
    #[arg(long, value_name = "NAME")]
    pub data: Option<String>,
    /// Folder that holds the data set, or a folder of its name.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Height and width of the images the networks see, in pixels.
    #[arg(long, value_name = "PX")]
    pub size: Option<usize>,
    /// Passes over the images.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Images a step.
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Seed of weights, split, order and augmentation.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Share of the training images to use, above 0 to 1, the same share of every class.
    #[arg(long, value_name = "SHARE")]
    pub fraction: Option<f64>,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Worker threads; 0 for one a core. The same number repeats a run to the last digit.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Leave out images that cannot be decoded, and list them, instead of stopping.
    #[arg(long)]
    pub skip_bad: bool,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Folder of the run. A finished run with the same settings is not repeated.
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
}

/// Writes the flags that were given into a recipe, whichever kind it is of.
macro_rules! apply {
    ($common:expr, $recipe:expr) => {{
        let (common, recipe) = ($common, &mut $recipe);
        $crate::options::set(&mut recipe.data, common.data);
        $crate::options::set(&mut recipe.data_root, common.data_root);
        $crate::options::set(&mut recipe.size, common.size);
        $crate::options::set(&mut recipe.epochs, common.epochs);
        $crate::options::set(&mut recipe.batch, common.batch);
        $crate::options::set(&mut recipe.seed, common.seed);
        $crate::options::set(&mut recipe.fraction, common.fraction);
        $crate::options::set(&mut recipe.device, common.device);
        $crate::options::set(&mut recipe.threads, common.threads);
        recipe.skip_bad |= common.skip_bad;
    }};
}
pub(crate) use apply;

/// Replaces a field by a flag's value, if it was given.
pub fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Where resized pixels are kept between epochs: no setting of a run, as it changes no pixel.
#[derive(Args, Default)]
pub struct CacheArgs {
    /// Keep resized pixels in memory (up to 2 GiB), in files, or not at all; no pixel changes.
    #[arg(long, value_name = "WHERE")]
    pub cache: Option<CacheName>,
    /// Folder of the files of --cache disk, which several runs may share; by default
    /// cass/pixels in the user's cache folder.
    #[arg(long, value_name = "DIR", requires = "cache")]
    pub cache_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CacheName {
    /// In memory, up to 2 GiB.
    Ram,
    /// In files, for this run and later ones.
    Disk,
    /// Nowhere: every epoch decodes.
    Off,
}

impl CacheArgs {
    /// Makes the choice, or `default` where there is none, that of all data sets to be opened.
    pub fn install_or(self, default: Cache) -> Result<()> {
        let cache = match self.cache {
            None => default,
            Some(CacheName::Ram) => Cache::default(),
            Some(CacheName::Off) => Cache::Off,
            Some(CacheName::Disk) => Cache::Disk {
                folder: match self.cache_dir.or_else(user_cache) {
                    Some(folder) => folder,
                    None => {
                        let text =
                            "--cache-dir is missing: there is neither XDG_CACHE_HOME nor HOME";
                        return Err(Failure::Wrong(text.into()));
                    }
                },
            },
        };
        cache.install();
        Ok(())
    }
}

/// `cass/pixels` in the user's cache folder.
fn user_cache() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = folder("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(folder("HOME")?).join(".cache"));
    Some(cache.or_else(home)?.join("cass/pixels"))
}

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

/// Whose settings a run starts from.
#[derive(Clone, Copy, ValueEnum)]
pub enum ProtocolName {
    /// The paper's text.
    Paper,
    /// The authors' published notebooks, quirks included.
    Notebook,
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Paper => Self::Paper,
            ProtocolName::Notebook => Self::Notebook,
        }
    }
}
