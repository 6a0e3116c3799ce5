//! Owners' files: who works in a run folder, and whether they still live.

use crate::error::{Action, Error, Result};
use crate::file::read_bounded;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Before the generation in an owner's file name.
pub(super) const OWNER: &str = ".owner.";
/// A folder has had fewer owners.
const MOST_OWNERS: u64 = 1 << 48;
/// An owner on another host that gives no sign of life for so long is dead.
const SILENCE: Duration = Duration::from_secs(45);

/// Who works in a run folder, as its owner's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Name of the computer.
    pub host: String,
    /// Number of the process there.
    pub pid: u32,
    /// Signs of life so far.
    pub(super) beat: u64,
    /// Milliseconds without one after which it is dead, by its own word.
    #[serde(default = "silence")]
    pub(super) silence: u64,
    /// Whether it has left the folder.
    pub(super) released: bool,
}

impl Owner {
    /// Writes in place, and always as much: who reads at the same moment reads a whole.
    pub(super) fn write(&self, file: &mut File) -> io::Result<()> {
        const LENGTH: usize = 512;
        let mut text = serde_json::to_string(self)?;
        let padding = LENGTH.saturating_sub(text.len() + 1);
        text.extend(std::iter::repeat_n(' ', padding));
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{text}\n").as_bytes())
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// The silence that owners announce, in milliseconds.
pub(super) fn silence() -> u64 {
    SILENCE.as_millis() as u64
}

/// Whether an owner's file stays as it is, or goes, for as long as it says, or the usual time.
pub(super) fn silent(path: &Path, owner: &Owner) -> bool {
    let silence = Duration::from_millis(owner.silence).min(SILENCE);
    let since = Instant::now();
    while since.elapsed() < silence {
        match read(path) {
            Some(now) if now.released => return true,
            Some(now) if now != *owner => return false,
            _ => thread::sleep(silence.min(Duration::from_millis(500))),
        }
    }
    true
}

/// Whether a process has owned the folder.
pub(crate) fn has_owner(folder: &Path) -> Result<bool> {
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|kind| kind.is_file());
    Ok(owners(folder)?.iter().any(|(_, path)| is_file(path)))
}

pub(crate) fn owner_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("{OWNER}{generation}"))
}

/// The newest generation, and its owner where the file can be read.
pub(super) fn last(folder: &Path) -> Result<Option<(u64, Option<Owner>)>> {
    let newest = owners(folder)?.into_iter().max();
    Ok(newest.map(|(generation, path)| (generation, read(&path))))
}

fn read(path: &Path) -> Option<Owner> {
    const LARGEST: u64 = 1 << 12;
    serde_json::from_slice(&read_bounded(path, LARGEST).ok()?).ok()
}

/// The owners' files of a folder.
pub(super) fn owners(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(Action::Read, folder))? {
        let path = entry.map_err(Error::io(Action::Read, folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let generation: Option<u64> = name.and_then(|name| name.strip_prefix(OWNER)?.parse().ok());
        let generation = generation.filter(|generation| *generation < MOST_OWNERS);
        found.extend(generation.map(|generation| (generation, path)));
    }
    Ok(found)
}
