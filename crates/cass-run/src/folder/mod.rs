//! The folder a run leaves: recipe, log, checkpoints, metrics.

mod start;
mod writing;

pub use start::Start;

use crate::error::{Action, Error, Result};
use crate::file::read_text;
use crate::lock::RunLock;
use crate::names::{BEGUN, METRICS, PROVENANCE, RECIPE, RESUME, is_of_state};
use crate::recipe::first_difference;
use crate::sums::{self, FileSum, FileSums};
use crate::{foreign, schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A run folder in the sole use of this process, until dropped.
///
/// It holds `recipe.toml` (everything that decides the run), `log.jsonl` (what happened, one JSON
/// object a line), checkpoints, and `metrics.json`, written last: where it is, the run is finished.
/// Files appear under their names complete and synced or not at all: they are made as `.NAME.new.N`,
/// N the owner's generation. An owner removes what those before it began, so that a process that was
/// thought dead finds nothing left to rename, whenever it wakes up.
///
/// ```
/// use cass_run::RunDir;
/// # use serde_json::{Value, json};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run");
/// let run = RunDir::open(&path, "epochs = 3\n")?;
/// assert!(run.metrics::<Value>()?.is_none()); // not finished
/// run.log()?.write(&json!({"event": "start"}))?;
/// run.finish(&json!({"seconds": 1.5}))?;
/// drop(run);
/// let finished = RunDir::open(&path, "epochs = 3\n")?.metrics::<Value>()?;
/// assert_eq!(finished.unwrap()["seconds"], 1.5);
/// assert!(RunDir::open(&path, "epochs = 4\n").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: RunLock,
    /// The folders that this process made for it, the innermost first.
    made: Vec<PathBuf>,
    /// Whether anything is in it that a later attempt needs.
    begun: AtomicBool,
    /// What this process wrote, or found and took over.
    sums: Mutex<FileSums>,
}

impl RunDir {
    /// Opens a folder for the run of this recipe (TOML text), and makes it where there is none. One that
    /// is dropped before anything was logged leaves nothing behind.
    ///
    /// # Errors
    /// If another process uses the folder, if a run of another recipe has begun in it (naming the
    /// first field that differs), if it is not empty and no run began in it, or if it cannot be
    /// written.
    pub fn open(path: &Path, recipe: &str) -> Result<Self> {
        let made = missing(path);
        let claimed = (fs::create_dir_all(path).map_err(Error::io(Action::Create, path)))
            .and_then(|()| foreign::check(path, recipe))
            .and_then(|()| RunLock::claim(path));
        let lock = claimed.inspect_err(|_| remove_empty(&made))?;
        let mut run = Self {
            path: path.into(),
            lock,
            made,
            begun: AtomicBool::new(true),
            sums: Mutex::default(),
        };
        let begun = start::has_begun(path);
        run.begun = AtomicBool::new(begun);
        let resume = run.file(RESUME);
        if resume.symlink_metadata().is_ok() && !is_folder(&resume) {
            return Err(no_folder(resume));
        }
        run.remove_begun()?;
        if run.file(METRICS).exists() {
            run.clear_resume()?; // the process may have ended before it could
        }
        let other = read_text(&run.file(RECIPE))?;
        let difference = other
            .as_deref()
            .and_then(|other| first_difference(other, recipe));
        match difference {
            // Otherwise nothing was trained: a start that its input, or a person, stopped.
            Some(difference) if begun => {
                return Err(Error::OtherRecipe {
                    path: path.into(),
                    difference,
                });
            }
            None if other.is_some() => run.count(RECIPE, other.unwrap_or_default().as_bytes()),
            _ => run.write(RECIPE, recipe.as_bytes())?,
        }
        Ok(run)
    }

