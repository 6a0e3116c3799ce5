//! The folder a run leaves: recipe, log, checkpoints, metrics.

use crate::error::{Error, Result};
use crate::recipe::differ;
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const RECIPE: &str = "recipe.toml";
const LOG: &str = "log.jsonl";
const METRICS: &str = "metrics.json";
const LOCK: &str = ".lock";

/// A run folder in the sole use of this process, until dropped.
///
/// It holds `recipe.toml` (everything that decides the run), `log.jsonl` (what happened, one JSON
/// object a line), checkpoints, and `metrics.json`, written last: where it is, the run is finished.
/// Files appear under their names complete and synced or not at all.
///
/// ```
/// use cass_train::RunDir;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run");
/// let run = RunDir::open(&path, "epochs = 3\n")?;
/// assert!(run.metrics()?.is_none()); // not finished
/// run.log()?.write(&serde_json::json!({"event": "start"}))?;
/// run.finish(&serde_json::json!({"seconds": 1.5}))?;
/// drop(run);
/// assert!(RunDir::open(&path, "epochs = 3\n")?.metrics()?.is_some());
/// assert!(RunDir::open(&path, "epochs = 4\n").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl RunDir {
    /// Opens a folder for the run of this recipe (TOML text), and makes it where there is none.
    ///
    /// # Errors
    /// If another process uses the folder, if a run of another recipe has begun in it (naming the
    /// first field that differs), or if it cannot be written.
    pub fn open(path: &Path, recipe: &str) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io("create folder", path))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(path.into())),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &lock_path)(source)),
        }
        let run = Self {
            path: path.into(),
            _lock: lock,
        };
        let other = run.read(RECIPE)?;
        let difference = other
            .as_deref()
            .and_then(|other| differ::first(other, recipe));
        match difference {
            // Where there is no log, nothing was trained: an attempt that its input stopped.
            Some(difference) if run.file(LOG).exists() => {
                return Err(Error::OtherRecipe {
                    path: path.into(),
                    difference,
                });
            }
            None if other.is_some() => {}
            _ => run.write(RECIPE, recipe.as_bytes())?,
        }
        Ok(run)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What the finished run measured; `None` where the run is not finished.
    ///
    /// # Errors
    /// If the file is there but cannot be read or is not JSON.
    pub fn metrics(&self) -> Result<Option<Value>> {
        let Some(text) = self.read(METRICS)? else {
            return Ok(None);
        };
        let value = serde_json::from_str(&text);
        value
            .map(Some)
            .map_err(|e| Error::io("read", &self.file(METRICS))(e.into()))
    }

    /// Marks the run as finished, with what it measured.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(&self, metrics: &Value) -> Result<()> {
        self.write(METRICS, format!("{metrics:#}\n").as_bytes())
    }

    /// Writes a file beside its name, syncs it and renames it: complete or not there.
    ///
    /// # Errors
    /// If the disk is full or read-only; an older file of the name is untouched then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, beside) = (self.file(name), self.file(&format!(".{name}.new")));
        let written = File::create(&beside)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, &path))
            // The rename itself lasts once the folder is synced.
            .and_then(|()| File::open(&self.path)?.sync_all());
        written.map_err(Error::io("write", &path))
    }

    /// Starts `log.jsonl` anew.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&self) -> Result<Log> {
        let path = self.file(LOG);
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        Ok(Log { file, path })
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }
}

/// A run's log, one JSON object a line.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Appends one line, at once: a killed process has logged what it did.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn write(&mut self, event: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(event).map_err(std::io::Error::from);
        line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()))
            .map_err(Error::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "a = 1").unwrap();
        let error = RunDir::open(folder.path(), "a = 1").unwrap_err();
        assert!(matches!(error, Error::Locked(_)), "{error}");
        drop(run);
        RunDir::open(folder.path(), "a = 1").unwrap();
    }

    #[test]
    fn another_recipe_is_an_error_that_names_the_difference() {
        let folder = tempfile::tempdir().unwrap();
        let open = |recipe| RunDir::open(folder.path(), recipe);
        drop(open("a = 0").unwrap());
        open("a = 1\n[b]\nc = 'x'").unwrap().log().unwrap();
        let error = open("a = 1\n[b]\nc = 'y'").unwrap_err().to_string();
        assert!(error.contains("b.c = x, not y"), "{error}");
        // Layout is not content.
        open("b = { c = 'x' }\na = 1").unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_one_clear_line_and_keeps_the_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        std::os::unix::fs::symlink("/dev/full", run.file(LOG)).unwrap();
        let error = run.log().unwrap().write(&1).unwrap_err().to_string();
        assert!(
            error.starts_with("write ") && error.contains("log.jsonl"),
            "{error}"
        );
        assert!(
            error.contains("No space left on device") && !error.contains('\n'),
            "{error}"
        );

        run.write("x", b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", run.file(".x.new")).unwrap();
        assert!(run.write("x", b"new").is_err());
        assert_eq!(fs::read(run.file("x")).unwrap(), b"old");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = RunDir::open(Path::new("/proc/run"), "")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("create folder /proc/run: "), "{error}");
    }
}
