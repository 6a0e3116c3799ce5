//! Which images a command works on: flags that all of them share.

use crate::failure::{Failure, Result};
use cass_data::cache::{Cache, Storage};
use cass_data::recipe::DataRecipe;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The data set. A flag that is not given leaves the recipe's value.
#[derive(Args)]
#[command(next_help_heading = "Images")]
pub struct DataArgs {
    /// Data set: brain-mri, isic2019, biopsies, folder, csv or medmnist.
    #[arg(long, value_name = "NAME")]
    pub data: Option<String>,
    /// Folder that holds the data set, or a folder of its name.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Leave out images that cannot be decoded, and list them, instead of stopping.
    #[arg(long)]
    pub skip_bad: bool,
}

impl DataArgs {
    /// Writes the flags that were given into a recipe's table of the images.
    pub fn apply(self, recipe: &mut DataRecipe) {
        set(&mut recipe.name, self.data);
        set(&mut recipe.root, self.data_root);
        recipe.skip_bad |= self.skip_bad;
    }

    /// The images of a command that has no other recipe.
    pub fn recipe(self) -> Result<DataRecipe> {
        let mut recipe = DataRecipe::default();
        self.apply(&mut recipe);
        expect_root(&recipe)?;
        Ok(recipe)
    }
}

/// Says whether a recipe knows where its images are.
pub fn expect_root(recipe: &DataRecipe) -> Result<()> {
    if recipe.root.as_os_str().is_empty() {
        return Err(Failure::Wrong(
            "--data-root is missing: the folder that holds the images (to try things, \
             `cass data phantom` draws some)"
                .into(),
        ));
    }
    Ok(())
}

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
    /// Keep them in memory, up to 2 GiB.
    Ram,
    /// Keep them in files, for this run and later ones.
    Disk,
    /// Nowhere: every epoch decodes.
    Off,
}

impl CacheArgs {
    /// The choice, or `default` where there is none. Which images decode is remembered in the user's
    /// cache folder.
    pub fn storage(self, default: Cache) -> Result<Storage> {
        let cache = match self.cache {
            None => default,
            Some(CacheName::Ram) => Cache::default(),
            Some(CacheName::Off) => Cache::Off,
            Some(CacheName::Disk) => Cache::Disk {
                folder: match self.cache_dir.or_else(|| user_cache("pixels")) {
                    Some(folder) => folder,
                    None => {
                        let text =
                            "--cache-dir is missing: there is neither XDG_CACHE_HOME nor HOME";
                        return Err(Failure::Wrong(text.into()));
                    }
                },
            },
        };
        Ok(Storage {
            cache,
            record: user_cache("checked"),
        })
    }
}

/// A folder of `cass` in the user's cache folder.
fn user_cache(name: &str) -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = folder("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(folder("HOME")?).join(".cache"));
    Some(cache.or_else(home)?.join("cass").join(name))
}