    /// What undoes this start, from a signal's handler too; `None` where an earlier attempt has left what this one
    /// continues from.
    pub fn start(&self) -> Option<Start> {
        (!start::has_begun(&self.path)).then(|| {
            let path = self.path.clone();
            Start::new(path, self.lock.generation(), self.made.clone())
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This process's right to write in the folder.
    pub fn lock(&self) -> &RunLock {
        &self.lock
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What the finished run measured, say [`Metrics`](crate::Metrics); `None` where the run is not
    /// finished.
    ///
    /// # Errors
    /// If the file is there but cannot be read, is of a newer schema or not what `M` is written as; or if
    /// it or another file that the run left was changed since. Files that were removed are not missed.
    pub fn metrics<M: DeserializeOwned>(&self) -> Result<Option<M>> {
        let metrics = schema::read(&self.file(METRICS))?;
        if metrics.is_some() {
            for (name, sum) in sums::read(&self.file(METRICS))? {
                let path = self.file(&name);
                if path.exists() {
                    sum.expect(&path)?;
                }
            }
        }
        Ok(metrics)
    }

    /// Files that the finished run left and that are not there any more.
    ///
    /// # Errors
    /// If `metrics.json` cannot be read.
    pub fn removed(&self) -> Result<Vec<String>> {
        let sums = sums::read(&self.file(METRICS))?.into_keys();
        Ok(sums.filter(|name| !self.file(name).exists()).collect())
    }

    /// What this process has written by [`RunDir::write`] so far, and the recipe:
    /// [`Common::files`](crate::Common::files) of a run that finishes. What a clock decides is left out.
    pub fn sums(&self) -> FileSums {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.clone()
    }

    fn count(&self, name: &str, bytes: &[u8]) {
        if name != PROVENANCE {
            let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums.insert(name.into(), FileSum::of(bytes));
        }
    }

    /// Marks the run as finished, with what it measured, sealed.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Panics
    /// As [`RunDir::write_json`].
    pub fn finish(&self, metrics: &impl Serialize) -> Result<()> {
        self.write(METRICS, schema::sealed_text(metrics).as_bytes())
    }

    /// The folder of the states that the run continues from, made where there is none.
    ///
    /// # Errors
    /// If it cannot be made, or what has its name is no folder.
    pub fn resume_folder(&self) -> Result<PathBuf> {
        let folder = self.file(RESUME);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(self.or_fenced(Error::io(Action::Create, &folder)(error)))
            }
            _ if is_folder(&folder) => Ok(folder),
            // It may have gone with the folder of the run, a moment ago.
            _ => Err(self.or_fenced(no_folder(folder))),
        }
    }

    /// Removes the states that the run would continue from, and their folder unless it holds anything
    /// else.
    ///
    /// # Errors
    /// If that fails, or another process has taken the folder over.
    pub fn clear_resume(&self) -> Result<()> {
        let folder = self.file(RESUME);
        if !is_folder(&folder) {
            return Ok(());
        }
        for path in entries(&folder)? {
            if is_of_state(&name_of(&path)) {
                self.remove(&path)?;
            }
        }
        // Not if there are files of others.
        let _ = fs::remove_dir(&folder);
        Ok(())
    }

    /// Removes what earlier owners began to write and did not finish.
    fn remove_begun(&self) -> Result<()> {
        let earlier = |name: &str| {
            let (_, generation) = name.strip_prefix('.')?.rsplit_once(BEGUN)?;
            let generation: u64 = generation.parse().ok()?;
            Some(generation < self.lock.generation())
        };
        for folder in [self.path.clone(), self.file(RESUME)] {
            if !is_folder(&folder) && folder != self.path {
                continue;
            }
            for path in entries(&folder)? {
                if earlier(&name_of(&path)) == Some(true) {
                    self.remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Marks that something is in the folder that a later attempt needs.
    pub(crate) fn keep(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.begun.load(Ordering::Relaxed) || self.lock.check().is_err() {
            return;
        }
        // A start that its input stopped: of what it wrote nothing may make the folder somebody's.
        for name in self.sums().keys() {
            let _ = fs::remove_file(self.file(name));
        }
        self.lock.forget();
        remove_empty(&self.made);
    }
}

/// Those of a folder and of the folders that it is in which are not there, the innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let above = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && folder.symlink_metadata().is_err());
    above.map(Path::to_owned).collect()
}

/// Removes folders for as long as they are empty.
fn remove_empty(folders: &[PathBuf]) {
    for folder in folders {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// Whether a path is that of a folder itself, and not of a link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|kind| kind.is_dir())
}

fn no_folder(path: PathBuf) -> Error {
    Error::Damaged {
        path,
        reason: "it is no folder: expected that of the states to continue from".into(),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error| Error::io(Action::Read, folder)(error);
    let entries = fs::read_dir(folder).map_err(wrong)?;
    entries
        .map(|entry| Ok(entry.map_err(wrong)?.path()))
        .collect()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves the log of a run that took a step.
    fn stepped(run: &RunDir) {
        let mut log = run.log().unwrap();
        log.write(&serde_json::json!({"event": "step"})).unwrap();
    }

    #[test]
    fn two_processes_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "a = 1").unwrap();
        let error = RunDir::open(folder.path(), "a = 1").unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(run);
        RunDir::open(folder.path(), "a = 1").unwrap();
    }

    #[test]
    fn another_recipe_is_an_error_that_names_the_difference() {
        let folder = tempfile::tempdir().unwrap();
        let open = |recipe| RunDir::open(folder.path(), recipe);
        drop(open("a = 0").unwrap());
        stepped(&open("a = 1\n[b]\nc = 'x'").unwrap());
        let error = open("a = 1\n[b]\nc = 'y'").unwrap_err().to_string();
        assert!(error.contains("b.c = x, not y"), "{error}");
        // Layout is not content.
        open("b = { c = 'x' }\na = 1").unwrap();
    }

    #[test]
    fn a_start_that_its_input_stopped_leaves_nothing_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let start = |recipe: &str| {
            let run = RunDir::open(&path, recipe).unwrap();
            run.write("manifest.tsv", b"images").unwrap();
        };
        start("a = 1");
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        start("a = 1");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        start("a = 2");
        // What was logged stays, and so does the recipe.
        RunDir::open(&path, "a = 3").unwrap().log().unwrap();
        assert!(path.join("recipe.toml").exists());
    }

    #[test]
    fn folders_that_were_made_for_a_start_that_failed_go_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("runs/today/cass");
        drop(RunDir::open(&deep, "a = 1").unwrap());
        assert!(!folder.path().join("runs").exists());
        fs::create_dir_all(folder.path().join("runs/other")).unwrap();
        drop(RunDir::open(&deep, "a = 1").unwrap());
        assert!(!folder.path().join("runs/today").exists());
        assert!(folder.path().join("runs/other").exists());
    }

    #[test]
    fn another_number_of_threads_is_no_other_recipe() {
        let folder = tempfile::tempdir().unwrap();
        stepped(&RunDir::open(folder.path(), "a = 1\nthreads = 1").unwrap());
        assert!(RunDir::open(folder.path(), "a = 2\nthreads = 1").is_err());
        RunDir::open(folder.path(), "a = 1\nthreads = 8").unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = RunDir::open(Path::new("/proc/run"), "")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("/proc/run cannot be created: "),
            "{error}"
        );
    }
}
