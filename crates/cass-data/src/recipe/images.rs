use super::DataRecipe;
use crate::Result;
use crate::augment::Pipeline;
use crate::cache::Storage;
use crate::dataset::{Dataset, OpenOptions, Part};
use crate::loader::{Loader, LoaderConfig};
use crate::split::{Manifest, Split, fraction};
use cass_run::names;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The images of a run: opened, split, and the share of them chosen that the run uses.
///
/// ```
/// use cass_data::{dataset::Part, phantom::{PhantomConfig, write_phantom}, prelude::*};
/// # fn main() -> cass_data::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// write_phantom(folder.path(), &PhantomConfig { seed: 1, train_per_class: 10, test_per_class: 2, size: 16, style: Default::default() })?;
/// let recipe = DataRecipe { fraction: 0.5, ..DataRecipe::new("brain-mri", folder.path()) };
/// let config = LoaderConfig { size: 16, batch: 8, seed: 3, ..LoaderConfig::default() };
/// let images = RunImages::open(&recipe, config, &Storage::default())?;
/// assert_eq!(images.part(Part::Train).len(), 20); // half of the 9 of each class, rounded up
/// let loader = images.augmented(images.part(Part::Train).to_vec())?;
/// assert_eq!(loader.batches(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RunImages {
    /// All images that can be used.
    pub dataset: Arc<Dataset>,
    /// The parts of the whole data set.
    pub split: Split,
    /// The record of the split.
    pub manifest: Manifest,
    used: Vec<usize>,
    config: LoaderConfig,
}

/// At most `most` places of `all`, evenly apart.
///
/// ```
/// let some: Vec<usize> = cass_data::recipe::evenly(10, 4).collect();
/// assert_eq!(some, [0, 2, 5, 7]);
/// ```
pub fn evenly(all: usize, most: usize) -> impl Iterator<Item = usize> {
    let n = most.min(all);
    (0..n).map(move |i| i * all / n)
}

/// SHA-256 of the test images of a run, or of a probe by the same seed on the images of a table.
fn held_out_by(
    of: &Path,
    recipe: &DataRecipe,
    config: &LoaderConfig,
    storage: &Storage,
) -> Result<HashSet<String>> {
    let manifest = if of.is_dir() {
        Manifest::read(&of.join(names::MANIFEST))?
    } else {
        let own = DataRecipe::new("csv", of);
        let table = DataRecipe {
            images: recipe.images.clone(),
            columns: recipe.columns.clone(),
            labels: recipe.labels.clone(),
            uncertain: recipe.uncertain,
            skip_bad: recipe.skip_bad,
            ..own
        };
        let dataset = table.open(&OpenOptions {
            storage: storage.clone(),
            ..OpenOptions::default()
        })?;
        dataset.manifest(&dataset.split(config.seed, table.val_fraction))
    };
    let tested = manifest
        .rows
        .into_iter()
        .filter(|row| row.part == Part::Test);
    Ok(tested.map(|row| row.sha256).collect())
}

impl RunImages {
    /// Opens the images of a recipe and splits them by `config.seed`. Loaders are made as `config`
    /// says.
    ///
    /// # Errors
    /// Those of [`Dataset::open`], and a share out of its range.
    pub fn open(recipe: &DataRecipe, config: LoaderConfig, storage: &Storage) -> Result<Self> {
        recipe.check()?;
        config.check()?;
        let mut dataset = recipe.open(&OpenOptions {
            size: Some(config.size),
            storage: storage.clone(),
            ..OpenOptions::default()
        })?;
        if let Some(of) = &recipe.exclude_test_of {
            let held = held_out_by(of, recipe, &config, storage)?;
            let (gone, all) = (dataset.leave_out(&held), held.len());
            let of = of.display();
            dataset.warnings.push(format!(
                "{gone} images are left out: they are of the {all} test images of {of}"
            ));
        }
        let split = dataset.split_by(config.seed, recipe.val_fraction, recipe.test_fraction);
        dataset.warn_of_split(&split);
        let dataset = Arc::new(dataset);
        Ok(Self {
            used: fraction(&dataset, &split.train, recipe.fraction, config.seed),
            manifest: dataset.manifest(&split),
            split,
            dataset,
            config,
        })
    }

    /// The images of a part that the run uses, as ascending indices into
    /// [`Dataset::samples`]: of the training images the recipe's share.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.used,
            Part::Val => &self.split.val,
            Part::Test => &self.split.test,
        }
    }

    /// The labelled among [`RunImages::part`].
    pub fn labelled(&self, part: Part) -> Vec<usize> {
        let all = self.part(part).iter().copied();
        all.filter(|&i| self.dataset.samples[i].labelled).collect()
    }

    /// At most `most` images of a part, evenly apart.
    pub fn some_of(&self, part: Part, most: usize) -> Vec<usize> {
        let all = self.part(part);
        evenly(all.len(), most).map(|i| all[i]).collect()
    }

    /// The same images in batches of another size.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.config.batch = batch;
        self
    }

    /// How the loaders make their batches.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Batches for training: in the configured views and order. A last batch of a single image,
    /// which BatchNorm cannot normalise, is left out.
    ///
    /// # Errors
    /// Those of [`Loader::new`].
    pub fn augmented(&self, indices: Vec<usize>) -> Result<Loader> {
        let drop_last = self.config.drop_last || indices.len() % self.config.batch.max(1) == 1;
        let config = LoaderConfig {
            drop_last,
            ..self.config.clone()
        };
        Loader::new(self.dataset.clone(), indices, config)
    }

    /// Batches of two views by `pipeline` of each image, in the order of `indices` and the same in every pass.
    ///
    /// # Errors
    /// Those of [`Loader::new`].
    pub fn twice(&self, indices: Vec<usize>, pipeline: Pipeline) -> Result<Loader> {
        let config = LoaderConfig {
            pipeline,
            draws: 2,
            ..self.config.clone().plain()
        };
        Loader::new(self.dataset.clone(), indices, config)
    }

    /// Batches of the images as they are, in the order of `indices`.
    ///
    /// # Errors
    /// Those of [`Loader::new`].
    pub fn plain(&self, indices: Vec<usize>) -> Result<Loader> {
        Loader::new(self.dataset.clone(), indices, self.config.clone().plain())
    }
}
