//! Labels for new images from a finished probe.

use crate::fit::{Decision, Knn, ProbeMode, ProbeRecipe, decide};
use crate::reading::expect_reading;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use cass_data::augment::Normalization;
use cass_data::image::{Pixels, Reading};
use cass_data::source::Item;
use cass_metrics::joined;
use cass_models::{Mode, Model};
use cass_run::names::{CHECKPOINT, NEIGHBOURS};
use cass_run::{Finished, Metrics};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The network of a finished probe with its fitted classifier.
pub struct Predictor {
    pub(super) model: Model,
    classes: Vec<String>,
    pub(super) recipe: ProbeRecipe,
    /// Neighbours of a knn probe, and how many of them vote.
    neighbours: Option<(Knn, usize)>,
}

/// What a [`Predictor`] says of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Labelled {
    /// The image.
    pub file: String,
    /// Name of the most probable class; of a multi-label probe the names of all above 0.5, separated
    /// by `|`.
    pub predicted: String,
    /// Probability of each class, in the order of [`Predictor::classes`], each in [0, 1].
    pub probabilities: Vec<f64>,
}

impl Predictor {
    /// Opens the folder of a finished probe, to compute on `device` (`auto`, `cpu`, `cuda` or `cuda:N`).
    ///
    /// # Errors
    /// A folder that holds no such probe, or a checkpoint that does not fit its recipe and classes.
    pub fn open(run: &Path, device: &str) -> Result<Self> {
        Self::of(run, cass_train::device::open_device(device)?)
    }

