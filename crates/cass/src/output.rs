//! Writing the files that commands make.

use crate::failure::{Failure, Result};
use std::io;
use std::path::Path;

/// Writes a file: one of this name is whole.
pub fn write(file: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    cass_run::write_whole(file, bytes.as_ref()).map_err(|error| unwritten(file, &error))
}

/// A file or folder that cannot be written.
pub fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{} cannot be written: {error}", path.display()))
}
