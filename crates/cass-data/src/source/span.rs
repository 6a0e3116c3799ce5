//! Bytes of many images, one after the other.

use std::borrow::Cow;
use std::fs::File;
use std::io;

/// In memory, or in a file of which each image is read when it is asked for. (A mapped file would be
/// counted as this process' memory once all of it was looked at, and end the process if it were cut
/// short.)
#[derive(Debug)]
pub(crate) enum Span {
    Memory(Vec<u8>),
    File { file: File, start: u64, length: u64 },
}

impl Span {
    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// So many bytes from this place on, or why not.
    pub(crate) fn part(&self, from: u64, length: usize) -> Result<Cow<'_, [u8]>, String> {
        let end = from.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length()) {
            return Err("is beyond the array's end".into());
        }
        match self {
            Self::Memory(bytes) => {
                let from = from as usize; // below the length
                Ok(Cow::Borrowed(&bytes[from..from + length]))
            }
            Self::File { file, start, .. } => {
                let mut part = vec![0; length];
                let read = read_at(file, &mut part, start + from);
                read.map_err(|error| format!("cannot be read: {error}"))?;
                Ok(Cow::Owned(part))
            }
        }
    }
}

/// Reads at a place, whatever other threads read of the same file.
#[cfg(unix)]
fn read_at(file: &File, part: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, part, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut part: &mut [u8], mut at: u64) -> io::Result<()> {
    while !part.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, part, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (part, at) = (&mut part[read..], at + read as u64),
        }
    }
    Ok(())
}
