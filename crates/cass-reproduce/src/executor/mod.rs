//! What every executor shares: how a run is started, where, and when it counts as finished.

mod local;
mod progress;
mod slurm;

pub use local::Local;
pub use slurm::{Cluster, Slurm, cancel_job};

use crate::images::Data;
use crate::machine::Device;
use crate::plan::{Plan, Run};
use crate::store::{self, Folder, Info, State};
use crate::table::DataSet;
use anyhow::{Context, Result, bail, ensure};
use cass_run::FolderLock;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Brings a plan to its end. See [`plan`] for what it may rely on.
pub trait Executor {
    /// Runs what is not finished. A failed run is reported, and stops only what needs it.
    fn execute(&self, site: &Site, plan: &Plan) -> Result<Outcome>;
}

/// How a job ended.
#[derive(Default)]
pub struct Outcome {
    /// Runs without metrics, and why.
    pub failures: Vec<(Run, String)>,
    /// Ctrl-C was pressed.
    pub interrupted: bool,
    /// Whether the job runs by itself from here, and nothing is known of it yet.
    pub detached: bool,
}

/// Where and with what the runs of a job are started.
pub struct Site<'a> {
    /// How a user calls this program, as `cargo xtask`.
    pub caller: &'a str,
    pub cass: &'a Path,
    /// Holds `plan.json`, `runs/` and later the report.
    pub out: &'a Path,
    pub data: &'a BTreeMap<DataSet, Data>,
    pub skip_bad: bool,
    /// Noted in every run folder, with the run filled in; says device and threads.
    pub info: Info,
}

impl Site<'_> {
    /// The same, where runs compute on another device.
    fn on(&self, device: &Device) -> Site<'_> {
        let mut info = self.info.clone();
        info.provenance.device.clone_from(&device.0);
        Site { info, ..*self }
    }

    /// The program and all its arguments, everything absolute.
    pub fn command(&self, run: &Run) -> Vec<String> {
        let text = |path: &Path| absolute(path).display().to_string();
        let mut command = vec![text(self.cass)];
        command.extend(run.recipe.iter().cloned());
        if let Some(needs) = &run.needs {
            command.extend(["--run".to_owned(), text(&self.folder(needs))]);
        }
        let provenance = &self.info.provenance;
        if let Some(data) = self.data.get(&run.data) {
            command.extend(["--data-root".to_owned(), text(&data.root)]);
        }
        command.extend([
            "--device".to_owned(),
            provenance.device.clone(),
            "--threads".to_owned(),
            provenance.threads.to_string(),
        ]);
        if self.skip_bad {
            command.push("--skip-bad".to_owned());
        }
        command.extend(["--out".to_owned(), text(&self.folder(&run.name))]);
        command
    }

    /// Asks `cass` whether it takes the settings that a table or the command line gives pretrainings, before
    /// anything is run.
    pub fn check_settings(&self, plan: &Plan) -> Result<()> {
        let mut asked = BTreeSet::new();
        for run in &plan.runs {
            let sets = run.recipe.iter().any(|word| word == "--set");
            let mut recipe = run.recipe.clone();
            // What differs between seeds is no setting of a table's.
            if let Some(seed) = recipe.iter().position(|word| word == "--seed") {
                recipe.truncate(seed);
            }
            if !sets || !asked.insert(recipe) {
                continue;
            }
            let words = self.command(run);
            let output = Command::new(&words[0])
                .args(&words[1..])
                .arg("--dry-run")
                .output()
                .with_context(|| format!("{} cannot be started", words[0]))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said
                    .lines()
                    .rev()
                    .find_map(|line| line.strip_prefix("error: "));
                let name = run.label.clone().unwrap_or_else(|| run.method.to_string());
                bail!(
                    "the settings of {name} cannot be used: {}",
                    said.unwrap_or("`cass pretrain --dry-run` refuses them")
                );
            }
        }
        Ok(())
    }

    /// A run's folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        store::folder(self.out, name)
    }

    /// Makes a run's folder ready for its command: `run.json` is in it, and what an earlier attempt at this very
    /// run left, for `cass` to continue from. What another run left, or was damaged, is removed.
    pub fn open(&self, run: &Run) -> Result<PathBuf> {
        let path = self.folder(&run.name);
        let continues = match Folder::state(&path, run) {
            // `cass` continues on the kind of device that it started on; the number of threads changes no result.
            State::Unfinished(info) => {
                info.provenance.kind() == self.info.provenance.kind()
                    && self
                        .data
                        .get(&run.data)
                        .is_none_or(|data| data.facts == info.images)
            }
            _ => false,
        };
        if path.exists() && !continues {
            ensure!(
                is_of_a_run(&path)?,
                "{} is not a run's: it is not empty, and neither run.json nor recipe.toml is in it; move it away, or \
                 name another --out",
                path.display()
            );
            ensure!(
                !cass_run::is_in_use(&path),
                "{} cannot be cleared: another process is running in it",
                path.display()
            );
            fs::remove_dir_all(&path)
                .with_context(|| format!("{} cannot be cleared", path.display()))?;
        }
        fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be created", path.display()))?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let info = Info {
            images: match self.data.get(&run.data) {
                Some(data) => data.facts.clone(),
                None => self.info.images.clone(),
            },
            run: run.clone(),
            started: since_1970.map_or(0, |since| since.as_secs()),
            ..self.info.clone()
        };
        store::write(&path.join("run.json"), &serde_json::to_vec_pretty(&info)?)?;
        Ok(path)
    }

    /// How a run stands.
    pub fn state(&self, run: &Run) -> State {
        Folder::state(&self.folder(&run.name), run)
    }

    /// As [`claim`].
    pub fn claim(&self) -> Result<FolderLock> {
        claim(self.out)
    }

    /// Makes sure that the out folder can be written to before anything costs time, and leaves the plan there.
    pub fn prepare(&self, plan: &Plan) -> Result<()> {
        let out = self.out;
        let probe = out.join("runs/.writable");
        store::write(&probe, b"cass")?;
        fs::remove_file(&probe)
            .with_context(|| format!("{} cannot be written in", out.display()))?;
        store::write_plan(out, plan, |run| self.command(run))
    }
}

/// Makes an out folder, and makes sure that no other job works in it for as long as what is returned lives.
pub fn claim(out: &Path) -> Result<FolderLock> {
    fs::create_dir_all(out.join("runs"))
        .with_context(|| format!("{} cannot be created", out.display()))?;
    Ok(FolderLock::claim(out, ".job.lock", "reproduce")?)
}

/// Whether a folder may be emptied for a run: one began in it, or there is nothing in it.
fn is_of_a_run(path: &Path) -> Result<bool> {
    let began = ["run.json", "recipe.toml"];
    if began.iter().any(|name| path.join(name).is_file()) {
        return Ok(true);
    }
    let failed = || format!("{} cannot be read", path.display());
    Ok(fs::read_dir(path).with_context(failed)?.next().is_none())
}

/// Runs by name.
fn index(runs: &[Run]) -> BTreeMap<&str, usize> {
    runs.iter()
        .enumerate()
        .map(|(index, run)| (run.name.as_str(), index))
        .collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_left_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let is_ours = || is_of_a_run(folder.path()).unwrap();
        assert!(is_ours(), "an empty folder");
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        assert!(!is_ours());
        fs::write(folder.path().join("run.json"), "{}").unwrap();
        assert!(is_ours());
    }
}
