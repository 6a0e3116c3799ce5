//! Which images a command works on: flags that all of them share.

use crate::choice::one_of;
use crate::failure::{Failure, Result};
use cass_data::cache::{Cache, Storage};
use cass_data::image::{Frame, Levels, Pages};
use cass_data::recipe::DataRecipe;
use cass_data::source::{Blank, Column, Found, Source, Uncertain, recognise};
use clap::{Args, ValueEnum};
use std::collections::HashSet;
use std::path::PathBuf;

/// The data set. A flag that is not given leaves the recipe's value.
#[derive(Args)]
#[command(next_help_heading = "Images")]
pub struct DataArgs {
    /// Data set: brain-mri, isic2018, isic2019, isic2020, isic2024, dermofit, biopsies, folder, csv, medmnist,
    /// or images (any, without labels). By default what --data-root looks like, where that is unmistakable.
    #[arg(long, value_name = "NAME")]
    pub data: Option<String>,
    /// Folder that holds the data set, or a folder of its name; for csv the table, for images also a
    /// pattern such as 'scans/**/*.png'. May be repeated.
    #[arg(long, value_name = "DIR")]
    pub data_root: Vec<PathBuf>,
    /// Columns of a table, where their names do not tell: path=NAME, label=NAME, labels=NAME,
    /// split=NAME, group=NAME.
    #[arg(long, value_name = "WHAT=NAME", value_delimiter = ',', value_parser = column)]
    pub columns: Vec<(Column, String)>,
    /// Column of a table that names the patient, or other group that no split divides.
    #[arg(long, value_name = "NAME")]
    pub group_column: Option<String>,
    /// The 0/1 columns of a table that are classes, or its one column of names; none for images without
    /// labels; by-folder for folders that are classes though they look like dates.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Folders that hold the images that a table names.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub images: Vec<PathBuf>,
    /// What -1 in a 0/1 column is: not of the class, of it, or left out of loss and metrics.
    #[arg(long, value_name = "HOW", value_parser = one_of(UNCERTAIN))]
    pub uncertain: Option<Uncertain>,
    /// What an empty field in a 0/1 column is; by default left out of loss and metrics.
    #[arg(long, value_name = "HOW", value_parser = one_of(BLANK))]
    pub blank: Option<Blank>,
    /// Leave out files and folders of such names, as in '*_mask.*'. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Keep patients whole: a regular expression whose first group is the patient in a file's name or
    /// path, as in '^(p[0-9]+)_'; none for not taking folders below classes for patients.
    #[arg(long, value_name = "REGEX")]
    pub group_by: Option<String>,
    /// Shares of training, validation and test images where no parts are given, in percent; by default
    /// 80/10/10.
    #[arg(long, value_name = "A/B/C", value_parser = shares)]
    pub split: Option<[f64; 2]>,
    /// How more than 8 bits become 8: high-byte, min-max, percentile:LOW,HIGH, bits:N or
    /// window:CENTER,WIDTH; kept with the run, and used by predict [default: high-byte].
    #[arg(long, value_name = "HOW")]
    pub levels: Option<Levels>,
    /// Turn pictures as their EXIF data say; by default, as PIL has it, they are not.
    #[arg(long, value_name = "TRUE|FALSE", num_args = 0..=1, default_missing_value = "true")]
    pub exif: Option<bool>,
    /// Pages or channels of TIFF files: first, one to three numbers for red, green and blue (1,2,3), or as many
    /// as --in-chans says, mean, max, or pyramid (the smallest page that is large enough) [default: first].
    #[arg(long, value_name = "WHICH")]
    pub pages: Option<Pages>,
    /// Which frame of DICOM files: first, middle, a number from 1, or all, each an image of its own [default:
    /// first].
    #[arg(long, value_name = "WHICH")]
    pub frame: Option<Frame>,
    /// Which window of DICOM files, from 1 [default: 1].
    #[arg(long, value_name = "N")]
    pub window_index: Option<usize>,
    /// Channels of the images that the networks see: 3 for colours, 1 for grey, or as many as TIFF files or
    /// .npz arrays have, to 13; kept with the run. Weights for colours are summed or repeated, as timm does.
    #[arg(long, value_name = "N")]
    pub in_chans: Option<usize>,
    /// The most pixels that an image may have, in millions; by default 100.
    #[arg(long, value_name = "N")]
    pub max_megapixels: Option<u64>,
    /// Leave out the images that a probe's run, or a probe on a table by the same seed, tests on.
    #[arg(long, value_name = "CSV|RUN")]
    pub exclude_test_of: Option<PathBuf>,
    /// Leave out images that cannot be decoded, and list them, instead of stopping.
    #[arg(long)]
    pub skip_bad: bool,
}

