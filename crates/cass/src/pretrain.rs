//! `cass pretrain`: flags to a recipe, a recipe to a run.

use crate::choice::one_of;
use crate::failure::{Failure, Result};
use crate::images::{expect_root, set, survey};
use crate::options::{Common, Earlier, apply, here, normalization, protocol};
use crate::progress::Progress;
use crate::recompute::Recompute;
use crate::say::{Report, left_out};
use crate::{estimate, hub, next, process, sealed};
use cass_data::cache::Cache;
use cass_run::{Collapse, PretrainEpoch, PretrainEvent as Event, PretrainMetrics, RunDir, When};
use cass_train::methods::Guard;
use cass_train::recipe::{Keep, Normalize, Precision};
use cass_train::{Method, PretrainOptions, Protocol, Recipe, Weights};
use clap::builder::TypedValueParser;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

/// Pretrain networks on images, without labels.
///
/// CASS trains a CNN and a Transformer together; DINO trains one network. What no flag says is the
/// protocol's: the paper's 100 epochs at 384 pixels from ImageNet weights. Or give a recipe file,
/// such as a run's recipe.toml; flags then change single fields of it.
///
/// Ctrl-C, SIGTERM and SIGHUP stop the run in the middle of a step, with a checkpoint; a second one
/// stops it at once. However it ended, by kill -9 too, the same command continues from the last
/// checkpoint, to the same result byte for byte.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// What to train with.
    #[arg(long, required_unless_present = "recipe", conflicts_with = "recipe", value_parser = methods())]
    method: Option<Method>,
    /// Whose settings to start from.
    #[arg(long, conflicts_with = "recipe", default_value = "paper", value_parser = protocol())]
    protocol: Protocol,
    /// Start from this recipe instead of a protocol. Relative paths in it are of the folder that it is in;
    /// those in the recipe.toml of a run are absolute.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// CASS' first network, by timm's name, such as resnet18. Any two networks can be paired: two
    /// CNNs or two Transformers too [default: resnet50].
    #[arg(long, value_name = "NAME")]
    cnn: Option<String>,
    /// CASS' second network, by timm's name, such as vit_tiny_patch16_224 [default: vit_base_patch16_384].
    #[arg(long, value_name = "NAME")]
    vit: Option<String>,
    /// The network of a method that trains one, such as dino, by timm's name [default: resnet50].
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Initial weights of every network: random, hub (ImageNet, by its name), hub:OWNER/NAME@REVISION,
    /// or a safetensors file or a folder with a model.safetensors [default: hub].
    #[arg(long, value_name = "WEIGHTS")]
    weights: Option<Weights>,
    /// Initial weights of CASS' first network [default: that of --weights].
    #[arg(long, value_name = "WEIGHTS")]
    cnn_weights: Option<Weights>,
    /// Initial weights of CASS' second network [default: that of --weights].
    #[arg(long, value_name = "WEIGHTS")]
    vit_weights: Option<Weights>,
    /// What images are normalised by: each network by the statistics of its own weights, or all by
    /// ImageNet's, as both protocols have it [default: imagenet].
    #[arg(long, value_name = "STATISTICS", value_parser = normalization())]
    normalization: Option<Normalize>,
    /// Let a batch go through the networks in K parts and gather their gradients: less memory. The
    /// step is the whole batch's, but for BatchNorm, which then normalises each part by itself [default: 1].
    #[arg(long, value_name = "K")]
    accumulate: Option<usize>,
    /// Scale each arm's gradients down to this norm where they exceed it; off by default.
    #[arg(long, value_name = "NORM")]
    clip_grad_norm: Option<f64>,
    /// Beyond the paper, and off by default: what keeps CASS from collapsing from random weights. A
    /// Transformer then also wants a lower rate: --set arms.vit.optimizer.lr=1e-4.
    #[arg(long, value_name = "GUARD", value_parser = guard())]
    guard: Option<Guard>,
    /// Which epoch's networks to keep: the last one's, or of each network the one after which two views of training
    /// images were the most alike, compared with those of different images; no label is looked at. With best, the paper's
    /// averaging has to be off: --set swa=none [default: last].
    #[arg(long, value_name = "EPOCH", value_parser = keep())]
    keep: Option<Keep>,
    /// Precision of the products in training steps, on a GPU: with bf16, convolutions, linear maps and attention
    /// multiply as under PyTorch's autocast; weights, their gradients, normalisation and losses stay
    /// f32. How fast that is has not been measured [default: f32].
    #[arg(long, value_parser = precision())]
    precision: Option<Precision>,
    /// Change any field of the recipe, by its name there, after all other flags; may be repeated:
    /// --set zero_grad=false --set arms.cnn.optimizer.lr=0.01 --set swa=none.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// End the run, unfinished and with exit status 1, after an epoch in which a network's features
    /// no longer tell images apart (effective rank below 1.5 or mean cosine above 0.99, and neither
    /// with the initial weights). Without it that is a warning.
    #[arg(long)]
    stop_on_collapse: bool,
    /// What the backward pass computes again instead of keeping it; changes no result.
    #[arg(long, value_name = "WHAT", default_value = "none")]
    recompute: Recompute,
    /// Check the settings and print the recipe: no image is read, nothing written or fetched.
    #[arg(long)]
    dry_run: bool,
    /// Write a checkpoint to go on from after every N steps; by default once a minute, or less often
    /// where writing takes more than a twentieth of the time. Changes no result.
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<NonZeroU64>,
    #[command(flatten)]
    common: Common,
}

