//! How a file of a run gets its name: made next to it, synced, renamed.

use super::{RunDir, name_of};
use crate::error::{Action, Error, Result};
use crate::names::BEGUN;
use crate::schema;
use crate::whole::{create_new, rename_whole};
use serde::Serialize;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

impl RunDir {
    /// Writes a value as a JSON file, keys in alphabetical order.
    ///
    /// # Errors
    /// As [`RunDir::write`]'s.
    ///
    /// # Panics
    /// If its type cannot be JSON, which is a mistake in the type.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, schema::text(value).as_bytes())
    }

    /// Writes a file next to its name, syncs it and renames it: complete or not there.
    ///
    /// # Errors
    /// If the disk is full or read-only, or another process has taken the folder over; an older file
    /// of the name is untouched then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.replace(&self.file(name), |beside| {
            let mut file = fs::File::create(beside)?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_all()
        })?;
        self.count(name, bytes);
        Ok(())
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// If that fails, or another process has taken the folder over.
    pub fn remove(&self, path: &Path) -> Result<()> {
        self.lock.check()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(Action::Remove, path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Lets `make` make and sync a file next to `path`, an empty file until then, and renames it.
    ///
    /// # Errors
    /// As [`RunDir::write`]'s.
    pub fn replace<T>(&self, path: &Path, make: impl FnOnce(&Path) -> io::Result<T>) -> Result<T> {
        let made = self.make_beside(path, make)?;
        self.put_in_place(path)?;
        Ok(made)
    }

    /// Makes a file next to `path`, the first half of [`RunDir::replace`]. One that cannot be made
    /// whole is removed.
    ///
    /// # Errors
    /// As [`RunDir::write`]'s.
    pub fn make_beside<T>(
        &self,
        path: &Path,
        make: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T> {
        self.lock.check()?;
        let beside = self.beside(path);
        // The name is this owner's alone; a link that waits there is not followed.
        let _ = fs::remove_file(&beside);
        let made = create_new(&beside).and_then(|_| make(&beside));
        made.map_err(|error| {
            // It may be what filled the disk.
            let _ = fs::remove_file(&beside);
            self.or_fenced(Error::io(Action::Write, path)(error))
        })
    }

    /// Renames what was made next to `path`, the second half of [`RunDir::replace`].
    ///
    /// # Errors
    /// As [`RunDir::write`]'s.
    pub fn put_in_place(&self, path: &Path) -> Result<()> {
        let beside = self.beside(path);
        // Again: making it may have taken long.
        if let Err(fenced) = self.lock.check() {
            let _ = fs::remove_file(beside); // it is nobody else's
            return Err(fenced);
        }
        let renamed = rename_whole(&beside, path);
        renamed.map_err(|error| self.or_fenced(Error::io(Action::Write, path)(error)))
    }

    /// Why writing failed: an owner that takes the folder over removes what is being written.
    pub(super) fn or_fenced(&self, error: Error) -> Error {
        self.lock.check().err().unwrap_or(error)
    }

    /// Where this owner makes a file, to be renamed.
    fn beside(&self, path: &Path) -> PathBuf {
        let name = name_of(path);
        path.with_file_name(format!(".{name}{BEGUN}{}", self.lock.generation()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[cfg(unix)]
    #[test]
    fn a_link_where_a_file_is_made_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(&folder.path().join("run"), "").unwrap();
        let own = folder.path().join("own");
        fs::write(&own, "dear").unwrap();
        std::os::unix::fs::symlink(&own, run.file(".x.new.1")).unwrap();
        run.write("x", b"new").unwrap();
        assert_eq!(fs::read(run.file("x")).unwrap(), b"new");
        assert_eq!(fs::read(&own).unwrap(), b"dear");
    }

    #[test]
    fn a_full_disk_is_one_clear_line_and_keeps_the_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        run.write("x", b"old").unwrap();
        let full = |beside: &Path| {
            fs::write(beside, "ne")?;
            Err::<(), _>(io::Error::from(ErrorKind::StorageFull))
        };
        let error = run.replace(&run.file("x"), full).unwrap_err().to_string();
        assert!(
            error.contains("x cannot be written: no storage space"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
        assert_eq!(fs::read(run.file("x")).unwrap(), b"old");
        assert!(!run.file(".x.new.1").exists());
    }
}
