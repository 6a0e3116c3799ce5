//! The folder a run leaves: recipe, log, checkpoints, metrics.

mod appended;
mod lock;

pub(crate) use appended::Appended;
pub use appended::Log;
pub use lock::{Owner, RunLock};

use crate::error::{Error, Result};
use crate::recipe::differ;
use cass_models::Model;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const RECIPE: &str = "recipe.toml";
const LOG: &str = "log.jsonl";
const METRICS: &str = "metrics.json";
/// In the name of a file that is being made, before its owner's generation.
const BEGUN: &str = ".new.";

/// A run folder in the sole use of this process, until dropped.
///
/// It holds `recipe.toml` (everything that decides the run), `log.jsonl` (what happened, one JSON
/// object a line), checkpoints, and `metrics.json`, written last: where it is, the run is finished.
/// Files appear under their names complete and synced or not at all: they are made as `.NAME.new.N`,
/// N the owner's generation. Whoever takes the folder over removes what those before it began, so
/// that a process that was thought dead finds nothing left to rename, whenever it wakes up.
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
    lock: RunLock,
}

impl RunDir {
    /// Opens a folder for the run of this recipe (TOML text), and makes it where there is none.
    ///
    /// # Errors
    /// If another process uses the folder, if a run of another recipe has begun in it (naming the
    /// first field that differs), or if it cannot be written.
    pub fn open(path: &Path, recipe: &str) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io("create folder", path))?;
        let run = Self {
            path: path.into(),
            lock: RunLock::claim(path)?,
        };
        run.remove_begun()?;
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

    /// This process's right to write in it.
    pub fn lock(&self) -> &RunLock {
        &self.lock
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
    /// If the disk is full or read-only, or another process has taken the folder over; an older file
    /// of the name is untouched then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.replace(&self.file(name), |beside| {
            let mut file = File::create(beside)?;
            file.write_all(bytes)?;
            file.sync_all()
        })
    }

    /// Saves a network and its architecture as a safetensors file, complete or not at all.
    ///
    /// # Errors
    /// As [`RunDir::write`]'s.
    pub fn save(&self, name: &str, model: &Model, metadata: &[(&str, String)]) -> Result<()> {
        self.write(name, &model.to_safetensors(metadata)?)
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// If that fails, or another process has taken the folder over.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        self.lock.check()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Lets `make` make and sync a file beside `path`, and renames it.
    pub(crate) fn replace<T>(
        &self,
        path: &Path,
        make: impl FnOnce(&Path) -> std::io::Result<T>,
    ) -> Result<T> {
        let made = self.make_beside(path, make)?;
        self.put_in_place(path)?;
        Ok(made)
    }

    /// The first half of [`RunDir::replace`]. A file that cannot be made whole is removed.
    pub(crate) fn make_beside<T>(
        &self,
        path: &Path,
        make: impl FnOnce(&Path) -> std::io::Result<T>,
    ) -> Result<T> {
        self.lock.check()?;
        let beside = self.beside(path);
        make(&beside).map_err(|error| {
            // It may be what filled the disk.
            let _ = fs::remove_file(&beside);
            self.or_fenced(Error::io("write", path)(error))
        })
    }

    /// The second half: renames what was made beside `path`.
    pub(crate) fn put_in_place(&self, path: &Path) -> Result<()> {
        let beside = self.beside(path);
        // Again: making it may have taken long.
        if let Err(fenced) = self.lock.check() {
            let _ = fs::remove_file(beside); // it is nobody else's
            return Err(fenced);
        }
        let folder = path.parent().unwrap_or(&self.path);
        let renamed = fs::rename(beside, path)
            // The rename itself lasts once the folder is synced.
            .and_then(|()| File::open(folder)?.sync_all());
        renamed.map_err(|error| self.or_fenced(Error::io("write", path)(error)))
    }

    /// Why writing failed: whoever takes the folder over removes what is being written.
    fn or_fenced(&self, error: Error) -> Error {
        self.lock.check().err().unwrap_or(error)
    }

    /// Where this owner makes a file, to be renamed.
    fn beside(&self, path: &Path) -> PathBuf {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}{BEGUN}{}", self.lock.generation()))
    }

    /// Removes what earlier owners began to write and did not finish.
    fn remove_begun(&self) -> Result<()> {
        let earlier = |name: &str| {
            let (_, generation) = name.strip_prefix('.')?.rsplit_once(BEGUN)?;
            let generation: u64 = generation.parse().ok()?;
            Some(generation < self.lock.generation())
        };
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
                let path = entry.map_err(Error::io("read", &folder))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if earlier(&name) == Some(true) {
                    self.remove(&path)?;
                } else if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// Starts `log.jsonl` anew.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&self) -> Result<Log> {
        self.log_from(0)
    }

    /// Goes on with `log.jsonl` after its first `bytes` bytes; what stood behind them is gone.
    ///
    /// # Errors
    /// If it is shorter, or cannot be written.
    pub fn log_from(&self, bytes: u64) -> Result<Log> {
        Ok(Log(Appended::open(self, LOG, bytes)?))
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
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
        assert!(matches!(error, Error::Locked { .. }), "{error}");
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

    #[test]
    fn what_an_earlier_owner_began_never_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let twin = RunDir::open(folder.path(), "").unwrap();
        fs::create_dir(twin.file("resume")).unwrap();
        twin.write("x", b"first").unwrap();
        // It is paused between making files and renaming them, and taken over from elsewhere, where
        // its lock is not seen.
        for name in ["x", "resume/y"] {
            twin.make_beside(&twin.file(name), |beside| fs::write(beside, "stale"))
                .unwrap();
        }
        fs::remove_file(twin.file(".lock")).unwrap();
        let next = RunDir::open(folder.path(), "").unwrap();
        next.write("x", b"second").unwrap();
        next.make_beside(&next.file("resume/y"), |beside| fs::write(beside, "next"))
            .unwrap();

        let path = twin.file("x");
        let error = fs::rename(twin.beside(&path), &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "past the last check");
        for name in ["x", "resume/y"] {
            let error = twin.put_in_place(&twin.file(name)).unwrap_err();
            assert!(matches!(error, Error::Fenced { .. }), "{error}");
        }
        assert!(twin.remove(&path).is_err());
        next.put_in_place(&next.file("resume/y")).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"second");
        assert_eq!(fs::read(next.file("resume/y")).unwrap(), b"next");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_one_clear_line_and_keeps_the_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        std::os::unix::fs::symlink("/dev/full", run.file(".log.jsonl.new.1")).unwrap();
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
        std::os::unix::fs::symlink("/dev/full", run.file(".x.new.1")).unwrap();
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
