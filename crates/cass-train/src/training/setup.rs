//! What a run needs before its first step: data, loaders, networks.

use crate::device::device_of;
use crate::error::{Error, Result};
use crate::initial::initial_network;
use crate::projector::Projector;
use crate::recipe::{Recipe, ValidRecipe};
use crate::step::{CassStep, DinoStep, Step};
use crate::weights::Loaded;
use candle_core::Device;
use cass_data::{Dataset, Loader, LoaderConfig, Manifest, Pipeline, Task, fraction, open};
use cass_run::Skipped;
use std::sync::Arc;

/// Images that are looked at for collapse after every epoch.
const SAMPLE: usize = 64;
/// Batches made ahead of the step that takes them.
const PREFETCH: usize = 3;

/// Of each arm, by its name.
pub(super) type Origins = Vec<(String, Loaded)>;

pub(super) struct Setup {
    pub(super) device: Device,
    /// The images of pretraining, in the recipe's views.
    pub(super) train: Loader,
    /// All test images, as they are.
    pub(super) test: Loader,
    /// A fixed sample of the test images.
    pub(super) sample: Loader,
    /// Whether each image is of one class.
    pub(super) has_classes: bool,
    pub(super) manifest: Manifest,
    /// Images that were left out.
    pub(super) skipped: Vec<Skipped>,
}

impl Setup {
    pub(super) fn new(recipe: &ValidRecipe, emulate_bf16: bool) -> Result<Self> {
        let device = device_of(recipe, emulate_bf16)?;
        let dataset = Arc::new(open(&recipe.data, &recipe.data_root, recipe.skip_bad)?);
        let split = dataset.split(recipe.seed, recipe.val_fraction);
        let manifest = dataset.manifest(&split);
        let images = fraction(&dataset, &split.train, recipe.fraction, recipe.seed);
        if images.len() < 2 {
            let found = images.len();
            return Err(Error::Mismatch(format!(
                "train on {found} images: expected at least 2"
            )));
        }
        let apart = split.test.len().div_ceil(SAMPLE).max(1);
        let sample = split.test.iter().copied().step_by(apart).collect();
        let eval = |indices| loader(recipe, &dataset, indices, Pipeline::Eval, &device);
        Ok(Self {
            train: loader(recipe, &dataset, images, recipe.pipeline.clone(), &device)?,
            test: eval(split.test)?,
            sample: eval(sample)?,
            has_classes: dataset.task == Task::MultiClass,
            manifest,
            skipped: skipped(&dataset),
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
        let (mut arms, mut origins) = (Vec::new(), Vec::new());
        for (name, arm) in &recipe.arms {
            let (mut model, origin) = initial_network(recipe, name, &self.device)?;
            model.set_recompute(recompute);
            arms.push((name.as_str(), model, arm));
            origins.push((name.clone(), origin));
        }
        let (zero_grad, mut arms) = (recipe.zero_grad, arms.into_iter());
        let step: Box<dyn Step> = match (&recipe.dino, arms.next(), arms.next()) {
            (None, Some(a), Some(b)) => {
                let mut step = CassStep::new([a, b], zero_grad)?;
                step.set_part(recipe.part());
                step.set_precision(recipe.precision);
                step.set_clip_norm(recipe.clip_grad_norm);
                step.set_guard(recipe.guard);
                Box::new(step)
            }
            (Some(config), Some((name, student, arm)), None) => {
                let dim = student.feature_dim();
                let projector = Projector::new(dim, config, recipe.seed, &self.device)?;
                let mut step = DinoStep::new(name, student, projector, arm, config, zero_grad)?;
                step.set_part(recipe.part());
                step.set_precision(recipe.precision);
                step.set_clip_norm(recipe.clip_grad_norm);
                Box::new(step)
            }
            _ => unreachable!("a valid recipe has its method's arms and settings"),
        };
        Ok((step, origins))
    }
}

fn loader(
    recipe: &Recipe,
    dataset: &Arc<Dataset>,
    indices: Vec<usize>,
    pipeline: Pipeline,
    device: &Device,
) -> Result<Loader> {
    let trains = pipeline != Pipeline::Eval;
    let config = LoaderConfig {
        pipeline,
        size: recipe.size,
        batch: recipe.batch,
        seed: recipe.seed,
        shuffle: trains,
        // torch refuses to normalise one value a channel, which a single image may come down to.
        drop_last: trains && indices.len() % recipe.batch == 1,
        threads: recipe.threads,
        device: device.clone(),
        prefetch: PREFETCH,
    };
    Ok(Loader::new(dataset.clone(), indices, config)?)
}

fn skipped(dataset: &Dataset) -> Vec<Skipped> {
    let skipped = dataset.skipped.iter();
    skipped
        .map(|(file, reason)| Skipped::new(file, reason))
        .collect()
}
