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
    put_whole(path, |beside| write_new(beside, make)?.sync_all())?;
    sync_folder(path)
}

/// [`make_whole`] of a file that can be made again: other processes see all of it or nothing, but the
/// disk is not waited for. Whoever reads it has to notice that a power failure cut it short.
///
/// # Errors
/// As [`make_whole`].
pub fn make_unsynced(
    path: &Path,
    make: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    put_whole(path, |beside| write_new(beside, make).map(drop))
}

/// Lets `make` make a file, a link or a folder under a new name next to `path`, and renames it to
/// `path`. It is for what [`make_whole`] cannot write; `make` syncs it where that matters.
///
/// # Errors
/// What `make` fails with, or the system's answer to the rename; nothing is left then.
pub fn put_whole(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let beside = new_name(path);
    let made = make(&beside).and_then(|()| fs::rename(&beside, path));
    made.inspect_err(|_| {
        // It may be what filled the disk.
        if fs::remove_file(&beside).is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
    })
}

/// Renames what is whole and synced, so that its new name lasts.
///
/// # Errors
/// The system's answer.
pub fn rename_whole(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

/// Writes a file that was not there.
fn write_new(
    path: &Path,
    make: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = BufWriter::new(create_new(path)?);
    make(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Syncs the folder of a file that was renamed, without which the rename may not last.
fn sync_folder(path: &Path) -> io::Result<()> {
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

/// A name next to `path` that nothing has, `.NAME.new.PID-N`.
fn new_name(path: &Path) -> PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".new.{}-{number}", std::process::id()));
        let beside = folder_of(path).join(name);
        // There may be one that a killed process of the same number left.
        if beside.symlink_metadata().is_err() {
            return beside;
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

    #[test]
    fn a_folder_that_cannot_be_made_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let make = |then: io::Result<()>| {
            put_whole(&path, |beside| {
                fs::create_dir(beside)?;
                fs::write(beside.join("y"), "z")?;
                then
            })
        };
        make(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        make(Ok(())).unwrap();
        assert_eq!(fs::read(path.join("y")).unwrap(), b"z");
    }
}