const EXAMPLE: &str = "\
Examples:
  cass pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random \\
      --data-root phantoms --size 64 --epochs 2 --out runs/cass
  cass pretrain --method dino --net resnet18 --weights random --data-root phantoms --size 64 \\
      --epochs 2 --out runs/dino
  cass pretrain --recipe runs/cass/recipe.toml --seed 1 --out runs/cass-1

  cass pretrain --method cass --cnn resnet18 --vit resnet34 --weights random --data-root phantoms \\
      --size 64 --set 'arms.cnn.optimizer={ name = \"sgd\", lr = 0.01, momentum = 0.9 }' --out runs/two

Exit status: 0 done, 1 the run failed or its features collapsed (--stop-on-collapse), 2 wrong usage
or input, 75 another process works in the run folder, 130 stopped by a signal, with a checkpoint.
`tensorboard --logdir runs` shows all runs.";

/// Reads a method's name.
pub fn methods() -> impl TypedValueParser<Value = Method> {
    let methods = Method::all().into_iter();
    one_of(methods.map(|method| (method.clone(), method.name(), method.about())))
}

/// Reads a guard's name.
fn guard() -> impl TypedValueParser<Value = Guard> {
    let about =
        "Add VICReg's penalty of logits that hardly differ between images, or only together";
    one_of([(Guard::Variance, Guard::Variance.name(), about)])
}

/// Reads which epoch is kept.
fn keep() -> impl TypedValueParser<Value = Keep> {
    one_of([
        (Keep::Last, "last", "The last epoch's"),
        (Keep::Best, "best", "Those of each network's best epoch"),
    ])
}

/// Reads a precision's name.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    let of_tf32 = "Products of factors of ten bits, as PyTorch's convolutions on a GPU are by default; refused on a CPU";
    let of_bf16 = "Products of eight bits; refused on a CPU, which gains nothing by it";
    one_of([
        (Precision::F32, "f32", "Single precision, as the paper's"),
        (Precision::Tf32, "tf32", of_tf32),
        (Precision::Bf16, "bf16", of_bf16),
    ])
}

