//! A finished probe on labelled images of another origin.

use super::{Predictor, Shift};
use crate::fit::{Decision, Judged, Reference, Said, groups_of, numbers, pretrained_on};
use crate::{Error, Result};
use cass_data::dataset::{Dataset, OpenOptions, Part, Task};
use cass_data::loader::{Loader, LoaderConfig};
use cass_data::recipe::DataRecipe;
use cass_data::split::Manifest;
use cass_metrics::Groups;
use cass_run::Finished;
use cass_run::names::{MANIFEST, REFERENCE};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a probe says of images that it was neither trained nor chosen on.
pub struct Evaluation {
    judged: Judged,
    groups: Option<Groups>,
    /// Images that were judged.
    pub images: usize,
    /// Images that are left out, since the probe was fitted or chosen on them: the same files.
    pub seen: usize,
    /// Images that are judged by, but that the pretraining was trained on.
    pub pretrained: usize,
    /// Images without a label, which cannot be judged by.
    pub unlabelled: usize,
    /// Classes of the probe that no image is of.
    pub absent: Vec<String>,
    /// How far the images' features are from those that the probe was fitted to; none of a probe that an earlier
    /// version left.
    pub shift: Option<Shift>,
}

/// Classes as the probe has them: the place of each of the images'.
fn places(predictor: &Predictor, dataset: &Dataset, run: &Path) -> Result<Vec<usize>> {
    let known = predictor.classes();
    let place = |class: &String| {
        let place = known.iter().position(|name| name == class);
        place.ok_or_else(|| Error::Run {
            path: run.into(),
            reason: format!(
                "it knows no class {class:?}, which images of {} are of; its classes are {}",
                dataset.root.display(),
                known.join(", ")
            ),
        })
    };
    dataset.classes.iter().map(place).collect()
}

impl Predictor {
    /// Images as those that the probe was fitted on were read, wherever others are: without a root, and without the
    /// choices that are for its own table.
    pub fn images_of_its_kind(&self) -> DataRecipe {
        DataRecipe {
            root: PathBuf::new(),
            fraction: 1.0,
            ..self.recipe.data.clone().as_read()
        }
    }

    /// Judges the probe of the folder `run`, which this was [opened](Predictor::open) from, on all labelled images of
    /// `recipe`: none are held out, and there is no split. Images are read as the recipe says.
    ///
    /// # Errors
    /// Those of [`expect_reading`](Predictor::expect_reading) and of [`Dataset::open`]; a class that the probe does not know; one label an image where the probe gives
    /// several, or the reverse; no image that can be judged.
    pub fn evaluate(&self, run: &Path, recipe: &DataRecipe, batch: usize) -> Result<Evaluation> {
        self.expect_reading(&recipe.reading())?;
        let reference = match run.join(REFERENCE).exists() {
            true => Some(Reference::read(&Finished::open(run)?.intact(REFERENCE)?)?),
            false => None,
        };
        let size = self.model.options().input_size;
        let mut dataset = recipe.open(&OpenOptions {
            size: Some(size),
            ..OpenOptions::default()
        })?;
        let places = places(self, &dataset, run)?;
        let several = dataset.task == Task::MultiLabel;
        if several != self.recipe.multi_label {
            let [of, own] = [self.recipe.multi_label, several].map(|several| match several {
                true => "any number of labels an image",
                false => "one label an image",
            });
            return Err(Error::Run {
                path: run.into(),
                reason: format!("it gives {of}, {} has {own}", dataset.root.display()),
            });
        }
        let manifest = Manifest::read(&run.join(MANIFEST))?;
        let fitted = manifest
            .rows
            .into_iter()
            .filter(|row| row.part != Part::Test);
        let fitted: HashSet<String> = fitted.map(|row| row.sha256).collect();
        let seen = dataset.leave_out(&fitted);
        dataset.take_classes(self.classes().to_vec(), &places);
        let trained = pretrained_on(&self.recipe.weights)?;
        let unlabelled = dataset.samples.iter().filter(|s| !s.labelled).count();
        let indices: Vec<usize> = (0..dataset.len())
            .filter(|&i| dataset.samples[i].labelled)
            .collect();
        if indices.is_empty() {
            return Err(Error::Run {
                path: run.into(),
                reason: format!(
                    "there is no image to judge it on: {} has {seen} that it was fitted on and {unlabelled} without a label",
                    dataset.root.display()
                ),
            });
        }
        let dataset = Arc::new(dataset);
        let config = LoaderConfig {
            size,
            batch,
            device: self.model.options().device.clone(),
            ..LoaderConfig::default()
        };
        let loader = Loader::new(dataset.clone(), indices.clone(), config.plain())?;
        let (mut said, mut features) = (Vec::with_capacity(indices.len()), Vec::new());
        for batch in loader.epoch(0) {
            let batch = batch?;
            let (rows, decisions) = self.decisions(batch.images())?;
            if reference.is_some() {
                features.extend(numbers(&rows)?);
            }
            said.extend(decisions.into_iter().collect::<Result<Vec<Decision>>>()?);
        }
        let held = |class: usize| dataset.samples.iter().any(|s| s.labels.contains(&class));
        let names = self.classes().iter().enumerate();
        let absent = names.filter(|(class, _)| !held(*class));
        let groups = groups_of(&dataset, &indices);
        let known = indices
            .iter()
            .filter(|&&i| trained.contains(&dataset.samples[i].sha256));
        Ok(Evaluation {
            judged: Judged::of_images(&self.recipe, &dataset, &indices, groups.as_ref(), said)?,
            images: indices.len(),
            shift: reference.map(|own| Shift::of(&own, &features, indices.len())),
            pretrained: known.count(),
            absent: absent.map(|(_, name)| name.clone()).collect(),
            groups,
            seen,
            unlabelled,
        })
    }
}

impl Evaluation {
    /// What was said of each image, next to what is true.
    pub fn said(&self) -> &Said {
        &self.judged.said
    }

    /// The patient or other group of each image that has one.
    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }

    /// `predictions.csv`, `groups.csv` where there are groups, and figures, by name.
    ///
    /// # Errors
    /// Classes that no file can name.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        self.judged.files(self.groups())
    }
}
