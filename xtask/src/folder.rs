//! A run folder: what `xtask` notes before a run (`run.json`), what `cass` leaves in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::data::Facts;
use crate::machine::Provenance;
use crate::plan::{Downstream, Protocol, Run};
use crate::profile::Profile;
use crate::seal::Seal;

/// `run.json`: all a report needs to know of a run beside its metrics.
#[derive(Clone, Serialize, Deserialize)]
pub struct Info {
    /// The tables that were asked for when it was started.
    pub tables: Vec<String>,
    pub profile_name: String,
    pub profile: Profile,
    pub protocol: Protocol,
    /// What the job showed.
    pub downstream: Vec<Downstream>,
    /// The images of the run's data set.
    pub images: Facts,
    pub run: Run,
    pub provenance: Provenance,
    /// Seconds since 1970.
    pub started: u64,
}

/// `metrics.json`: written last by `cass`, so its presence means that the run is finished.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Metrics {
    Pretrain(PretrainMetrics),
    Probe(ProbeMetrics),
}

#[derive(Clone, Deserialize)]
pub struct PretrainMetrics {
    pub epochs: Vec<PretrainEpoch>,
    /// By arm: `cnn` and `vit`, or `net`.
    pub collapse: BTreeMap<String, BeforeAfter>,
    #[serde(flatten)]
    pub common: Common,
}

#[derive(Clone, Deserialize)]
pub struct ProbeMetrics {
    /// Scores on the test split; `null` where a score is not a number.
    pub test: Scores,
    /// Over the test set's features; frozen features only.
    pub collapse: Option<Reading>,
    #[serde(flatten)]
    pub common: Common,
}

#[derive(Clone, Deserialize)]
pub struct Common {
    pub seconds: f64,
    #[serde(default)]
    pub manifest: Option<String>,
    /// Where the initial weights came from, with their hash: a text, or one an arm.
    #[serde(default)]
    pub weights: serde_json::Value,
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    #[serde(default)]
    pub deviations: Vec<String>,
    #[serde(default)]
    pub chosen: Vec<String>,
}

impl Common {
    /// Weights that were read from the Hub, with their hash.
    pub fn origins(&self) -> Vec<String> {
        let of = |value: &serde_json::Value| {
            let text = |key: &str| value[key].as_str();
            let (repo, hash) = (text("repo")?, text("sha256")?);
            let revision = text("revision").unwrap_or("unknown revision");
            Some(format!("{repo} @ {revision}, sha256 {hash}"))
        };
        let arms = self
            .weights
            .as_object()
            .into_iter()
            .flat_map(|arms| arms.values());
        std::iter::once(&self.weights)
            .chain(arms)
            .filter_map(of)
            .collect()
    }
}

#[derive(Clone, Deserialize, Serialize)]
pub struct PretrainEpoch {
    pub epoch: u32,
    pub loss: Option<f64>,
}

