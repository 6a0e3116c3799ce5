//! SHA-256, as hexadecimal text.

use crate::file::open_regular;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::Path;

/// A SHA-256 that is computed as bytes arrive.
///
/// ```
/// use cass_run::Hasher;
/// let mut hasher = Hasher::default();
/// hasher.update(b"a");
/// hasher.update(b"bc");
/// assert!(hasher.finish().starts_with("ba7816bf"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes all that is left to be read, a buffer at a time; how many bytes that was.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read(&mut self, from: &mut impl Read) -> io::Result<u64> {
        let (mut length, mut buffer) = (0, vec![0; 1 << 18]);
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(length),
                Ok(read) => {
                    self.update(&buffer[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The hash, 64 hexadecimal digits.
    pub fn finish(self) -> String {
        base16ct::lower::encode_string(&self.0.finalize())
    }
}

/// SHA-256 of some bytes, 64 hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let mut hasher = Hasher::default();
    hasher.update(bytes.as_ref());
    hasher.finish()
}

/// SHA-256 of a regular file, 64 hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hasher = Hasher::default();
    hasher.read(&mut open_regular(path)?)?;
    Ok(hasher.finish())
}
