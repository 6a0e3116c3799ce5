//! What a run needs before its first step: data, loaders, networks.

use crate::device::device_of;
use crate::error::{Error, Result};
use crate::initial::initial_network;
use crate::recipe::ValidRecipe;
use crate::step::Step;
use crate::training::PretrainOptions;
use crate::weights::Loaded;
use candle_core::Device;
use cass_data::augment::Pipeline;
use cass_data::dataset::{Part, Task};
use cass_data::loader::{Loader, LoaderConfig};
use cass_data::recipe::RunImages;
use cass_data::split::Manifest;
use cass_run::Skipped;

/// Images that are looked at for collapse after every epoch.
const SAMPLE: usize = 64;
/// Training images that are looked at, where there are no test images.
const LOOKED_AT: usize = 512;

/// Of so many training images one is looked at in two views after every epoch: by count of passes, a fiftieth of an epoch at
/// most where there are enough.
const VIEWED: usize = 40;
const LEAST_VIEWED: usize = 32;
const MOST_VIEWED: usize = 256;

/// Where the weights of each arm come from, by its name.
pub(super) type Origins = Vec<(String, Loaded)>;

pub(super) struct Setup {
    pub(super) device: Device,
    /// The images of pretraining, in the recipe's views.
    pub(super) train: Loader,
    /// All test images, as they are; some of the training images where none are held out.
    pub(super) test: Loader,
    /// A fixed sample of the test images.
    pub(super) sample: Loader,
    /// Two views of some training images.
    pub(super) views: Loader,
    /// Whether each image is of one class.
    pub(super) has_classes: bool,
    pub(super) manifest: Manifest,
    /// Images that were left out.
    pub(super) skipped: Vec<Skipped>,
    /// What there is to say of the images.
    pub(super) warnings: Vec<String>,
}

impl Setup {
    pub(super) fn new(recipe: &ValidRecipe, options: &PretrainOptions) -> Result<Self> {
        let device = device_of(recipe, options.emulate_bf16)?;
        let config = LoaderConfig {
            pipeline: recipe.pipeline.clone(),
            draws: recipe.method.draws(&recipe.pipeline),
            size: recipe.size,
            batch: recipe.batch,
            seed: recipe.seed,
            threads: recipe.threads,
            device: device.clone(),
            ..LoaderConfig::default()
        };
        let images = RunImages::open(&recipe.data, config, &options.storage)?;
        let (train, test) = (images.part(Part::Train), images.part(Part::Test));
        if train.len() < 2 {
            let found = train.len();
            return Err(Error::Mismatch(format!(
                "there are {found} images to train on: expected at least 2"
            )));
        }
        // A set without labels has no test images to be looked at for collapse.
        let test = if test.is_empty() {
            images.some_of(Part::Train, LOOKED_AT)
        } else {
            test.to_vec()
        };
        let apart = test.len().div_ceil(SAMPLE).max(1);
        let sample = test.iter().copied().step_by(apart).collect();
        Ok(Self {
            views: {
                let most = (train.len() / VIEWED).clamp(LEAST_VIEWED, MOST_VIEWED);
                images.twice(images.some_of(Part::Train, most), Pipeline::Crops)?
            },
            train: images.augmented(train.to_vec())?,
            test: images.plain(test)?,
            sample: images.plain(sample)?,
            has_classes: images.dataset.task == Task::MultiClass && images.dataset.is_labelled(),
            manifest: images.manifest,
            skipped: images.dataset.skipped.clone(),
            warnings: images.dataset.warnings.clone(),
            device,
        })
    }

    /// The networks with their initial weights, what trains them, and where each arm's weights are
    /// from.
    pub(super) fn method(
        &self,
        recipe: &ValidRecipe,
        recompute: bool,
    ) -> Result<(Box<dyn Step>, Origins)> {
        let (mut networks, mut origins) = (Vec::new(), Vec::new());
        for name in recipe.arms.keys() {
            let (mut model, origin) = initial_network(recipe, name, &self.device)?;
            model.set_recompute(recompute);
            networks.push(model);
            origins.push((name.clone(), origin));
        }
        Ok((recipe.step_of(networks, Some(self.steps(recipe)))?, origins))
    }

    /// Steps of the whole run.
    pub(super) fn steps(&self, recipe: &ValidRecipe) -> u64 {
        // A valid recipe has so few epochs, and a list of images is so short, that it fits.
        (recipe.epochs as u64).saturating_mul(self.train.batches() as u64)
    }
}
