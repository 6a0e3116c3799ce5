//! The lock's file, which the system locks.

use crate::error::{Action, Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

pub(crate) const LOCK: &str = ".lock";

/// The lock's file. What a link of that name leads to is neither opened nor changed: the file is
/// never written.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

/// Whether a process of this computer works in a run folder now.
pub fn is_in_use(folder: &Path) -> bool {
    let path = folder.join(LOCK);
    let is_file = path.symlink_metadata().is_ok_and(|kind| kind.is_file());
    let file = is_file.then(|| open(&path).ok()).flatten();
    file.is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether a file is the lock's, as a process left it that was killed before it owned the folder.
pub(crate) fn is_untouched(path: &Path) -> bool {
    let empty = |kind: fs::Metadata| kind.is_file() && kind.len() == 0;
    path.ends_with(LOCK) && path.symlink_metadata().is_ok_and(empty)
}

/// The sole use of a folder by one kind of program, on this computer, until dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// Held for the system's lock, which ends with the process.
    _held: File,
}

impl FolderLock {
    /// Claims a folder that exists by its file `name`, which stays there, empty. On a file system without
    /// locks it is granted.
    ///
    /// # Errors
    /// [`Error::Locked`] naming `program` if another process has it, or if the file cannot be made.
    pub fn claim(folder: &Path, name: &str, program: &str) -> Result<Self> {
        let path = folder.join(name);
        let held = open(&path).map_err(Error::io(Action::Create, &path))?;
        match held.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: folder.into(),
                owner: format!("another {program}"),
            }),
            _ => Ok(Self { _held: held }),
        }
    }
}
