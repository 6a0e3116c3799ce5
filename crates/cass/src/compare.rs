//! `cass compare`: probes side by side.

use crate::failure::{Failure, Result};
use crate::say::Report;
use cass_metrics::{Difference, MultiLabelPredictions, Predictions};
use cass_probe::fit::ProbeRecipe;
use cass_train::{Recipe, Weights};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Compare finished probes on the same test images.
///
/// Runs that differ in their seed alone are one method: mean and standard deviation (n - 1) of the
/// macro F1. A method whose weights come from a pretraining is compared with the same network's
/// starting weights (random or hub), or else with the first method: paired by seed and image, with
/// a permutation test and a 95 % interval over test images.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folders of finished probes.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Decides permutations and resamples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

const EXAMPLE: &str = "\
Example:
  cass compare runs/random-vit-0 runs/random-vit-1 runs/cass-vit-0 runs/cass-vit-1";

/// What one run measured, and what it is a run of.
struct Run {
    recipe: ProbeRecipe,
    weights: String,
    f1: f64,
    predictions: MultiLabelPredictions,
}

/// Runs that differ in their seed alone.
struct Group {
    runs: Vec<Run>,
}

pub fn run(args: Args) -> Result<Report> {
    let mut groups: Vec<Group> = Vec::new();
    for path in &args.runs {
        let run = read(path)?;
        let alike = groups.iter_mut().find(|g| g.name() == run.name());
        match alike {
            Some(group) if group.runs.iter().any(|r| r.recipe.seed == run.recipe.seed) => {
                return Err(Failure::Wrong(format!(
                    "{} cannot be compared: another run given has its settings and seed {}",
                    path.display(),
                    run.recipe.seed
                )));
            }
            Some(group) => group.runs.push(run),
            None => groups.push(Group { runs: vec![run] }),
        }
    }
    let (mut text, mut of_groups) = (String::new(), Vec::new());
    for group in &groups {
        let (mean, std) = group.mean_and_std();
        let (name, n) = (group.name(), group.runs.len());
        let std_text = std.map_or(String::new(), |std| format!(" ± {std:.4}"));
        let seeds = if n == 1 {
            "1 seed"
        } else {
            &format!("{n} seeds")
        };
        let _ = writeln!(text, "{name}: F1 macro {mean:.4}{std_text} ({seeds})");
        let values: Vec<f64> = group.runs.iter().map(|r| r.f1).collect();
        of_groups.push(json!({"name": name, "mean": mean, "std": std, "n": n, "values": values}));
    }
    let mut of_pairs = Vec::new();
    for (i, second) in groups.iter().enumerate() {
        let Some(first) = reference(&groups, i) else {
            continue;
        };
        let (a, b) = paired(first, second)?;
        let difference = Difference::between(&a, &b, args.seed)?;
        let verdict = verdict(first, second, &difference);
        let _ = writeln!(text, "{verdict}");
        let mut pair = json!(difference);
        pair["of"] = json!(second.name());
        pair["over"] = json!(first.name());
        pair["verdict"] = json!(verdict);
        of_pairs.push(pair);
    }
    let json = json!({"kind": "compare", "groups": of_groups, "differences": of_pairs});
    Ok(Report::done(text, json))
}

/// What the `i`-th group is compared with: the starting weights of its network, or the first.
fn reference(groups: &[Group], i: usize) -> Option<&Group> {
    let group = &groups[i];
    if group.is_start() {
        return (i > 0 && groups[0].is_start()).then(|| &groups[0]);
    }
    let recipe = group.recipe();
    let start = groups.iter().find(|other| {
        let o = other.recipe();
        let setting = |r: &ProbeRecipe| (r.network.clone(), r.mode, r.fraction);
        other.is_start() && setting(o) == setting(recipe)
    });
    start.or((i > 0).then(|| &groups[0]))
}

/// The predictions of the seeds that both have.
fn paired<'a>(
    first: &'a Group,
    second: &'a Group,
) -> Result<(
    Vec<&'a MultiLabelPredictions>,
    Vec<&'a MultiLabelPredictions>,
)> {
    let same = |run: &&'a Run| {
        let found = first
            .runs
            .iter()
            .find(|r| r.recipe.seed == run.recipe.seed)?;
        Some((&found.predictions, &run.predictions))
    };
    let pairs: Vec<_> = second.runs.iter().filter_map(|run| same(&run)).collect();
    if pairs.is_empty() {
        let (a, b) = (first.name(), second.name());
        return Err(Failure::Wrong(format!(
            "{b} cannot be compared with {a}: no seed is common to both"
        )));
    }
    Ok(pairs.into_iter().unzip())
}

