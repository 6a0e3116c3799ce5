//! `cass probe`: weights to a score.

use crate::choice::one_of;
use crate::failure::{Failure, Result};
use crate::images::{expect_root, set, survey};
use crate::options::{Common, Earlier, apply, here, normalization, protocol};
use crate::progress::Progress;
use crate::say::{Report, left_out};
use crate::{hub, next, process, sealed};
use cass_data::cache::Cache;
use cass_data::dataset::Task;
use cass_data::recipe::DataRecipe;
use cass_probe::fit::{ClassWeights, PartMetrics, ProbeMode, ProbeRecipe, Stopping};
use cass_run::{Bounds, Finished, ProbeEvent as Event, ProbeMetrics, RunDir, names};
use cass_train::recipe::{Normalize, Portion};
use cass_train::{Protocol, Recipe, Stop, Weights};
use clap::builder::TypedValueParser;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Measure with labels what a network has learned.
///
/// `logistic` fits a logistic regression to standardised features of the frozen network, until it
/// has converged, the penalty chosen on the validation images; `linear` trains a classifier on them
/// by Adam for some epochs (the paper's text); `finetune` trains all parameters (the published code,
/// and from other weights the supervised baseline); `knn` trains nothing. The score is the macro F1
/// on the test images. Where images have several labels, each class is decided by itself, at 0.5.
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
    /// How to probe; by default logistic, or linear where --protocol is given.
    #[arg(long, value_parser = mode())]
    mode: Option<ProbeMode>,
    /// What images are normalised by: the statistics that the weights were trained with, or ImageNet's.
    /// By default those of the pretraining with --run; else those of the weights, or ImageNet's where
    /// --protocol is given.
    #[arg(long, value_name = "STATISTICS", conflicts_with = "run", value_parser = normalization())]
    normalization: Option<Normalize>,
    /// What images of a class weigh: all the same, or those of rare classes more (balanced), or as
    /// published (paper), which gives those of the most frequent class the most. By default none, or
    /// paper where --protocol is given.
    #[arg(long, value_name = "WEIGHTS", value_parser = class_weights())]
    class_weights: Option<ClassWeights>,
    /// Fit the chosen penalty again to training and validation images together (logistic).
    #[arg(long)]
    refit: bool,
    /// Leave out test images that the pretraining was trained on.
    #[arg(long)]
    exclude_seen: bool,
    /// Leave predictions and scores alone, without the network and its classifier: for many probes of one network.
    #[arg(long)]
    scores_only: bool,
    /// Print also how well patients (or other groups) are told by the mean of their images.
    #[arg(long)]
    per_patient: bool,
    /// Train the linear classifier on newly augmented images in every epoch, not on features that
    /// are computed once.
    #[arg(long)]
    augment: bool,
    /// Fine-tune the last blocks of the network alone, and what stands behind them: last:N [default: all].
    #[arg(long, value_name = "PORTION")]
    train: Option<Portion>,
    /// Fine-tune each layer at this share of the next one's learning rate, such as 0.75.
    #[arg(long, value_name = "SHARE")]
    layer_decay: Option<f64>,
    /// Fine-tune with the statistics that BatchNorm has, instead of each batch's.
    #[arg(long)]
    frozen_statistics: bool,
    /// Folder that keeps the features of images for the next probe of the same weights; by default
    /// RUN/features with --run, and none without.
    #[arg(long, value_name = "DIR")]
    feature_cache: Option<PathBuf>,
    /// Whose settings to start from: the paper's where none is given, but for --mode and --class-weights.
    #[arg(long, value_parser = protocol())]
    protocol: Option<Protocol>,
    /// Stop after so many epochs without a lower validation loss (paper's protocol) [default: 5].
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

/// Reads a mode's name.
fn mode() -> impl TypedValueParser<Value = ProbeMode> {
    one_of(
        [
            (
                ProbeMode::Linear,
                "A classifier on features of the frozen network, trained by Adam",
            ),
            (
                ProbeMode::Logistic,
                "A logistic regression on standardised features of the frozen network",
            ),
            (ProbeMode::Finetune, "All parameters"),
            (
                ProbeMode::Knn,
                "Nothing: the nearest labelled images vote, by the cosine of their features",
            ),
        ]
        .map(|(mode, about)| (mode, mode.name(), about)),
    )
}

/// Reads what images of a class weigh.
fn class_weights() -> impl TypedValueParser<Value = ClassWeights> {
    one_of(
        [
            (ClassWeights::None, "All images the same"),
            (ClassWeights::Balanced, "Every class the same"),
            (ClassWeights::Paper, "The published formula"),
        ]
        .map(|(weights, about)| (weights, weights.name(), about)),
    )
}

