//! The labelled images of a probe: open, cut into parts, ready to be loaded.

use super::recipe::{ProbeMode, ProbeRecipe};
use crate::{Error, Result};
use candle_core::Device;
use cass_data::dataset::{Dataset, Part, Task};
use cass_data::loader::{Loader, LoaderConfig};
use cass_data::recipe::RunImages;
use cass_data::split::Manifest;
use cass_metrics::Groups;
use cass_run::names;
use cass_train::Weights;
use std::collections::HashSet;
use std::sync::Arc;

pub(crate) struct Parts {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) device: Device,
    images: RunImages,
    train: Vec<usize>,
    val: Vec<usize>,
    /// The test images, without those that are left out as seen.
    test: Vec<usize>,
    /// Test images that the pretraining whose weights are judged was trained on.
    pub(crate) seen: usize,
    groups: Option<Groups>,
}

impl Parts {
    pub(crate) fn new(recipe: &ProbeRecipe) -> Result<Self> {
        let device = cass_train::device::open_device(&recipe.device)?;
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
        if !dataset.is_labelled() {
            return Err(Error::NoLabels {
                name: dataset.name.clone(),
            });
        }
        let [train, val] = [Part::Train, Part::Val].map(|part| images.labelled(part));
        let mut test = images.labelled(Part::Test);
        let vague = |&&i: &&usize| !dataset.samples[i].unknown.is_empty();
        if recipe.mode == ProbeMode::Knn && train.iter().any(|i| vague(&i)) {
            let images = train.iter().filter(vague).count();
            return Err(Error::UnknownLabels { images });
        }
        let pretrained = pretrained_on(&recipe.weights)?;
        let is_seen = |&i: &usize| pretrained.contains(&dataset.samples[i].sha256);
        let seen = test.iter().filter(|i| is_seen(i)).count();
        if recipe.exclude_seen {
            test.retain(|i| !is_seen(i));
        }
        for (name, found, needed) in [
            ("training", train.len(), 2),
            ("validation", val.len(), 1),
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
            groups: groups_of(&dataset, &test),
            dataset,
            device,
            images,
            train,
            val,
            test,
            seen,
        })
    }

    /// The record of the split.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.images.manifest
    }

    /// The images of a part; of the training images those whose labels are used.
    pub(crate) fn indices(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Val => &self.val,
            Part::Test => &self.test,
        }
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

    /// Number of images at `indices` of which it is known whether they are of each class.
    pub(crate) fn known_of(&self, indices: &[usize]) -> Vec<usize> {
        let mut counts = vec![indices.len(); self.dataset.classes.len()];
        for &i in indices {
            for &label in &self.dataset.samples[i].unknown {
                counts[label] -= 1;
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

/// The groups of these images, if any has one.
pub(crate) fn groups_of(dataset: &Dataset, images: &[usize]) -> Option<Groups> {
    let grouped = images.iter();
    let grouped =
        grouped.filter_map(|&i| Some((dataset.file_name(i), dataset.samples[i].group.clone()?)));
    let groups: Groups = grouped.collect();
    (!groups.is_empty()).then_some(groups)
}

/// SHA-256 of the images that the pretraining which left these weights was trained on; nothing of other weights.
pub(crate) fn pretrained_on(weights: &Weights) -> Result<HashSet<[u8; 32]>> {
    let Weights::File(file) = weights else {
        return Ok(HashSet::new());
    };
    let beside = file.with_file_name(names::MANIFEST);
    if !beside.is_file() {
        return Ok(HashSet::new());
    }
    cass_run::expect_intact(&beside)?;
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
