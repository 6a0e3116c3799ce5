//! What one method is: everything that decides a run but its seed.

use crate::failure::{Failure, Result};
use crate::sealed;
use cass_metrics::{Groups, MultiLabelPredictions, Predictions};
use cass_probe::fit::{ProbeMode, ProbeRecipe};
use cass_run::{Finished, Metrics, names};
use cass_train::Weights;
use std::collections::BTreeMap;
use std::path::Path;

/// Settings of a probe that decide no result, or are compared by what they stand for.
const NOT_OF_PROBE: [&str; 9] = [
    "seed",
    "threads",
    "device",
    "keep_network",
    "weights",
    "arm",
    "network",
    "data.root",
    "protocol",
];
/// Settings of a pretraining that decide no result, or are compared by what they stand for.
const NOT_OF_PRETRAINING: [&str; 5] = ["seed", "threads", "device", "data.root", "protocol"];

/// What one run measured, and what it is a run of.
pub struct Run {
    pub seed: u64,
    pub f1: f64,
    pub converged: bool,
    pub predictions: MultiLabelPredictions,
    pub groups: Option<Groups>,
    mode: ProbeMode,
    fraction: f64,
    network: String,
    /// `random`, `hub`, another repository of the Hub, the method of the pretraining that left the file, or the file.
    weights: String,
    is_start: bool,
    /// Settings by name: those of the probe, and those of the pretraining under `pretraining.`.
    settings: BTreeMap<String, String>,
}

/// Runs that differ in their seed alone.
pub struct Method {
    pub runs: Vec<Run>,
}

impl Run {
    /// Reads a finished probe.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong =
            |why: String| Failure::Wrong(format!("{} cannot be compared: {why}", path.display()));
        let finished = Finished::open(path)?;
        sealed::note(path);
        let Metrics::Probe(metrics) = &finished.metrics else {
            return Err(wrong("it is a pretraining, expected a probe".into()));
        };
        let recipe = ProbeRecipe::from_toml(&finished.recipe)
            .map_err(|e| wrong(format!("its recipe.toml is not of a probe ({e})")))?;
        let file = finished.intact(names::PREDICTIONS)?;
        let predictions = if recipe.multi_label {
            MultiLabelPredictions::read(&file, None)?
        } else {
            (&Predictions::read(&file)?).into()
        };
        let groups = finished.file(names::GROUPS);
        let groups = groups
            .is_file()
            .then(|| Ok::<_, Failure>(Groups::read(&finished.intact(names::GROUPS)?)?))
            .transpose()?;
        let mut settings = settings(&recipe.to_toml(), "", &NOT_OF_PROBE);
        let pretraining = pretraining(&recipe.weights)?;
        let method = pretraining.as_deref().and_then(method_name);
        if let Some(text) = &pretraining {
            settings.extend(self::settings(text, "pretraining.", &NOT_OF_PRETRAINING));
        }
        let weights = match recipe.weights.without_commit(&recipe.network) {
            Weights::Random => "random".into(),
            Weights::Hub => "hub".into(),
            Weights::HubRepo(id) => format!("hub:{}", id.repo()),
            Weights::File(file) => method.unwrap_or_else(|| file.display().to_string()),
        };
        // What earlier versions wrote says nothing of it: the last epoch was the best or it was not.
        let last = metrics
            .readings
            .best_epoch
            .map(|best| best + 1 == recipe.epochs);
        Ok(Self {
            seed: recipe.seed,
            f1: metrics
                .test
                .f1_macro
                .ok_or_else(|| wrong("its metrics.json has no test.f1_macro".into()))?,
            converged: metrics.converged.unwrap_or(last != Some(true)),
            predictions,
            groups,
            mode: recipe.mode,
            fraction: recipe.data.fraction,
            network: recipe.network,
            is_start: !matches!(recipe.weights, Weights::File(_)),
            weights,
            settings,
        })
    }

    /// What it is a run of, but for the seed.
    pub fn identity(&self) -> (&str, &str, &BTreeMap<String, String>) {
        (&self.weights, &self.network, &self.settings)
    }

    fn name(&self) -> String {
        let (mode, percent) = (self.mode.name(), self.fraction * 100.0);
        format!(
            "{} {}, {mode}, {percent} % labels",
            self.weights, self.network
        )
    }
}

impl Method {
    fn first(&self) -> &Run {
        &self.runs[0] // a method is made of a run
    }

