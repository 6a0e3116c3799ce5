//! What the files of a finished run were when it finished.

use crate::error::{Action, Error, Result};
use crate::file::open_regular;
use crate::hash::{Hasher, sha256};
use crate::names::{METRICS, RECIPE};
use crate::schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Length and SHA-256 of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
}

/// The files of a run by name, as [`Common::files`](crate::Common::files) holds them; none of a run
/// that an earlier version left.
pub type FileSums = BTreeMap<String, FileSum>;

impl FileSum {
    /// Length and SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        }
    }

    /// Whether a file is still the one that this is of.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is another, and if it cannot be read.
    pub fn expect(&self, path: &Path) -> Result<()> {
        let wrong = Error::io(Action::Read, path);
        let damaged = |reason: String| Error::Damaged {
            path: path.into(),
            reason: format!("{reason}; the file was damaged or replaced"),
        };
        let read = || -> io::Result<_> {
            let mut file = open_regular(path)?;
            let length = file.metadata()?.len();
            if length != self.bytes {
                return Ok((length, None));
            }
            let mut hasher = Hasher::default();
            let length = hasher.read(&mut file)?;
            Ok((length, Some(hasher.finish())))
        };
        let (length, hash) = match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(damaged(
                    "it is not there, and was when its run finished".into(),
                ));
            }
            read => read.map_err(wrong)?,
        };
        if length != self.bytes {
            return Err(damaged(format!(
                "it has {length} bytes, and had {} when its run finished",
                self.bytes
            )));
        }
        if hash.as_ref() != Some(&self.sha256) {
            return Err(damaged(
                "its SHA-256 is another than when its run finished".into(),
            ));
        }
        Ok(())
    }
}

/// What of `metrics.json` says how the other files were.
#[derive(Deserialize)]
struct Sums {
    #[serde(default)]
    files: FileSums,
}

/// Compares a file with what the finished run in whose folder it lies left. A file of no such run, or
/// of one that an earlier version left without checksums, passes.
///
/// # Errors
/// [`Error::Damaged`] if the file, or the run's `metrics.json`, is another than when the run finished;
/// if either cannot be read.
pub fn expect_intact(path: &Path) -> Result<()> {
    let metrics = path.with_file_name(METRICS);
    if !path.is_file() || !metrics.is_file() || !path.with_file_name(RECIPE).is_file() {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match read(&metrics)?.get(&*name) {
        Some(sum) => sum.expect(path),
        None => Ok(()),
    }
}

/// What a `metrics.json` says of the other files.
pub(crate) fn read(metrics: &Path) -> Result<FileSums> {
    Ok(schema::read::<Sums>(metrics)?.map_or_else(FileSums::new, |sums| sums.files))
}
