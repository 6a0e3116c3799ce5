//! Files that grow while a run goes on.

use super::RunDir;
use crate::error::{Error, Result};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// A file that is only appended to, and that a resumed run goes on with from where it stood.
///
/// What is kept of an earlier attempt is copied into a new file: a process that was thought dead
/// and still appends does so to a file that nobody sees any more.
#[derive(Debug)]
pub(crate) struct Appended {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Appended {
    /// Goes on after the first `bytes` bytes of a run's file, and starts it anew for 0.
    pub(crate) fn open(run: &RunDir, name: &str, bytes: u64) -> Result<Self> {
        let path = run.file(name);
        let file = run.replace(&path, |beside| {
            let mut new = File::create(beside)?;
            if bytes > 0 {
                let mut old = File::open(&path)?.take(bytes);
                if io::copy(&mut old, &mut new)? < bytes {
                    let text = format!("it is shorter than the {bytes} bytes it had");
                    return Err(io::Error::other(text));
                }
                new.sync_all()?;
            }
            Ok(new)
        })?;
        Ok(Self { file, path, bytes })
    }

    /// Appends at once: a killed process has written what it did.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        self.bytes += bytes.len() as u64;
        written.map_err(Error::io("write", &self.path))
    }

    /// Waits until all of it is on the disk; how much that is.
    pub(crate) fn sync(&self) -> Result<u64> {
        let synced = self.file.sync_data();
        synced.map_err(Error::io("write", &self.path))?;
        Ok(self.bytes)
    }
}

/// A run's log, one JSON object a line.
#[derive(Debug)]
pub struct Log(pub(super) Appended);

impl Log {
    /// Appends one line, at once: a killed process has logged what it did.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn write(&mut self, event: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(event).map_err(io::Error::from);
        let line = line.map_err(Error::io("write", &self.0.path))?;
        self.0.append(format!("{line}\n").as_bytes())
    }

    /// Waits until all of it is on the disk; how many bytes that is, for
    /// [`RunDir::log_from`].
    ///
    /// # Errors
    /// If that fails.
    pub fn sync(&self) -> Result<u64> {
        self.0.sync()
    }
}
