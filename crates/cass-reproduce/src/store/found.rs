//! What is found in run folders, whatever filled them.

use super::intact::changed;
use super::log::last_words;
use super::noted::Info;
use crate::plan::Run;
use anyhow::{Context, Result, bail};
use cass_run::{Metrics, read_json};
use std::fs;
use std::path::{Path, PathBuf};

/// How a run stands in its folder.
pub enum State {
    Absent,
    /// Begun, to be continued.
    Unfinished(Box<Info>),
    Finished(Box<Metrics>),
    /// Damaged, so that it is done again: and why.
    Damaged(String),
}

/// A folder as found.
pub struct Folder {
    pub path: PathBuf,
    pub info: Info,
    /// What the run measured, or why there is nothing.
    pub metrics: Result<Metrics, String>,
}

impl Folder {
    /// Reads a folder; `None` if no run was ever started there.
    pub fn read(path: &Path) -> Result<Option<Folder>> {
        let Some(info) = read_json::<Info>(&path.join("run.json"))? else {
            return Ok(None);
        };
        let metrics = match Metrics::read(path) {
            Ok(Some(metrics)) => Ok(metrics),
            Ok(None) => Err(format!("not finished: {}", last_words(path))),
            Err(damage) => Err(damage.to_string()),
        };
        Ok(Some(Folder {
            path: path.to_owned(),
            info,
            metrics,
        }))
    }

    /// How exactly that run stands in its folder.
    pub fn state(path: &Path, run: &Run) -> State {
        let folder = match Folder::read(path) {
            Ok(Some(folder)) => folder,
            Ok(None) => return State::Absent,
            Err(error) => return State::Damaged(format!("{error:#}")),
        };
        if !folder.info.run.is(run) {
            return State::Damaged("run.json is of another run".to_owned());
        }
        let metrics = match folder.metrics {
            Ok(metrics) => metrics,
            Err(reason) if path.join("metrics.json").exists() => {
                return State::Damaged(reason);
            }
            Err(_) => return State::Unfinished(Box::new(folder.info)),
        };
        match changed(path, &metrics, needed(path, run).as_deref()) {
            Some(what) => State::Damaged(what),
            None => State::Finished(Box::new(metrics)),
        }
    }

    /// The metrics of exactly that run, if it is finished. Damaged folders count as unfinished.
    pub fn finished(path: &Path, run: &Run) -> Option<Metrics> {
        match Folder::state(path, run) {
            State::Finished(metrics) => Some(*metrics),
            _ => None,
        }
    }

    /// Every run folder of `dirs`, each the output of a job, its `runs`, or one run folder. One that was changed
    /// since it finished has no metrics.
    pub fn all(dirs: &[PathBuf]) -> Result<Vec<Folder>> {
        let mut folders = Vec::new();
        for dir in dirs {
            let before = folders.len();
            let runs = dir.join("runs");
            if dir.join("run.json").is_file() {
                folders.extend(Folder::read(dir)?);
            } else {
                let inside = if runs.is_dir() { &runs } else { dir };
                let failed = || format!("{} cannot be read", inside.display());
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
                    "there is no run folder in {}: expected runs/<name>/run.json",
                    dir.display()
                );
            }
        }
        for folder in &mut folders {
            let from = needed(&folder.path, &folder.info.run);
            let metrics = folder.metrics.as_ref().ok();
            if let Some(what) = metrics.and_then(|it| changed(&folder.path, it, from.as_deref())) {
                folder.metrics = Err(format!("its folder was changed since it finished: {what}"));
            }
        }
        Ok(folders)
    }
}

/// The folder of the run that a run starts from.
fn needed(path: &Path, run: &Run) -> Option<PathBuf> {
    Some(path.parent()?.join(run.needs.as_ref()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_run::BeforeAfter;
    use cass_testing::runs::{HEALTHY, leave, pretrained};

    #[test]
    fn a_run_whose_features_are_not_finite_is_finished_and_collapsed() {
        let folder = tempfile::tempdir().unwrap();
        let mut lost = pretrained("cass", 1, 0.5);
        lost.epochs[0].loss = f64::NAN;
        lost.collapse = [(
            "cnn".into(),
            BeforeAfter {
                before: Some(HEALTHY),
                after: None,
            },
        )]
        .into();
        leave(folder.path(), "", Metrics::Pretrain(lost));
        let metrics = Metrics::read(folder.path()).unwrap().unwrap();
        assert_eq!(
            super::super::summary(&metrics),
            "loss ? → ? · COLLAPSED: cnn"
        );
    }
}