pub fn run(mut args: Args) -> Result<Report> {
    let out = args.common.out.clone();
    let cache = std::mem::take(&mut args.common.cache);
    let options = PretrainOptions {
        storage: cache.storage(Cache::default())?,
        checkpoint_every: args.checkpoint_every,
        stop_on_collapse: args.stop_on_collapse,
        recompute: args.recompute.blocks(),
        program: process::built_from(),
        ..PretrainOptions::default()
    };
    let begun = process::Begun::default();
    process::on_signal(options.stop.clone(), begun.clone())?;
    let dry_run = args.dry_run;
    let mut recipe = args.recipe()?;
    // Before anything is fetched for it.
    let valid = recipe.clone().validate()?;
    if dry_run {
        let (text, deviations) = (recipe.to_toml(), recipe.deviations());
        let value = json!({"kind": "recipe", "recipe": text, "deviations": deviations});
        return Ok(Report::done(text, value));
    }
    if valid.precision != Precision::F32 {
        cass_train::device::device_of(&valid, options.emulate_bf16)?;
    }
    let earlier = Earlier::of(&out, Recipe::resolve)?;
    for (name, arm) in &mut recipe.arms {
        let earlier = earlier.as_ref().and_then(|e| e.recipe.arms.get(name));
        let earlier = earlier.map(|arm| &arm.weights);
        arm.weights = hub::resolve(&arm.weights, &arm.network, earlier)?;
    }
    let recipe = recipe.validate()?;
    cass_train::memory::expect_memory(&recipe)?;
    process::configure(recipe.threads)?;
    // What is written means the same from any folder; what is said keeps the paths as they were given.
    let mut written = Recipe::clone(&recipe);
    written.resolve(&here()?);
    let run = RunDir::open(&out, &Earlier::or(earlier, &written))?;
    if let Some(metrics) = run.metrics()? {
        tracing::info!("{}", sealed::finished_already(&run)?);
        let labelled = recipe.data.name != "images";
        return Ok(report(&out, &metrics).next(probe(&out, &recipe, labelled)));
    }
    begun.claimed(&run);
    for arm in recipe.arms.values() {
        hub::bring(&arm.weights, &arm.network)?;
    }
    let labelled = survey(&recipe.data)?.is_labelled();
    let mut progress = Progress::new();
    let mut remedy = recipe.method.remedy();
    let show = &mut |event: &Event| {
        if matches!(event, Event::Step { .. }) {
            begun.set();
        }
        show(&mut progress, event);
        if let Event::Start { steps, device, .. } = event
            && device == "cpu"
            && let Ok(Some(estimate)) = estimate::of_pretraining(&recipe, *steps)
        {
            progress.line(&estimate);
        }
        if matches!(event, Event::Collapsed { .. })
            && let Some(remedy) = remedy.take()
        {
            progress.line(&format!("hint: {remedy}"));
        }
    };
    let metrics = cass_train::pretrain(&recipe, &run, &options, show)?;
    drop(progress);
    Ok(report(&out, &metrics).next(probe(&out, &recipe, labelled)))
}

/// What measures with labels what the first network of a run has learned.
fn probe(out: &Path, recipe: &Recipe, labelled: bool) -> String {
    let arm = recipe.arms.keys().next().map_or("cnn", String::as_str);
    let labels = match labelled {
        true => "",
        false => "--data csv --data-root LABELS.csv ",
    };
    let (run, out) = (next::word(out), next::word(next::beside(out, arm)));
    format!("cass probe --run {run} --arm {arm} {labels}--out {out}")
}

impl Args {
    /// The initial weights that flags name, of which networks.
    fn initial(&self, method: &Method) -> Result<BTreeMap<String, Weights>> {
        let arms = method.arms();
        let every = self.weights.iter();
        let every = every.flat_map(|w| arms.iter().map(|arm| (arm.to_string(), w.clone())));
        let mut found: BTreeMap<_, _> = every.collect();
        for (arm, weights) in [("cnn", &self.cnn_weights), ("vit", &self.vit_weights)] {
            let Some(weights) = weights else { continue };
            if !arms.contains(&arm) {
                let method = method.name();
                return Err(Failure::Wrong(format!(
                    "--{arm}-weights is not for method {method}: expected --weights"
                )));
            }
            found.insert(arm.to_owned(), weights.clone());
        }
        Ok(found)
    }

    fn recipe(self) -> Result<Recipe> {
        let decided = self.recipe.is_some();
        let mut recipe = match (&self.recipe, &self.method) {
            (Some(file), _) => {
                let mut recipe = read(file)?;
                for (name, weights) in self.initial(&recipe.method)? {
                    if let Some(arm) = recipe.arms.get_mut(&name) {
                        arm.weights = weights;
                    }
                }
                recipe
            }
            (None, Some(method)) => {
                let weights = self.initial(method)?;
                Recipe::from_weights(self.protocol, method.clone(), &weights)
            }
            (None, None) => return Err(Failure::Wrong("expected --method or --recipe".into())),
        };
        for (flag, network) in [("cnn", self.cnn), ("vit", self.vit), ("net", self.net)] {
            let Some(network) = network else { continue };
            match recipe.arms.get_mut(flag) {
                Some(arm) => arm.network = network,
                None => {
                    let (method, arms) =
                        (recipe.method.name(), recipe.method.arms().join(" and --"));
                    return Err(Failure::Wrong(format!(
                        "--{flag} is not for method {method}: expected --{arms}"
                    )));
                }
            }
        }
        apply!(self.common, recipe, decided);
        set(&mut recipe.accumulate, self.accumulate);
        set(&mut recipe.normalization, self.normalization);
        set(&mut recipe.precision, self.precision);
        set(&mut recipe.keep, self.keep);
        if let Some(guard) = self.guard {
            recipe = recipe.set(&format!("method.guard={}", guard.name()))?;
        }
        recipe.clip_grad_norm = self.clip_grad_norm.or(recipe.clip_grad_norm);
        for field in &self.fields {
            recipe = recipe.set(field)?;
        }
        expect_root(&recipe.data)?;
        Ok(recipe)
    }
}

