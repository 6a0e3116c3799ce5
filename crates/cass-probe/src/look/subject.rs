//! The networks of a finished run, to be looked at, and the images they are for.

use crate::apply::Predictor;
use crate::fit::{ProbeMode, ProbeRecipe, load_backbone, numbers};
use crate::reading::expect_reading;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use cass_data::cache::Storage;
use cass_data::image::Reading;
use cass_data::loader::{Loader, LoaderConfig};
use cass_data::recipe::{DataRecipe, RunImages};
use cass_models::{Mode, Model};
use cass_run::names::checkpoint;
use cass_run::{Finished, Metrics};
use cass_train::Recipe;
use cass_train::initial::initial_network;
use std::path::{Path, PathBuf};

/// Which state of a run's networks to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The networks as the run began with them.
    Before,
    /// The networks as the run left them.
    After,
}

/// The networks of a finished pretraining (its arms) or probe (one), without a graph.
pub struct Subjects {
    run: PathBuf,
    finished: Finished,
    kind: Kind,
    device: Device,
}

enum Kind {
    Pretraining(Box<Recipe>),
    Probe(Box<ProbeRecipe>, Vec<String>),
}

/// One network of a run, in one of its states.
pub struct Subject {
    /// The arm's name; a probe's network has that of its own, where it is of no arm.
    pub name: String,
    /// The network.
    pub model: Model,
}

impl Subjects {
    /// Opens the folder of a finished run, to compute on `device` (`auto`, `cpu`, `cuda` or `cuda:N`).
    ///
    /// # Errors
    /// A folder that holds no finished pretraining or probe, or a device that is not there.
    pub fn open(run: &Path, device: &str) -> Result<Self> {
        let wrong = |reason: String| Error::Run {
            path: run.into(),
            reason,
        };
        let finished = Finished::open(run)?;
        let other = |error| {
            wrong(format!(
                "its recipe.toml and metrics.json do not fit ({error})"
            ))
        };
        let kind = match &finished.metrics {
            Metrics::Pretrain(_) => {
                let recipe = Recipe::from_toml(&finished.recipe);
                Kind::Pretraining(Box::new(recipe.map_err(|e| other(e.to_string()))?))
            }
            Metrics::Probe(metrics) => {
                let recipe = ProbeRecipe::from_toml(&finished.recipe);
                let recipe = recipe.map_err(|e| other(e.to_string()))?;
                let classes = metrics.test.classes();
                if classes.is_empty() {
                    return Err(wrong("its metrics.json names no classes".into()));
                }
                Kind::Probe(Box::new(recipe), classes)
            }
        };
        Ok(Self {
            run: run.into(),
            finished,
            kind,
            device: cass_train::device::open_device(device)?,
        })
    }

