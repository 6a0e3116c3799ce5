//! Files that grow while a run continues.

use crate::error::{Action, Error, Result};
use crate::file::{LARGEST_TEXT, open_regular, read_text};
use crate::folder::RunDir;
use crate::names::LOG;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that is only appended to, and that a resumed run continues from where it stood.
///
/// What is kept of an earlier attempt is copied into a new file: a process that was thought dead
/// and still appends does so to a file that nobody sees any more.
#[derive(Debug)]
pub struct Grown {
    file: File,
    path: PathBuf,
    bytes: u64,
    lost: bool,
}

impl Grown {
    /// Continues after the first `bytes` bytes of a run's file, and starts it anew for 0.
    ///
    /// A file that is shorter, or gone, holds no run up: it continues after what is left of it, as far
    /// as `whole` says, which is given what is left and returns how many of its bytes make whole
    /// records.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn open(
        run: &RunDir,
        name: &str,
        bytes: u64,
        whole: impl FnOnce(&[u8]) -> usize,
    ) -> Result<Self> {
        let path = run.file(name);
        let (file, kept) = run.replace(&path, |beside| {
            let mut new = OpenOptions::new().read(true).write(true).open(beside)?;
            let mut kept = 0;
            if bytes > 0
                && let Ok(old) = open_regular(&path)
            {
                kept = io::copy(&mut old.take(bytes), &mut new)?;
            }
            if kept < bytes {
                let mut left = Vec::new();
                new.rewind()?;
                (&mut new).take(LARGEST_TEXT).read_to_end(&mut left)?;
                kept = whole(&left).min(left.len()) as u64;
                new.set_len(kept)?;
                new.seek(SeekFrom::Start(kept))?;
            }
            new.sync_all()?;
            Ok((new, kept))
        })?;
        Ok(Self {
            file,
            path,
            bytes: kept,
            lost: kept < bytes,
        })
    }

    /// Whether something of what an earlier attempt had written is gone.
    pub fn is_damaged(&self) -> bool {
        self.lost
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends at once: a killed process has written what it did.
    ///
    /// # Errors
    /// If that fails.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        self.bytes += bytes.len() as u64;
        written.map_err(Error::io(Action::Write, &self.path))
    }

    /// Waits until all of it is on the disk; how many bytes that is.
    ///
    /// # Errors
    /// If that fails.
    pub fn sync(&self) -> Result<u64> {
        let synced = self.file.sync_data();
        synced.map_err(Error::io(Action::Write, &self.path))?;
        Ok(self.bytes)
    }
}

/// A run's log, one JSON object a line.
#[derive(Debug)]
pub struct Log(Grown);

impl Log {
    /// Appends one line, at once: a killed process has logged what it did.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn write(&mut self, event: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(event).map_err(io::Error::from);
        let line = line.map_err(Error::io(Action::Write, &self.0.path))?;
        self.0.append(format!("{line}\n").as_bytes())
    }

    /// Whether lines that an earlier attempt had written are gone.
    pub fn is_damaged(&self) -> bool {
        self.0.is_damaged()
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The lines that are `E`s, in order.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn events<E: DeserializeOwned>(&self) -> Result<Vec<E>> {
        let text = read_text(&self.0.path)?.unwrap_or_default();
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
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

impl RunDir {
    /// Starts `log.jsonl` anew.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&self) -> Result<Log> {
        self.log_from(0)
    }

    /// Continues `log.jsonl` after its first `bytes` bytes; what stood behind them is gone. Of one that
    /// is shorter the whole lines are kept ([`Log::is_damaged`]).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log_from(&self, bytes: u64) -> Result<Log> {
        let log = Grown::open(self, LOG, bytes, |left| {
            left.iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |end| end + 1)
        })?;
        self.keep();
        Ok(Log(log))
    }
}