/// Reads a recipe. Relative paths in it are of the folder that it is in.
fn read(file: &Path) -> Result<Recipe> {
    let wrong = |why: String| Failure::Wrong(format!("{} cannot be read: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let mut recipe = Recipe::from_toml(&text).map_err(|error| wrong(error.to_string()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    recipe.resolve(&here()?.join(folder));
    Ok(recipe)
}

fn show(progress: &mut Progress, event: &Event) {
    match event {
        Event::Start {
            steps,
            images,
            device,
            ..
        } => {
            progress.start(*steps);
            progress.line(&format!(
                "{images} images an epoch, {steps} steps, on {device}"
            ));
        }
        Event::Resumed { step, steps } => {
            progress.start(*steps);
            progress.resume(*step);
            progress.line(&format!("continuing after step {step} of {steps}"));
        }
        Event::Warning { text } => progress.line(&format!("warning: {text}")),
        Event::Collapsed { text, epoch, .. } => {
            progress.line(&format!("warning: after epoch {epoch}, {text}"));
        }
        Event::Weights { arm, text } => progress.line(&format!("{arm}: {text}")),
        Event::Step {
            epoch,
            step,
            loss,
            images_per_s,
            ..
        } => progress.step(*epoch, *step, *loss, *images_per_s),
        Event::Epoch {
            epoch,
            loss,
            seconds,
        } => {
            progress.line(&format!("epoch {epoch}: loss {loss:.4e}, {seconds:.1} s"));
        }
        Event::Collapse {
            when: When::Epoch | When::Start,
            ..
        } => progress.looked(),
        Event::Agreement { .. } | Event::Done { .. } => {}
        Event::Collapse {
            when,
            arm,
            features,
            ..
        } => {
            let when = if *when == When::Before {
                "before"
            } else {
                "after"
            };
            let reading = features.map_or("not finite".into(), |r| {
                format!(
                    "mean cosine {:.4}, effective rank {:.1}",
                    r.mean_cosine, r.effective_rank
                )
            });
            progress.line(&format!("{arm} features {when}: {reading}"));
        }
    }
}

/// What a finished run measured, from its metrics alone.
fn report(out: &Path, metrics: &PretrainMetrics) -> Report {
    let epochs = &metrics.epochs;
    let loss = |epoch: Option<&PretrainEpoch>| {
        epoch.map_or("none".into(), |epoch| format!("{:.4e}", epoch.loss))
    };
    let mut text = format!(
        "{}: {} epochs in {:.1} s, loss {} -> {}\n",
        out.display(),
        epochs.len(),
        metrics.common.seconds,
        loss(epochs.first()),
        loss(epochs.last()),
    );
    let said = |reading: Option<Collapse>| match reading {
        Some(r) => format!(
            "mean cosine {:.4} rank {:.4}",
            r.mean_cosine, r.effective_rank
        ),
        None => "not finite".into(),
    };
    for (arm, readings) in &metrics.collapse {
        let (before, after) = (said(readings.before), said(readings.after));
        let _ = write!(text, "  {arm}: {before} -> {after}");
        let views = metrics.views.get(arm);
        if let Some((before, after)) = views.and_then(|views| views.before.zip(views.after)) {
            let (before, after) = (before.invariance, after.invariance);
            let _ = write!(text, "; views {before:.2} -> {after:.2}");
        }
        if let Some(epoch) = metrics.kept.get(arm) {
            let _ = write!(text, "; kept: epoch {epoch}");
        }
        text.push('\n');
    }
    text += &left_out(&metrics.common.skipped);
    Report::done(text, json!(metrics))
}