    /// Names of the networks: a pretraining's arms, or the one that was probed.
    pub fn names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Pretraining(recipe) => recipe.arms.keys().cloned().collect(),
            Kind::Probe(recipe, _) => {
                vec![recipe.arm.clone().unwrap_or_else(|| recipe.network.clone())]
            }
        }
    }

    /// Names of the classifier's outputs, where these are classes of the data: for a probe.
    pub fn classes(&self) -> Option<&[String]> {
        match &self.kind {
            Kind::Pretraining(_) => None,
            Kind::Probe(_, classes) => Some(classes),
        }
    }

    /// Height and width of the networks' input, in pixels.
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::Pretraining(recipe) => recipe.size,
            Kind::Probe(recipe, _) => recipe.size,
        }
    }

    /// The images that the run was for.
    pub fn data(&self) -> &DataRecipe {
        match &self.kind {
            Kind::Pretraining(recipe) => &recipe.data,
            Kind::Probe(recipe, _) => &recipe.data,
        }
    }

    /// How the run's images were read, and others have to be.
    pub fn reading(&self) -> Reading {
        match &self.kind {
            Kind::Pretraining(recipe) => recipe.data.reading(),
            Kind::Probe(recipe, _) => recipe.data.reading(),
        }
    }

    /// The network `name`, of [`names`](Self::names).
    ///
    /// # Errors
    /// If there is none of that name, or its weights are not available.
    pub fn network(&self, name: &str, when: Moment) -> Result<Subject> {
        let names = self.names();
        if !names.iter().any(|n| n == name) {
            return Err(Error::Run {
                path: self.run.clone(),
                reason: format!("it has no arm {name}: expected {}", names.join(" or ")),
            });
        }
        let model = match &self.kind {
            Kind::Pretraining(recipe) => {
                let (model, _) = initial_network(recipe, name, &self.device)?;
                if when == Moment::After {
                    model.load(&self.finished.intact(&checkpoint(name))?)?;
                }
                model.frozen()?
            }
            Kind::Probe(recipe, classes) => {
                if when == Moment::After && recipe.mode != ProbeMode::Knn {
                    return Ok(Subject {
                        name: name.into(),
                        model: Predictor::of(&self.run, self.device.clone())?.into_model(),
                    });
                }
                let model = recipe.network(classes.len(), self.device.clone())?;
                load_backbone(&model, recipe)?;
                model.frozen()?
            }
        };
        Ok(Subject {
            name: name.into(),
            model,
        })
    }

    /// Opens the images that the run was for, or those of the same layout under another folder.
    ///
    /// # Errors
    /// Those of [`RunImages::open`]; classes that are not those of a probe.
    pub fn images(&self, data_root: Option<&Path>) -> Result<RunImages> {
        let (recipe, batch, seed, threads) = match &self.kind {
            Kind::Pretraining(r) => (&r.data, r.batch, r.seed, r.threads),
            Kind::Probe(r, _) => (&r.data, r.batch, r.seed, r.threads),
        };
        let recipe = DataRecipe {
            root: data_root.unwrap_or(&recipe.root).into(),
            ..recipe.clone()
        };
        let config = LoaderConfig {
            size: self.size(),
            batch,
            seed,
            threads,
            device: self.device.clone(),
            ..LoaderConfig::default()
        };
        let images = RunImages::open(&recipe, config, &Storage::default())?;
        let dataset = &images.dataset;
        if let Some(classes) = self.classes()
            && classes != dataset.classes
        {
            return Err(Error::Run {
                path: self.run.clone(),
                reason: format!(
                    "its classes are {}, those of {} are {}",
                    classes.join(", "),
                    dataset.root.display(),
                    dataset.classes.join(", ")
                ),
            });
        }
        Ok(images)
    }
}

impl Subject {
    /// A network with other weights than a run's: the recipe's network, weights, size and normalisation.
    ///
    /// # Errors
    /// A network or device that is not there, or weights that cannot be read or do not fit.
    pub fn of_weights(recipe: &ProbeRecipe) -> Result<Self> {
        let device = cass_train::device::open_device(&recipe.device)?;
        let model = recipe.network(1, device)?;
        load_backbone(&model, recipe)?;
        Ok(Self {
            name: recipe.network.clone(),
            model: model.frozen()?,
        })
    }

    /// Whether the network can see images that are read so.
    ///
    /// # Errors
    /// If no image can be read so, or images have other channels than the network's.
    pub fn expect_reading(&self, reading: &Reading) -> Result<()> {
        expect_reading(&self.model, reading)
    }

    /// Features `(N, D)` of a loader's images, row-major.
    ///
    /// # Errors
    /// An image that cannot be read, or features that are not finite.
    pub fn features(&self, loader: &Loader) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(loader.images() * self.model.feature_dim());
        for batch in loader.epoch(0) {
            let rows = self.model.features(batch?.images(), Mode::Eval)?;
            all.extend(values(rows.value())?);
        }
        Ok(all)
    }
}

/// All values of a tensor, which have to be finite.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let values = numbers(tensor)?;
    if values.iter().all(|v| v.is_finite()) {
        Ok(values)
    } else {
        Err(Error::NotFinite)
    }
}
