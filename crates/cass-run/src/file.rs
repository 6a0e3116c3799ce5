//! Reading files that anybody may have put there: bounded, and never waiting for a device.

use crate::error::{Action, Error, Result};
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The largest text file of a run that is read, in bytes: far above any that a run writes.
pub const LARGEST_TEXT: u64 = 256 << 20;

/// Opens a regular file to be read. A pipe or a device is an error, at once: opening one of them may
/// wait for ever.
///
/// # Errors
/// The system's, or that the file is none.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    let kind = file.metadata()?;
    if kind.is_file() {
        return Ok(file);
    }
    Err(if kind.is_dir() {
        ErrorKind::IsADirectory.into()
    } else {
        io::Error::other("it is no regular file")
    })
}

/// Reads a regular file of at most `largest` bytes.
///
/// # Errors
/// As [`open_regular`], or that the file is larger.
pub fn read_bounded(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    if size <= largest {
        bytes.try_reserve_exact(size as usize)?;
        file.take(largest.saturating_add(1))
            .read_to_end(&mut bytes)?;
    }
    if size > largest || bytes.len() as u64 > largest {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {largest} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads a text file of a run; `None` where there is none.
///
/// # Errors
/// If it is there but cannot be read, is no regular file or is too large; [`Error::Damaged`] if it is not UTF-8.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    match read_bounded(path, LARGEST_TEXT) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::Damaged {
                path: path.into(),
                reason: "it is not UTF-8 text".into(),
            }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(Action::Read, path)(error)),
    }
}

/// Reads a JSON file of a run; `None` where there is none.
///
/// # Errors
/// As [`read_text`], or [`Error::Damaged`] if it is not what `T` is written as.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_str(&text);
    value.map(Some).map_err(|error| Error::Damaged {
        path: path.into(),
        reason: format!("it is not what it should be ({error})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flipped bit is damage, which the same command cannot mend; a disk that fails is not.
    #[test]
    fn text_that_is_none_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.json");
        std::fs::write(&path, [b'{', b'}' | 0x80]).unwrap();
        let error = read_text(&path).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(matches!(read_text(&folder.path().join("none")), Ok(None)));
    }
}
