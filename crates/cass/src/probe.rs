//! `cass probe`: weights to a score.

use crate::failure::{Failure, Result};
use crate::hub;
use crate::options::{Common, ProtocolName, apply, set};
use crate::process;
use crate::progress::Progress;
use crate::say::{Report, left_out};
use cass_data::{Cache, Task};
use cass_probe::fit::{Event, ProbeMode, ProbeRecipe, Stopping};
use cass_train::{Recipe, RunDir, Weights};
use clap::ValueEnum;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Measure with labels what a network has learned.
///
/// `linear` trains a classifier on features of the frozen network (the paper's text); `finetune`
/// trains all parameters (the published code, and from other weights the supervised baseline);
/// `knn` trains nothing. The score is the macro F1 on the test images. Where images have several
/// labels, each class is decided by its own sigmoid, at 0.5.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished pretraining whose network to judge.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["weights", "arch"], required_unless_present = "weights")]
    run: Option<PathBuf>,
    /// Which of the pretraining's networks: cnn, vit or net.
    #[arg(long, value_name = "ARM", requires = "run")]
    arm: Option<String>,
    /// Instead of a pretraining: random, hub (ImageNet, by the network's name),
    /// hub:OWNER/NAME@REVISION, or a safetensors file or a folder with a model.safetensors.
    #[arg(long, value_name = "WEIGHTS", requires = "arch")]
    weights: Option<Weights>,
    /// The network of these weights, by timm's name.
    #[arg(long, value_name = "NAME", requires = "weights")]
    arch: Option<String>,
    /// What to train.
    #[arg(long, default_value = "linear")]
    mode: ModeName,
    /// Train the linear classifier on newly augmented images in every epoch, not on features that
    /// are computed once.
    #[arg(long)]
    augment: bool,
    /// Folder that keeps the features of images for the next probe of the same weights; by default
    /// RUN/features with --run, and none without.
    #[arg(long, value_name = "DIR")]
    feature_cache: Option<PathBuf>,
    /// Whose settings to start from.
    #[arg(long, default_value = "paper")]
    protocol: ProtocolName,
    /// Stop after so many epochs without a lower validation loss (paper's protocol).
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    #[command(flatten)]
    common: Common,
}

const EXAMPLE: &str = "\
Examples:
  cass probe --run runs/cass --arm cnn --fraction 0.1 --out runs/cass-cnn-10
  cass probe --run runs/cass --arm cnn --mode knn --out runs/cass-cnn-knn
  cass probe --weights random --arch resnet18 --mode finetune --size 64 --data-root phantoms \\
      --out runs/supervised";

#[derive(Clone, Copy, ValueEnum)]
enum ModeName {
    /// A classifier on features of the frozen network.
    Linear,
    /// All parameters.
    Finetune,
    /// Nothing: the nearest labelled images vote, by the cosine of their features.
    Knn,
}

pub fn run(mut args: Args) -> Result<Report> {
    let out = args.common.out.clone();
    let cache = std::mem::take(&mut args.common.cache);
    cache.install_or(Cache::default())?;
    let mut recipe = args.recipe()?;
    recipe.validate()?;
    let earlier = std::fs::read_to_string(out.join("recipe.toml")).ok();
    let earlier = earlier.and_then(|text| ProbeRecipe::from_toml(&text).ok());
    let same_data = |e: &&ProbeRecipe| (&e.data, &e.data_root) == (&recipe.data, &recipe.data_root);
    // A finished run is told again without its images.
    let multi_label = match earlier.as_ref().filter(same_data) {
        Some(earlier) => earlier.multi_label,
        None => cass_data::task_of(&recipe.data, &recipe.data_root)? == Task::MultiLabel,
    };
    if multi_label {
        recipe = recipe.for_multi_label();
    }
    let earlier = earlier.map(|recipe| recipe.weights);
    recipe.weights = hub::resolve(&recipe.weights, &recipe.network, earlier.as_ref())?;
    process::configure(recipe.threads)?;
    let run = RunDir::open(&out, &recipe.to_toml())?;
    if let Some(metrics) = run.metrics()? {
        tracing::info!("{} is finished already; nothing to do", out.display());
        return Ok(report(&out, metrics));
    }
    hub::bring(&recipe.weights, &recipe.network)?;
    let mut progress = Progress::new();
    let metrics = cass_probe::fit::probe(&recipe, &run, &mut |event| show(&mut progress, event))?;
    drop(progress);
    Ok(report(&out, metrics))
}