    pub(crate) fn of(run: &Path, device: Device) -> Result<Self> {
        let wrong = |reason: String| Error::Run {
            path: run.into(),
            reason,
        };
        let finished = Finished::open(run)?;
        let Metrics::Probe(metrics) = &finished.metrics else {
            let shown = run.display();
            return Err(wrong(format!(
                "it is a pretraining, whose networks know no classes: `cass probe --run {shown} --out PROBE` fits them"
            )));
        };
        let recipe = ProbeRecipe::from_toml(&finished.recipe)
            .map_err(|e| wrong(format!("its recipe.toml is not of a probe ({e})")))?;
        let classes = metrics.test.classes();
        if classes.is_empty() {
            return Err(wrong("its metrics.json names no classes".into()));
        }
        recipe.expect_network(run)?;
        let model = recipe.network(classes.len(), device)?;
        let report = model.load(&finished.intact(CHECKPOINT)?)?;
        if let Some(kept) = metrics
            .readings
            .checkpoint_sha256
            .as_deref()
            .filter(|kept| *kept != report.sha256)
        {
            let [kept, found] = [kept, &report.sha256].map(|sha| sha.get(..12).unwrap_or(sha));
            return Err(wrong(format!(
                "its {CHECKPOINT} is of another run: sha256 {found}…, its metrics.json has {kept}…"
            )));
        }
        if let Some(head) = report.new_head {
            let (found, expected) = (head.from, head.to);
            return Err(wrong(format!(
                "its checkpoint has {found} classes, its metrics.json {expected}"
            )));
        }
        let neighbours = match recipe.mode {
            ProbeMode::Knn => Some(Knn::read(&finished.intact(NEIGHBOURS)?)?),
            _ => None,
        };
        Ok(Self {
            model: model.frozen()?,
            classes,
            recipe,
            neighbours,
        })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How the probe's images were read, and others are.
    pub fn reading(&self) -> Reading {
        self.recipe.data.reading()
    }

    /// Whether the network can see images that are read so.
    ///
    /// # Errors
    /// If no image can be read so, or images have other channels than the network's.
    pub fn expect_reading(&self, reading: &Reading) -> Result<()> {
        expect_reading(&self.model, reading)
    }

    pub(crate) fn into_model(self) -> Model {
        self.model
    }

    /// Labels a batch of image files: decoded and resized in parallel, one pass through the network.
    /// One entry a file, in order; a file that cannot be used does not stop the others.
    ///
    /// # Errors
    /// If the computation fails as a whole, say for want of memory.
    pub fn predict(&self, files: &[PathBuf]) -> Result<Vec<Result<Labelled>>> {
        let reading = self.reading();
        let size = self.model.options().input_size;
        self.label(files, PathBuf::as_path, |file| {
            cass_data::image::decode_as(file, &reading, Some(size))
        })
    }

    /// Labels a batch of what a data set lists, whatever it may be that they are in, read as `reading` says.
    ///
    /// # Errors
    /// As [`expect_reading`](Self::expect_reading) and [`predict`](Self::predict).
    pub fn predict_items(
        &self,
        items: &[Item],
        reading: &Reading,
    ) -> Result<Vec<Result<Labelled>>> {
        self.expect_reading(reading)?;
        let size = self.model.options().input_size;
        self.label(
            items,
            |item| &item.path,
            |item| item.decode(reading, Some(size)),
        )
    }

    fn label<T: Sync>(
        &self,
        images: &[T],
        path: impl Fn(&T) -> &Path,
        decode: impl Fn(&T) -> cass_data::Result<Pixels> + Sync,
    ) -> Result<Vec<Result<Labelled>>> {
        let size = self.model.options().input_size;
        let channels = self.model.options().in_chans;
        let pixels = images.par_iter().map(|image| {
            let mut values = vec![0f32; channels * size * size];
            decode(image)?
                .resize(size)
                .normalize_into(&Normalization::IMAGENET, &mut values);
            Ok(values)
        });
        let mut said: Vec<Result<Vec<f32>>> = pixels.collect();
        let good: Vec<f32> = said.iter().flatten().flatten().copied().collect();
        let n = good.len() / (channels * size * size);
        if n == 0 {
            let failed = said.into_iter().filter_map(Result::err).map(Err);
            return Ok(failed.collect());
        }
        let device = &self.model.options().device;
        let batch = Tensor::from_vec(good, (n, channels, size, size), device)?;
        let mut decisions = self.decisions(&batch)?.1.into_iter();
        let label = |(pixels, image): (Result<Vec<f32>>, &T)| {
            pixels?;
            let decision = decisions.next().unwrap_or(Err(Error::NotFinite))?;
            Ok(Labelled {
                file: path(image).display().to_string(),
                predicted: joined(&self.classes, &decision.classes),
                probabilities: decision.probabilities,
            })
        };
        Ok(said.drain(..).zip(images).map(label).collect())
    }

    /// The features `(B, D)` of `images` `(B, C, S, S)`, and what is said of each; an image without finite outputs does
    /// not stop the others.
    pub(super) fn decisions(&self, images: &Tensor) -> Result<(Tensor, Vec<Result<Decision>>)> {
        let (features, logits) = if self.recipe.mode == ProbeMode::Finetune {
            let output = self.model.forward(images, Mode::Eval)?;
            (output.features, Some(output.logits))
        } else {
            (self.model.features(images, Mode::Eval)?, None)
        };
        let decisions = if let Some((knn, k)) = &self.neighbours {
            let rows = features.value().to_dtype(DType::F32)?.to_vec2::<f32>()?;
            let of = |row: Vec<f32>| {
                let votes = knn.probabilities(&row, *k)?;
                Ok(decide(&self.recipe, votes).remove(0))
            };
            rows.into_iter().map(of).collect()
        } else {
            let logits = match logits {
                Some(logits) => logits,
                // As it was fitted: the two heads of a distilled DeiT both saw the mean of its tokens.
                None => self.model.classify(&features)?,
            };
            // Read once for the batch, wherever they were computed.
            let logits = logits.into_value().to_device(&Device::Cpu)?;
            let of = |row| Ok(Decision::of(&logits.narrow(0, row, 1)?, &self.recipe)?.remove(0));
            (0..images.dim(0)?).map(of).collect()
        };
        Ok((features.into_value(), decisions))
    }
}