pub fn run(mut args: Args) -> Result<Report> {
    let per_patient = args.per_patient;
    let out = args.common.out.clone();
    let cache = std::mem::take(&mut args.common.cache);
    let storage = cache.storage(Cache::default())?;
    let mut recipe = ProbeRecipe {
        storage,
        ..args.recipe()?
    };
    // A probe begins anew, but for the features that it keeps: it is stopped wherever it is.
    process::on_signal(Stop::default(), process::Begun::default())?;
    recipe.validate()?;
    recipe.expect_memory()?;
    let earlier = Earlier::of(&out, ProbeRecipe::resolve)?;
    // What is written means the same from any folder; what is said keeps the paths as they were given.
    let written = |recipe: &ProbeRecipe| {
        let mut written = recipe.clone();
        written.resolve(&here()?);
        Ok::<_, Failure>(written)
    };
    let layout = written(&recipe)?.data.layout();
    let same_data = |e: &&Earlier<ProbeRecipe>| e.recipe.data.layout() == layout;
    // A finished run is told again without its images.
    let multi_label = match earlier.as_ref().filter(same_data) {
        Some(earlier) => earlier.recipe.multi_label,
        None => {
            let found = survey(&recipe.data)?;
            if !found.is_labelled() {
                return Err(Failure::Wrong(format!(
                    "{} has no labels, which a probe needs: {}",
                    found.root.display(),
                    found.notes.join("; ")
                )));
            }
            found.task == Task::MultiLabel
        }
    };
    if multi_label {
        recipe = recipe.for_multi_label();
    }
    let weights = earlier.as_ref().map(|e| &e.recipe.weights);
    recipe.weights = hub::resolve(&recipe.weights, &recipe.network, weights)?;
    process::configure(recipe.threads)?;
    let run = RunDir::open(&out, &Earlier::or(earlier, &written(&recipe)?))?;
    if let Some(metrics) = run.metrics()? {
        tracing::info!("{}", sealed::finished_already(&run)?);
        return Ok(report(&out, &metrics, per_patient).next(predict(&out)));
    }
    hub::bring(&recipe.weights, &recipe.network)?;
    let mut progress = Progress::new();
    let metrics = cass_probe::fit::probe(&recipe, &run, &mut |event| show(&mut progress, event))?;
    drop(progress);
    Ok(report(&out, &metrics, per_patient).next(predict(&out)))
}

/// What labels new images by a finished probe.
fn predict(out: &Path) -> String {
    format!("cass predict --run {} NEW_IMAGES", next::word(out))
}

impl Args {
    fn recipe(self) -> Result<ProbeRecipe> {
        let given = self.protocol.is_some();
        let (mode, class_weights) = match given {
            true => (ProbeMode::Linear, ClassWeights::Paper),
            false => (ProbeMode::Logistic, ClassWeights::None),
        };
        let mode = self.mode.unwrap_or(mode);
        let protocol = self.protocol.unwrap_or(Protocol::Paper);
        let mut recipe = ProbeRecipe::preset(protocol, mode);
        if mode != ProbeMode::Knn {
            recipe.class_weights = self.class_weights.unwrap_or(class_weights);
        }
        if self.refit {
            let Some(logistic) = &mut recipe.logistic else {
                let text = "--refit is for --mode logistic: no other chooses a penalty";
                return Err(Failure::Wrong(text.into()));
            };
            logistic.refit = true;
        }
        recipe.exclude_seen = self.exclude_seen;
        recipe.keep_network = !self.scores_only;
        let of_weights = self.run.is_none() && (!given || self.normalization.is_some());
        let decided = self.run.is_some();
        if let Some(run) = &self.run {
            take_over(&mut recipe, run, self.arm)?;
        }
        set(&mut recipe.weights, self.weights);
        set(&mut recipe.network, self.arch);
        recipe.normalization = match self.normalization {
            Some(Normalize::Imagenet) => Normalize::Imagenet,
            _ if of_weights => Normalize::for_weights(&recipe.network, &recipe.weights)?,
            _ => recipe.normalization,
        };
        if let (Stopping::Patience { epochs }, Some(patience)) =
            (&mut recipe.stopping, self.patience)
        {
            *epochs = patience;
        }
        recipe.augment = self.augment;
        set(&mut recipe.train, self.train);
        recipe.layer_decay = self.layer_decay;
        recipe.frozen_statistics = self.frozen_statistics;
        let own = self.run.map(|run| run.join(names::FEATURES));
        recipe.feature_cache = self.feature_cache.or(own);
        apply!(self.common, recipe, decided);
        expect_root(&recipe.data)?;
        Ok(recipe)
    }
}

