//! The labelled images of a probe: open, cut into parts, ready to be loaded.

use super::{judge::file_name, recipe::ProbeRecipe};
use crate::{Error, Result};
use candle_core::Device;
use cass_data::{Dataset, Loader, LoaderConfig, Manifest, Part, Pipeline, Task, fraction, open};
use cass_run::{Skipped, names};
use cass_metrics::Groups;
use cass_train::Weights;
use std::{collections::HashSet, sync::Arc};

/// Batches made ahead of the step that takes them.
const PREFETCH: usize = 3;

pub(crate) struct Parts {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) device: Device,
    pub(crate) manifest: Manifest,
    /// By part; of the training images those whose labels are used.
    indices: [Vec<usize>; 3],
    /// Test images that the pretraining whose weights are judged was trained on.
    pub(crate) seen: usize,
    groups: Option<Groups>,
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
        let mut test = split.test;
        let pretrained = pretrained_on(&recipe.weights)?;
        let is_seen = |&i: &usize| pretrained.contains(&dataset.samples[i].sha256);
        let seen = test.iter().filter(|i| is_seen(i)).count();
        if recipe.exclude_seen {
            test.retain(|i| !is_seen(i));
        }
        for (name, found, needed) in [
            ("training", train.len(), 2),
            ("validation", split.val.len(), 1),
            ("test", test.len(), 1),
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
            groups: groups(&dataset, &test),
            indices: [train, split.val, test],
            seen,
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

    /// The groups of the test images, if any image has one.
    pub(crate) fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }

    /// Number of images of each class in a part.
    pub(crate) fn counts(&self, part: Part) -> Vec<usize> {
        self.counts_of(self.indices(part))
    }

    /// Number of images of each class among those at `indices`.
    pub(crate) fn counts_of(&self, indices: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; self.dataset.classes.len()];
        for &i in indices {
            for &label in &self.dataset.samples[i].labels {
                counts[label] += 1;
            }
        }
        counts
    }

    /// Names of the classes without a labelled image: they can be tested for, but not learned.
    pub(crate) fn unseen_classes(&self) -> Vec<String> {
        let classes = self.dataset.classes.iter().zip(self.counts(Part::Train));
        let unseen = classes.filter(|(_, count)| *count == 0);
        unseen.map(|(class, _)| class.clone()).collect()
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

    /// The images that were left out.
    pub(crate) fn skipped(&self) -> Vec<Skipped> {
        let skipped = self.dataset.skipped.iter();
        skipped
            .map(|(file, reason)| Skipped::new(file, reason))
            .collect()
    }
}

fn groups(dataset: &Dataset, images: &[usize]) -> Option<Groups> {
    let samples = images.iter().map(|&i| &dataset.samples[i]);
    let grouped = samples.filter_map(|sample| Some((file_name(dataset, sample), sample.group.clone()?)));
    let groups: Groups = grouped.collect();
    (!groups.is_empty()).then_some(groups)
}

/// SHA-256 of the images that the pretraining which left these weights was trained on; nothing of other weights.
fn pretrained_on(weights: &Weights) -> Result<HashSet<[u8; 32]>> {
    let Weights::File(file) = weights else {
        return Ok(HashSet::new());
    };
    let beside = file.with_file_name(names::MANIFEST);
    if !beside.is_file() {
        return Ok(HashSet::new());
    }
    let rows = Manifest::read(&beside)?.rows.into_iter();
    let trained = rows.filter(|row| row.part == Part::Train);
    Ok(trained.filter_map(|row| bytes(&row.sha256)).collect())
}

/// The bytes of 64 hexadecimal digits.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}
