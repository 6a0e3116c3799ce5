//! The labelled images of a probe: open, cut into parts, ready to be loaded.

use crate::{Error, Result, recipe::ProbeRecipe};
use candle_core::Device;
pub(crate) use cass_data::dataset::Part;
use cass_data::{
    dataset::{Dataset, Task},
    loader::{Loader, LoaderConfig},
    recipe::RunImages,
    split::Manifest,
};
use std::sync::Arc;

pub(crate) struct Parts {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) device: Device,
    images: RunImages,
}

impl Parts {
    pub(crate) fn new(recipe: &ProbeRecipe) -> Result<Self> {
        let device = cass_train::open_device(&recipe.device)?;
        let config = LoaderConfig {
            size: recipe.size,
            batch: recipe.batch,
            seed: recipe.seed,
            threads: recipe.threads,
            device: device.clone(),
            ..LoaderConfig::default()
        };
        let images = RunImages::open(&recipe.data, config, &recipe.storage)?;
        let dataset = images.dataset.clone();
        let task = if recipe.multi_label {
            Task::MultiLabel
        } else {
            Task::MultiClass
        };
        dataset.expect_task(task)?;
        // Of several labels a single one is still a question: is it there or not?
        if let (Task::MultiClass, [class]) = (task, dataset.classes.as_slice()) {
            let class = class.clone();
            return Err(Error::OneClass { class });
        }
        for (name, part, needed) in [
            ("training", Part::Train, 2),
            ("validation", Part::Val, 1),
            ("test", Part::Test, 1),
        ] {
            let found = images.part(part).len();
            if found < needed {
                return Err(Error::TooFew {
                    part: name,
                    found,
                    needed,
                });
            }
        }
        Ok(Self {
            dataset,
            device,
            images,
        })
    }

    /// The record of the split.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.images.manifest
    }

    /// The images of a part; of the training images those whose labels are used.
    pub(crate) fn indices(&self, part: Part) -> &[usize] {
        self.images.part(part)
    }

    /// The class of each image of a multi-class part.
    pub(crate) fn labels(&self, part: Part) -> Vec<usize> {
        let samples = &self.dataset.samples;
        self.indices(part)
            .iter()
            .map(|&i| samples[i].label())
            .collect()
    }

    /// `(N, C)` row-major: 1 at each class of an image.
    pub(crate) fn targets(&self, part: Part) -> Vec<f32> {
        self.dataset.targets(self.indices(part))
    }

    /// Images a class among those whose labels are used.
    pub(crate) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.dataset.classes.len()];
        for &i in self.indices(Part::Train) {
            for &label in &self.dataset.samples[i].labels {
                counts[label] += 1;
            }
        }
        counts
    }

    /// Names of the classes without a labelled image: they can be tested for, but not learned.
    pub(crate) fn unseen_classes(&self) -> Vec<String> {
        let classes = self.dataset.classes.iter().zip(self.counts());
        let unseen = classes.filter(|(_, count)| *count == 0);
        unseen.map(|(class, _)| class.clone()).collect()
    }

    /// The images of a part: augmented and in random order, or as they are and in their order.
    pub(crate) fn loader(&self, part: Part, augmented: bool) -> Result<Loader> {
        self.loader_of(self.indices(part).to_vec(), augmented)
    }

    /// The images at `indices`, as [`Parts::loader`].
    pub(crate) fn loader_of(&self, indices: Vec<usize>, augmented: bool) -> Result<Loader> {
        Ok(if augmented {
            self.images.augmented(indices)?
        } else {
            self.images.plain(indices)?
        })
    }
}