/// Takes network, weights and data from a finished pretraining.
fn take_over(recipe: &mut ProbeRecipe, run: &Path, arm: Option<String>) -> Result<()> {
    let wrong = |why: String| Failure::Wrong(format!("{} cannot be probed: {why}", run.display()));
    let finished = Finished::open(run)?;
    sealed::note(run);
    let pretrained = Recipe::from_toml(&finished.recipe)
        .map_err(|error| wrong(format!("its recipe.toml is not of a pretraining ({error})")))?;
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
    recipe.weights = Weights::File(finished.intact(&names::checkpoint(&arm))?);
    recipe.arm = Some(arm);
    // Its own shares are the probe's to choose.
    recipe.data = DataRecipe {
        val_fraction: recipe.data.val_fraction,
        fraction: recipe.data.fraction,
        skip_bad: recipe.data.skip_bad,
        // Whose images these are is for the pretraining.
        exclude_test_of: None,
        ..pretrained.data
    };
    recipe.size = pretrained.size;
    let used = pretrained
        .normalization
        .of(&settings.network, &settings.weights)?;
    recipe.normalization = Normalize::as_used(used);
    recipe.seed = pretrained.seed;
    Ok(())
}

fn show(progress: &mut Progress, event: &Event) {
    match event {
        Event::Start {
            weights,
            labels,
            test,
            steps,
            ..
        } => {
            progress.start(*steps);
            let counts: Vec<String> = test
                .iter()
                .map(|(class, n)| format!("{class} {n}"))
                .collect();
            progress.line(&format!(
                "{weights}; {labels} labelled images; test images: {}",
                counts.join(", ")
            ));
        }
        Event::Step {
            epoch,
            step,
            loss,
            images_per_s,
            ..
        } => progress.step(*epoch, *step, *loss, *images_per_s),
        Event::Computing { done, images } => progress.count(*done, *images),
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
        Event::Penalty(tried) => {
            let end = if tried.converged {
                ""
            } else {
                ", not converged"
            };
            let (c, f1) = (tried.c, tried.val_f1_macro);
            progress.line(&format!("C {c}: validation F1 {f1:.4}{end}"));
        }
        Event::Note { text } => progress.line(&format!("note: {text}")),
        // The report has them, once.
        Event::Features { .. } | Event::Warning { .. } | Event::Done { .. } => {}
    }
}

/// What a finished probe measured, from its metrics alone.
fn report(out: &Path, metrics: &ProbeMetrics<PartMetrics>, per_patient: bool) -> Report {
    let test = &metrics.test.metrics;
    let (f1, accuracy, balanced) = (test.f1_macro(), test.accuracy(), test.balanced_accuracy());
    let interval = match &metrics.test_f1_macro_95 {
        Some(Bounds { low, high }) => format!("95 % {low:.4} to {high:.4}"),
        None => "95 % not given".into(),
    };
    let how = match (metrics.mode.as_str(), metrics.class_weights.as_str()) {
        ("knn", _) => "knn".into(),
        (mode, weights) => format!("{mode}, class weights {weights}"),
    };
    let converged = match metrics.converged {
        Some(false) => ", NOT CONVERGED",
        _ => "",
    };
    let mut text = format!(
        "{}: test F1 macro {f1:.4} ({interval}), balanced accuracy {balanced:.4}, accuracy {accuracy:.4}, \
         with {} labels ({how}{converged})\n",
        out.display(),
        metrics.labels,
    );
    if let (true, Some(groups)) = (per_patient, &metrics.test_per_group) {
        let groups = &groups.metrics;
        let (f1, balanced) = (groups.f1_macro(), groups.balanced_accuracy());
        text += &format!("  per patient: F1 macro {f1:.4}, balanced accuracy {balanced:.4}\n");
    } else if per_patient {
        text += "  per patient: not given, no test image has a patient or other group\n";
    }
    for warning in &metrics.warnings {
        text += &format!("  note: {warning}\n");
    }
    text += &left_out(&metrics.common.skipped);
    let mut json = json!(metrics);
    json["f1_macro"] = json!(f1);
    json["best_epoch"] = json!(metrics.readings.best_epoch);
    Report::done(text, json)
}
