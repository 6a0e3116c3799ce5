//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file next to its name, syncs it and renames it: a file of this name is whole, and an
/// older one is untouched until then.
///
/// The file next to it is a new one, so that a link of that name is not followed. Several threads and
/// processes may write the same file: one of them is last.
///
/// # Errors
/// The system's answer where the file cannot be written or renamed; nothing is left then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_whole(path, |file| file.write_all(bytes))
}

/// [`write_whole`] of what `make` writes.
///
/// # Errors
/// As [`write_whole`], or what `make` fails with.
pub fn make_whole(
    path: &Path,
    make: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let (beside, file) = create_beside(path)?;
    let write = || {
        let mut file = BufWriter::new(file);
        make(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        drop(file);
        fs::rename(&beside, path)
    };
    // It may be what filled the disk.
    write().inspect_err(|_| drop(fs::remove_file(&beside)))?;
    sync_folder(path)
}

/// Syncs the folder of a file that was renamed, without which the rename may not last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder is nothing that can be opened.
    if cfg!(unix) {
        File::open(folder_of(path))?.sync_all()?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A new file next to `path`, `.NAME.new.PID-N`, to be renamed to it.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".new.{}-{number}", std::process::id()));
        let beside = folder_of(path).join(name);
        match create_new(&beside) {
            // Left by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (beside, file)),
        }
    }
}

/// Whether a name is one that [`write_whole`] gives a file in the making.
pub(crate) fn is_temporary(name: &str) -> bool {
    let ends = |end: &str| end.split('-').all(|n| n.parse::<u64>().is_ok());
    name.starts_with('.') && name.rsplit_once(".new.").is_some_and(|(_, end)| ends(end))
}

/// Opens a file that was not there, whatever links there are.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_made_leaves_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write_whole(&path, b"old").unwrap();
        let fail = make_whole(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(fail.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
