//! Labels for new images from a finished probe.

use crate::{
    Error, Result,
    fit::{CHECKPOINT, Decision, ProbeMode, ProbeRecipe},
    look::class_names,
};
use candle_core::{DType, Device, Tensor};
use cass_metrics::joined;
use cass_models::{Mode, Model, ModelOptions};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The network of a finished probe with its fitted classifier.
pub struct Predictor {
    model: Model,
    classes: Vec<String>,
    recipe: ProbeRecipe,
}

/// What a [`Predictor`] says of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Labelled {
    /// The image.
    pub file: String,
    /// Name of the most probable class; of a multi-label probe the names of all above 0.5, separated
    /// by `|`.
    pub predicted: String,
    /// One a class, in the order of [`Predictor::classes`], each in [0, 1].
    pub probabilities: Vec<f64>,
}

impl Predictor {
    /// Opens the folder of a finished `linear` or `finetune` probe, to compute on `device` (`auto`,
    /// `cpu`, `cuda` or `cuda:N`).
    ///
    /// # Errors
    /// A folder that holds no such probe, or a checkpoint that does not fit its recipe and classes.
    pub fn open(run: &Path, device: &str) -> Result<Self> {
        Self::of(run, cass_train::open_device(device)?)
    }

    pub(crate) fn of(run: &Path, device: Device) -> Result<Self> {
        let wrong = |reason: String| Error::Run {
            path: run.into(),
            reason,
        };
        let read = |name: &str| {
            let text = std::fs::read_to_string(run.join(name));
            text.map_err(|e| wrong(format!("it holds no finished probe ({name}: {e})")))
        };
        let recipe = ProbeRecipe::from_toml(&read("recipe.toml")?)
            .map_err(|e| wrong(format!("its recipe.toml is not of a probe ({e})")))?;
        if recipe.mode == ProbeMode::Knn {
            return Err(wrong("a knn probe fits no classifier".into()));
        }
        let metrics: Value = serde_json::from_str(&read("metrics.json")?)
            .map_err(|e| wrong(format!("its metrics.json is not JSON ({e})")))?;
        let classes = class_names(&metrics);
        let classes = classes.ok_or_else(|| wrong("its metrics.json names no classes".into()))?;
        let options = ModelOptions {
            num_classes: classes.len(),
            input_size: recipe.size,
            seed: recipe.seed,
            dtype: DType::F32,
            device,
        };
        let model = Model::new(&recipe.network, &options)?;
        let report = model.load(&run.join(CHECKPOINT))?;
        if let Some(kept) = metrics["checkpoint_sha256"]
            .as_str()
            .filter(|k| *k != report.sha256)
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
        Ok(Self {
            model: model.frozen()?,
            classes,
            recipe,
        })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
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
        let size = self.model.options().input_size;
        let pixels = files.par_iter().map(|file| {
            let mut values = vec![0f32; 3 * size * size];
            cass_data::decode(file)?
                .resize(size)
                .normalize_into(&mut values);
            Ok(values)
        });
        let mut said: Vec<Result<Vec<f32>>> = pixels.collect();
        let good: Vec<f32> = said.iter().flatten().flatten().copied().collect();
        let n = good.len() / (3 * size * size);
        if n == 0 {
            let failed = said.into_iter().filter_map(Result::err).map(Err);
            return Ok(failed.collect());
        }
        let device = &self.model.options().device;
        let images = Tensor::from_vec(good, (n, 3, size, size), device)?;
        let logits = if self.recipe.mode == ProbeMode::Linear {
            // As it was fitted: the two heads of a distilled DeiT both saw the mean of its tokens.
            let features = self.model.features(&images, Mode::Eval)?;
            self.model.classify(&features)?
        } else {
            self.model.forward(&images, Mode::Eval)?.logits
        };
        let logits = logits.into_value();
        let mut row = 0;
        let label = |(pixels, file): (Result<Vec<f32>>, &PathBuf)| {
            pixels?;
            row += 1;
            let decision = Decision::of(&logits.narrow(0, row - 1, 1)?, &self.recipe)?.remove(0);
            Ok(Labelled {
                file: file.display().to_string(),
                predicted: joined(&self.classes, &decision.classes),
                probabilities: decision.probabilities,
            })
        };
        Ok(said.drain(..).zip(files).map(label).collect())
    }
}