#[derive(Clone, Deserialize)]
pub struct Scores {
    pub f1_macro: Option<f64>,
    pub f1_micro: Option<f64>,
    pub f1_weighted: Option<f64>,
    pub accuracy: Option<f64>,
    pub balanced_accuracy: Option<f64>,
    /// As the notebooks count it; under their protocol alone.
    pub f1_notebook: Option<f64>,
    /// A row a true class, a column a predicted class; not of several labels an image.
    #[serde(default, deserialize_with = "matrix")]
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// A matrix; of several labels an image there is one a class, which no report shows.
fn matrix<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<Vec<u64>>>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl Scores {
    /// Every score by its name in `metrics.json`.
    pub const NAMES: [&'static str; 6] = [
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "accuracy",
        "balanced_accuracy",
        "f1_notebook",
    ];

    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "f1_macro" => self.f1_macro,
            "f1_micro" => self.f1_micro,
            "f1_weighted" => self.f1_weighted,
            "accuracy" => self.accuracy,
            "balanced_accuracy" => self.balanced_accuracy,
            "f1_notebook" => self.f1_notebook,
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Skipped {
    pub file: String,
    pub reason: String,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct BeforeAfter {
    pub before: Reading,
    pub after: Reading,
}

/// Whether features still tell images apart.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Reading {
    /// Mean cosine similarity of two images' features; 1: all point the same way.
    pub mean_cosine: Option<f64>,
    /// Exponential of the entropy of the features' singular values; 1: all lie on a line.
    pub effective_rank: Option<f64>,
}

impl Reading {
    /// Features on fewer dimensions than this are called collapsed,
    pub const LEAST_RANK: f64 = 1.5;
    /// and so are features more alike than this.
    pub const MOST_COSINE: f64 = 0.99;

    /// A reading that is not a number counts as collapsed: features without spread give one.
    pub fn collapsed(self) -> bool {
        !(self
            .effective_rank
            .is_some_and(|rank| rank >= Self::LEAST_RANK)
            && self
                .mean_cosine
                .is_some_and(|cosine| cosine <= Self::MOST_COSINE))
    }
}

impl Metrics {
    pub fn common(&self) -> &Common {
        match self {
            Metrics::Pretrain(metrics) => &metrics.common,
            Metrics::Probe(metrics) => &metrics.common,
        }
    }

    /// The line a finished run is reported with.
    pub fn summary(&self) -> String {
        match self {
            Metrics::Pretrain(metrics) => {
                let loss = |epoch: Option<&PretrainEpoch>| {
                    epoch
                        .and_then(|epoch| epoch.loss)
                        .map_or("?".to_owned(), |loss| format!("{loss:.2e}"))
                };
                let collapsed: Vec<_> = metrics
                    .collapse
                    .iter()
                    .filter(|(_, reading)| reading.after.collapsed())
                    .map(|(arm, _)| arm.as_str())
                    .collect();
                let note = match collapsed.as_slice() {
                    [] => String::new(),
                    arms => format!(" · COLLAPSED: {}", arms.join(", ")),
                };
                let (first, last) = (metrics.epochs.first(), metrics.epochs.last());
                format!("loss {} → {}{note}", loss(first), loss(last))
            }
            Metrics::Probe(metrics) => match metrics.test.f1_macro {
                Some(f1) => format!("macro F1 {f1:.4}"),
                None => "macro F1 is not a number".to_owned(),
            },
        }
    }
}

/// How a run stands in its folder.
pub enum State {
    Absent,
    /// Begun, to go on.
    Unfinished(Box<Info>),
    Finished(Box<Metrics>),
    /// To be done again, and why.
    Damaged(String),
}

/// A folder as found.
pub struct Folder {
    pub path: PathBuf,
    pub info: Info,
    /// Or why there are none.
    pub metrics: Result<Metrics, String>,
}

impl Folder {
    /// Reads a folder; `None` if `xtask` never started a run there.
    pub fn read(path: &Path) -> Result<Option<Folder>> {
        let Some(info) = read_json::<Info>(&path.join("run.json"))? else {
            return Ok(None);
        };
        let metrics = match read_json(&path.join("metrics.json")) {
            Ok(Some(metrics)) => Ok(metrics),
            Ok(None) => Err(format!("not finished: {}", Folder::last_words(path))),
            Err(damage) => Err(format!("{damage:#}")),
        };
        Ok(Some(Folder {
            path: path.to_owned(),
            info,
            metrics,
        }))
    }

    /// How exactly that run stands in its folder. Seals what is finished and was not looked at before.
    pub fn state(path: &Path, run: &Run) -> State {
        let folder = match Folder::read(path) {
            Ok(Some(folder)) => folder,
            Ok(None) => return State::Absent,
            Err(error) => return State::Damaged(format!("{error:#}")),
        };
        if !folder.info.run.is(run) {
            return State::Damaged("run.json is of another run".to_owned());
        }
        let Ok(metrics) = folder.metrics else {
            return match path.join("metrics.json").exists() || Seal::exists(path) {
                true => State::Damaged("metrics.json cannot be read".to_owned()),
                false => State::Unfinished(Box::new(folder.info)),
            };
        };
        let from = run
            .needs
            .as_ref()
            .and_then(|needs| Some(path.parent()?.join(needs)));
        if let Some(what) = Seal::broken(path, from.as_deref()) {
            return State::Damaged(what);
        }
        if !Seal::exists(path) {
            // A folder that may only be read is looked at again the next time.
            let _ = Seal::put(path, from.as_deref());
        }
        State::Finished(Box::new(metrics))
    }

    /// The metrics of exactly that run, if it is finished. Damaged folders count as unfinished.
    pub fn finished(path: &Path, run: &Run) -> Option<Metrics> {
        match Folder::state(path, run) {
            State::Finished(metrics) => Some(*metrics),
            _ => None,
        }
    }

    /// Every run folder of `dirs`, each the output of a job, its `runs`, or one run folder. One that was changed
    /// since it was sealed has no metrics.
    pub fn all(dirs: &[PathBuf]) -> Result<Vec<Folder>> {
        let mut folders = Vec::new();
        for dir in dirs {
            let before = folders.len();
            let runs = dir.join("runs");
            if dir.join("run.json").is_file() {
                folders.extend(Folder::read(dir)?);
            } else {
                let inside = if runs.is_dir() { &runs } else { dir };
                let failed = || format!("failed to read folder {}", inside.display());
                let mut paths = Vec::new();
                for entry in fs::read_dir(inside).with_context(failed)? {
                    paths.push(entry.with_context(failed)?.path());
                }
                paths.sort();
                for path in paths {
                    folders.extend(Folder::read(&path)?);
                }
            }
            if folders.len() == before {
                bail!(
                    "failed to find a run folder in {}: expected runs/<name>/run.json",
                    dir.display()
                );
            }
        }
        for folder in &mut folders {
            let needs = folder.info.run.needs.as_ref();
            let from = needs.and_then(|needs| Some(folder.path.parent()?.join(needs)));
            if let Some(what) = Seal::broken(&folder.path, from.as_deref())
                && folder.metrics.is_ok()
            {
                folder.metrics = Err(format!("its folder was changed since it finished: {what}"));
            }
        }
        Ok(folders)
    }

    /// The end of what a run wrote on standard error.
    pub fn log_tail(path: &Path) -> Vec<String> {
        const LINES: usize = 12;
        let text = fs::read(path.join("stderr.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let tail = &lines[lines.len().saturating_sub(LINES)..];
        tail.iter()
            .map(|line| line.chars().take(400).collect())
            .collect()
    }

    /// Why a run without metrics has none: the last line it wrote on standard error.
    pub fn last_words(path: &Path) -> String {
        let text = fs::read(path.join("stderr.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(line) => line.strip_prefix("error: ").unwrap_or(line).to_owned(),
            None => "it wrote no error".to_owned(),
        }
    }
}

pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("failed to read {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

/// Writes a whole file or none: beside its place, then renamed onto it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_labels_an_image_have_scores_and_no_matrix() {
        let read = |confusion: &str| {
            let text = format!("{{\"f1_macro\":0.5,\"confusion\":{confusion}}}");
            serde_json::from_str::<Scores>(&text).unwrap()
        };
        assert_eq!(
            read("[[3,1],[0,4]]").confusion,
            Some(vec![vec![3, 1], vec![0, 4]])
        );
        let several = read("[[[0,13],[0,7]],[[11,0],[9,0]]]");
        assert_eq!((several.f1_macro, several.confusion), (Some(0.5), None));
    }

    #[test]
    fn collapse_is_a_named_threshold_and_nan_counts() {
        let reading = |mean_cosine, effective_rank| Reading {
            mean_cosine,
            effective_rank,
        };
        assert!(!reading(Some(0.6), Some(8.0)).collapsed());
        assert!(reading(Some(0.995), Some(8.0)).collapsed());
        assert!(reading(Some(0.6), Some(1.2)).collapsed());
        assert!(reading(None, Some(8.0)).collapsed());
    }
}