impl Args {
    fn recipe(self) -> Result<ProbeRecipe> {
        let mode = match self.mode {
            ModeName::Linear => ProbeMode::Linear,
            ModeName::Finetune => ProbeMode::Finetune,
            ModeName::Knn => ProbeMode::Knn,
        };
        let mut recipe = ProbeRecipe::preset(self.protocol.into(), mode);
        if let Some(run) = &self.run {
            take_over(&mut recipe, run, self.arm)?;
        }
        set(&mut recipe.weights, self.weights);
        set(&mut recipe.network, self.arch);
        if let (Stopping::Patience { epochs }, Some(patience)) =
            (&mut recipe.stopping, self.patience)
        {
            *epochs = patience;
        }
        recipe.augment = self.augment;
        let own = self.run.map(|run| run.join("features"));
        recipe.feature_cache = self.feature_cache.or(own);
        apply!(self.common, recipe);
        if recipe.data_root.as_os_str().is_empty() {
            let text = "--data-root is missing: the folder that holds the images";
            return Err(Failure::Wrong(text.into()));
        }
        Ok(recipe)
    }
}

/// Takes network, weights and data from a finished pretraining.
fn take_over(recipe: &mut ProbeRecipe, run: &Path, arm: Option<String>) -> Result<()> {
    let wrong = |why: String| Failure::Wrong(format!("{} cannot be probed: {why}", run.display()));
    let text = std::fs::read_to_string(run.join("recipe.toml"))
        .map_err(|error| wrong(format!("no recipe.toml of a pretraining in it ({error})")))?;
    let pretrained = Recipe::from_toml(&text).map_err(|error| wrong(error.to_string()))?;
    if !run.join("metrics.json").is_file() {
        return Err(wrong(
            "it has no metrics.json, so the pretraining is not finished".into(),
        ));
    }
    let arms: Vec<&str> = pretrained.arms.keys().map(String::as_str).collect();
    let arm = match (arm, arms.as_slice()) {
        (Some(arm), _) => arm,
        (None, [only]) => only.to_string(),
        (None, _) => {
            return Err(wrong(format!(
                "it has several networks, choose --arm {}",
                arms.join(" or --arm ")
            )));
        }
    };
    let Some(settings) = pretrained.arms.get(&arm) else {
        return Err(wrong(format!(
            "it has no arm {arm}: expected {}",
            arms.join(" or ")
        )));
    };
    recipe.network.clone_from(&settings.network);
    recipe.weights = Weights::File(run.join(format!("checkpoint-{arm}.safetensors")));
    recipe.arm = Some(arm);
    recipe.data = pretrained.data;
    recipe.data_root = pretrained.data_root;
    recipe.size = pretrained.size;
    recipe.seed = pretrained.seed;
    Ok(())
}

fn show(progress: &mut Progress, event: &Event) {
    match event {
        Event::Start {
            weights,
            labels,
            steps,
            ..
        } => {
            progress.start(*steps);
            progress.line(&format!("{weights}; {labels} labelled images"));
        }
        Event::Step {
            step,
            loss,
            images_per_s,
            ..
        } => progress.step(*step, *loss, *images_per_s),
        Event::Epoch(epoch) => {
            let val = epoch
                .val_loss
                .map_or(String::new(), |loss| format!(", validation {loss:.4e}"));
            let f1 = epoch
                .val_f1_macro
                .map_or(String::new(), |f1| format!(", F1 {f1:.4}"));
            let (epoch, loss) = (epoch.epoch, epoch.train_loss);
            progress.line(&format!("epoch {epoch}: loss {loss:.4e}{val}{f1}"));
        }
        Event::Done { .. } => {}
    }
}

/// What a finished probe measured, from its metrics alone.
fn report(out: &Path, metrics: Value) -> Report {
    let test = |key: &str| {
        metrics["test"][key]
            .as_f64()
            .map_or("none".into(), |x| format!("{x:.4}"))
    };
    let text = format!(
        "{}: test F1 macro {}, accuracy {}, with {} labels\n{}",
        out.display(),
        test("f1_macro"),
        test("accuracy"),
        metrics["labels"],
        left_out(&metrics["skipped"]),
    );
    Report::done(text, metrics)
}