    /// Its weights, network, mode and share of labels, and what else tells it from those of `all` that have the same.
    pub fn name(&self, all: &[Self]) -> String {
        let name = self.first().name();
        let alike: Vec<&Self> = all.iter().filter(|m| m.first().name() == name).collect();
        let own = &self.first().settings;
        let parts = |(key, value): &(&String, &String)| {
            alike
                .iter()
                .any(|m| m.first().settings.get(*key) != Some(value))
        };
        let parting: Vec<String> = (own.iter().filter(parts))
            .map(|(key, value)| format!("{} {value}", key.trim_start_matches("pretraining.")))
            .collect();
        if alike.len() < 2 || parting.is_empty() {
            return name;
        }
        format!("{name} [{}]", parting.join(", "))
    }

    /// Whether its weights are what a pretraining starts from.
    pub fn is_start(&self) -> bool {
        self.first().is_start
    }

    /// Whether it probes the same network in the same way as `other`, whatever the weights.
    pub fn probes_as(&self, other: &Self) -> bool {
        let of = |m: &Self| {
            let settings = m.first().settings.iter();
            let probe = settings.filter(|(key, _)| !key.starts_with("pretraining."));
            let probe: Vec<_> = probe.map(|(k, v)| (k.clone(), v.clone())).collect();
            (m.first().network.clone(), probe)
        };
        of(self) == of(other)
    }

    /// Whether it probes in the same mode with the same share of labels as `other`.
    pub fn is_asked_as(&self, other: &Self) -> bool {
        let of = |m: &Self| (m.first().mode, m.first().fraction);
        of(self) == of(other)
    }

    /// The settings in which this differs from `other`, as `name this / other`; of a start and a pretraining not what
    /// the pretraining alone has.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let [a, b] = [self, other].map(|m| &m.first().settings);
        let mut different = Vec::new();
        if self.first().network != other.first().network {
            let (a, b) = (&self.first().network, &other.first().network);
            different.push(format!("network {a} / {b}"));
        }
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let [x, y] = [a, b].map(|settings| settings.get(key));
            let alone = key.starts_with("pretraining.") && self.is_start() != other.is_start();
            if x != y && !alone {
                let [x, y] = [x, y].map(|value| value.map_or("none", String::as_str));
                let key = key.trim_start_matches("pretraining.");
                different.push(format!("{key} {x} / {y}"));
            }
        }
        different.dedup();
        different
    }

    pub fn mean_and_std(&self) -> (f64, Option<f64>) {
        let n = self.runs.len() as f64;
        let mean = self.runs.iter().map(|r| r.f1).sum::<f64>() / n;
        let squares: f64 = self.runs.iter().map(|r| (r.f1 - mean).powi(2)).sum();
        (mean, (n > 1.0).then(|| (squares / (n - 1.0)).sqrt()))
    }
}

/// The recipe of the pretraining that left these weights, if there is one.
fn pretraining(weights: &Weights) -> Result<Option<String>> {
    let Weights::File(file) = weights else {
        return Ok(None);
    };
    let recipe = file.with_file_name(names::RECIPE);
    cass_run::expect_intact(&recipe)?;
    Ok(cass_run::read_text(&recipe)?)
}

/// The name of a pretraining's method, whichever version wrote its recipe.
fn method_name(recipe: &str) -> Option<String> {
    cass_run::fields(recipe).remove("method.name")
}

/// Values by dotted name, without those whose name is in `without`; nothing of a text that is no TOML.
fn settings(text: &str, prefix: &str, without: &[&str]) -> BTreeMap<String, String> {
    let mut all = cass_run::fields(text);
    all.retain(|key, _| !without.contains(&key.as_str()) && !key.starts_with("weights."));
    all.into_iter()
        .map(|(key, value)| (format!("{prefix}{key}"), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_by_dotted_names() {
        let text =
            "seed = 3\nsize = 64\nmethod = \"cass\"\n[data]\nroot = \"x\"\nname = \"folder\"\n";
        let got = settings(text, "pretraining.", &NOT_OF_PRETRAINING);
        let want = [
            ("data.name", "folder"),
            ("method.name", "cass"),
            ("size", "64"),
        ];
        let want = want.map(|(key, value)| (format!("pretraining.{key}"), value.to_string()));
        assert_eq!(got, want.into());
        assert_eq!(method_name(text).as_deref(), Some("cass"));
        assert_eq!(
            method_name("[method]\nname = \"dino\"\n").as_deref(),
            Some("dino")
        );
    }
}
