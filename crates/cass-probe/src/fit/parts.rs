//! The labelled images of a probe: open, cut into parts, ready to be loaded.

use super::recipe::ProbeRecipe;
use crate::{Error, Result};
use candle_core::Device;
use cass_data::{Dataset, Loader, LoaderConfig, Manifest, Part, Pipeline, Task, fraction, open};
use serde_json::{Value, json};
use std::sync::Arc;

/// Batches made ahead of the step that takes them.
const PREFETCH: usize = 3;

pub(crate) struct Parts {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) device: Device,
    pub(crate) manifest: Manifest,
    /// By part; of the training images those whose labels are used.
    indices: [Vec<usize>; 3],
}

impl Parts {
    pub(crate) fn new(recipe: &ProbeRecipe) -> Result<Self> {
        let device = cass_train::open_device(&recipe.device)?;
        let dataset = Arc::new(open(&recipe.data, &recipe.data_root, recipe.skip_bad)?);
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
        let split = dataset.split(recipe.seed, recipe.val_fraction);
        let manifest = dataset.manifest(&split);
        let train = fraction(&dataset, &split.train, recipe.fraction, recipe.seed);
        for (name, found, needed) in [
            ("training", train.len(), 2),
            ("validation", split.val.len(), 1),
            ("test", split.test.len(), 1),
        ] {
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
            manifest,
            indices: [train, split.val, split.test],
        })
    }

    pub(crate) fn indices(&self, part: Part) -> &[usize] {
        &self.indices[part as usize]
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
    pub(crate) fn unseen_classes(&self) -> Vec<&str> {
        let classes = self.dataset.classes.iter().zip(self.counts());
        let unseen = classes.filter(|(_, count)| *count == 0);
        unseen.map(|(class, _)| class.as_str()).collect()
    }

    /// The images of a part: augmented and in random order, or as they are and in their order.
    pub(crate) fn loader(
        &self,
        part: Part,
        augmented: bool,
        recipe: &ProbeRecipe,
    ) -> Result<Loader> {
        self.loader_of(self.indices(part).to_vec(), augmented, recipe)
    }

    /// The images at `indices`, as [`Parts::loader`].
    pub(crate) fn loader_of(
        &self,
        indices: Vec<usize>,
        augmented: bool,
        recipe: &ProbeRecipe,
    ) -> Result<Loader> {
        let config = LoaderConfig {
            pipeline: if augmented {
                Pipeline::Paper
            } else {
                Pipeline::Eval
            },
            size: recipe.size,
            batch: recipe.batch,
            seed: recipe.seed,
            shuffle: augmented,
            // torch refuses to normalise one value a channel, which a single image may come down to.
            drop_last: augmented && indices.len() % recipe.batch == 1,
            threads: recipe.threads,
            device: self.device.clone(),
            prefetch: PREFETCH,
        };
        Ok(Loader::new(self.dataset.clone(), indices, config)?)
    }

    /// `{"file", "reason"}` of each image that was left out.
    pub(crate) fn skipped(&self) -> Vec<Value> {
        let skipped = self.dataset.skipped.iter();
        skipped
            .map(|(file, reason)| json!({"file": file.to_string_lossy(), "reason": reason}))
            .collect()
    }
}