impl DataArgs {
    /// Writes the flags that were given into a recipe's table of the images. Without `--data` the layout is that of
    /// the recipe where that was `decided`, or else what the folder looks like.
    pub fn apply(self, recipe: &mut DataRecipe, decided: bool) -> Result<()> {
        let told = (self.data.is_some(), self.data_root.clone());
        if let Some(name) = self.data
            && name != recipe.name
        {
            // How another layout was to be read says nothing of this one.
            *recipe = DataRecipe {
                name,
                root: recipe.root.clone(),
                ..recipe.clone().as_read()
            };
        }
        let mut roots = self.data_root.into_iter();
        if let Some(root) = roots.next() {
            recipe.root = root;
            recipe.more_roots = roots.collect();
        }
        recipe.columns.extend(self.columns);
        let group = self.group_column.map(|name| (Column::Group, name));
        recipe.columns.extend(group);
        for (field, values) in [
            (&mut recipe.labels, self.labels),
            (&mut recipe.exclude, self.exclude),
        ] {
            if !values.is_empty() {
                *field = values;
            }
        }
        if !self.images.is_empty() {
            recipe.images = self.images;
        }
        set(&mut recipe.levels, self.levels);
        set(&mut recipe.exif, self.exif);
        set(&mut recipe.pages, self.pages);
        set(&mut recipe.frame, self.frame);
        set(&mut recipe.window_index, self.window_index);
        set(&mut recipe.max_megapixels, self.max_megapixels);
        set(&mut recipe.in_chans, self.in_chans);
        recipe.uncertain = self.uncertain.or(recipe.uncertain);
        recipe.blank = self.blank.or(recipe.blank);
        recipe.group_by = self.group_by.or(recipe.group_by.take());
        recipe.exclude_test_of = self.exclude_test_of.or(recipe.exclude_test_of.take());
        if let Some([val, test]) = self.split {
            recipe.val_fraction = val;
            recipe.test_fraction = Some(test);
        }
        recipe.skip_bad |= self.skip_bad;
        match told {
            (false, roots) if !roots.is_empty() => look(recipe, decided),
            _ => Ok(()),
        }
    }

    /// The images of a command that has no other recipe.
    pub fn recipe(self) -> Result<DataRecipe> {
        let mut recipe = DataRecipe::default();
        self.apply(&mut recipe, false)?;
        expect_root(&recipe)?;
        Ok(recipe)
    }
}

/// The data set of a command that measures time alone, read as it is by default.
#[derive(Args)]
#[command(next_help_heading = "Images")]
pub struct PlaceArgs {
    /// Data set, as `cass data check` takes it.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Folder that holds the data set, or a folder of its name.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Leave out images that cannot be decoded, and list them, instead of stopping.
    #[arg(long)]
    skip_bad: bool,
}

impl PlaceArgs {
    /// The images of the command.
    pub fn recipe(self) -> Result<DataRecipe> {
        let mut recipe = DataRecipe::default();
        let told = self.data.is_some();
        set(&mut recipe.name, self.data);
        set(&mut recipe.root, self.data_root);
        recipe.skip_bad = self.skip_bad;
        expect_root(&recipe)?;
        if !told {
            look(&mut recipe, false)?;
        }
        Ok(recipe)
    }
}

/// Names the layout of a recipe's folder by what is in it. One that was decided stays, where it is there.
fn look(recipe: &mut DataRecipe, decided: bool) -> Result<()> {
    // Lists every image: only where what was decided and what it looks like differ.
    let there = || !matches!(recipe.layout().find(), Err(cass_data::Error::Layout { .. }));
    match recognise(&recipe.root) {
        Ok(name) if name == recipe.name || decided && there() => Ok(()),
        Ok(name) => {
            let root = recipe.root.display();
            tracing::info!("{root} is laid out as --data {name}");
            recipe.name = name.into();
            Ok(())
        }
        // What it was to be says best what is missing.
        Err(_) if decided => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What -1 may be, by the values of its flag.
pub const UNCERTAIN: [(Uncertain, &str, &str); 3] = [
    (Uncertain::Zero, "zero", "Not of the class"),
    (Uncertain::One, "one", "Of the class"),
    (Uncertain::Ignore, "ignore", "Left out of loss and metrics"),
];

/// What an empty field may be, by the values of its flag.
pub const BLANK: [(Blank, &str, &str); 2] = [
    (Blank::Zero, "zero", "Not of the class"),
    (Blank::Ignore, "ignore", "Left out of loss and metrics"),
];

/// `WHAT=NAME`.
fn column(text: &str) -> std::result::Result<(Column, String), String> {
    let (what, name) = text.split_once('=').ok_or("expected WHAT=NAME")?;
    Ok((what.trim().parse()?, name.trim().to_owned()))
}

/// `70/10/20`, as shares for validation and testing.
fn shares(text: &str) -> std::result::Result<[f64; 2], String> {
    let wrong = || "expected three shares in percent that make 100, as in 70/10/20".to_owned();
    let numbers: Option<Vec<f64>> = text.split('/').map(|n| n.trim().parse().ok()).collect();
    let [train, val, test] = numbers.ok_or_else(wrong)?[..] else {
        return Err(wrong());
    };
    let fit = train > 0.0 && val >= 0.0 && test >= 0.0 && (train + val + test - 100.0).abs() < 1e-6;
    fit.then_some([val / 100.0, test / 100.0]).ok_or_else(wrong)
}

/// Lists a data set's images and says how they were read: before hours are spent on them.
pub fn survey(recipe: &DataRecipe) -> Result<Found> {
    let found = recipe.layout().find()?;
    let labelled = found.items.iter().filter(|i| i.is_labelled(found.task));
    let (images, labelled) = (found.items.len(), labelled.count());
    let groups: HashSet<_> = found
        .items
        .iter()
        .filter_map(|i| i.group.as_ref())
        .collect();
    let mut said = format!(
        "{} in {}: {images} images",
        recipe.name,
        found.root.display()
    );
    if !found.classes.is_empty() {
        const SHOWN: usize = 30;
        let mut classes = found
            .classes
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>();
        if found.classes.len() > SHOWN {
            classes.push("...".into());
        }
        said += &format!(", {} classes ({})", found.classes.len(), classes.join(", "));
    }
    if labelled < images {
        said += &format!(", {labelled} with a label");
    }
    match groups.len() {
        0 if labelled > 0 => said += ", no patients or other groups known",
        0 => {}
        groups => said += &format!(", {groups} patients or other groups"),
    }
    tracing::info!("{said}");
    for note in &found.notes {
        tracing::info!("  {note}");
    }
    Ok(found)
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
    /// Keep resized pixels in memory (up to 2 GiB), in files, or not at all; no pixel changes [default: ram].
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