fn verdict(first: &Group, second: &Group, d: &Difference) -> String {
    let what = if first.is_start() && !second.is_start() {
        format!("pretraining ({}) over {}", second.name(), first.name())
    } else {
        format!("{} over {}", second.name(), first.name())
    };
    let said = match (d.interval.low > 0.0, d.interval.high < 0.0) {
        (true, _) if d.p_value < 0.05 => "helped",
        (_, true) if d.p_value < 0.05 => "hurt",
        _ => "made no difference that these images show",
    };
    format!(
        "{what}: {said}, {:+.4} F1 macro (95 % {:+.4} to {:+.4}, p = {:.4}, {} images, {} paired)",
        d.difference, d.interval.low, d.interval.high, d.p_value, d.images, d.pairs
    )
}

impl Run {
    fn name(&self) -> String {
        let r = &self.recipe;
        let mode = json!(r.mode);
        let mode = mode.as_str().unwrap_or_default();
        let augmented = if r.augment { " augmented" } else { "" };
        let percent = r.fraction * 100.0;
        format!(
            "{} {}, {mode}{augmented}, {percent} % labels",
            self.weights, r.network
        )
    }
}

impl Group {
    fn name(&self) -> String {
        self.runs.first().map(Run::name).unwrap_or_default()
    }

    fn recipe(&self) -> &ProbeRecipe {
        &self.runs[0].recipe // a group is made of a run
    }

    /// Whether its weights are what a pretraining starts from.
    fn is_start(&self) -> bool {
        !matches!(self.recipe().weights, Weights::File(_))
    }

    fn mean_and_std(&self) -> (f64, Option<f64>) {
        let n = self.runs.len() as f64;
        let mean = self.runs.iter().map(|r| r.f1).sum::<f64>() / n;
        let squares: f64 = self.runs.iter().map(|r| (r.f1 - mean).powi(2)).sum();
        (mean, (n > 1.0).then(|| (squares / (n - 1.0)).sqrt()))
    }
}

fn read(path: &Path) -> Result<Run> {
    let wrong =
        |why: String| Failure::Wrong(format!("{} cannot be compared: {why}", path.display()));
    let text = |name: &str| {
        let text = std::fs::read_to_string(path.join(name));
        text.map_err(|e| wrong(format!("it holds no finished probe ({name}: {e})")))
    };
    let recipe = ProbeRecipe::from_toml(&text("recipe.toml")?)
        .map_err(|e| wrong(format!("its recipe.toml is not of a probe ({e})")))?;
    let metrics: Value = serde_json::from_str(&text("metrics.json")?)
        .map_err(|e| wrong(format!("its metrics.json is not JSON ({e})")))?;
    let f1 = metrics["test"]["f1_macro"].as_f64();
    let file = path.join("predictions.csv");
    let predictions = if recipe.multi_label {
        MultiLabelPredictions::read(&file, None)?
    } else {
        (&Predictions::read(&file)?).into()
    };
    Ok(Run {
        f1: f1.ok_or_else(|| wrong("its metrics.json has no test.f1_macro".into()))?,
        weights: weights_name(&recipe.weights, &recipe.network),
        predictions,
        recipe,
    })
}

/// `random`, `hub`, another repository of the Hub, the method of the pretraining that left the file,
/// or the file.
fn weights_name(weights: &Weights, network: &str) -> String {
    let weights = weights.without_commit(network);
    let file = match &weights {
        Weights::Random => return "random".into(),
        Weights::Hub => return "hub".into(),
        Weights::HubRepo(id) => return format!("hub:{}", id.repo()),
        Weights::File(file) => file,
    };
    let beside = file.with_file_name("recipe.toml");
    let recipe = std::fs::read_to_string(beside).ok();
    let recipe = recipe.and_then(|text| Recipe::from_toml(&text).ok());
    recipe.map_or_else(
        || file.display().to_string(),
        |r| r.method.name().to_string(),
    )
}
