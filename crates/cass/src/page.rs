//! Writing the pages that commands make.

use crate::failure::{Failure, Result};
use std::path::Path;

/// Writes the page: a file of this name is whole.
pub fn write(file: &Path, text: &str) -> Result<()> {
    cass_run::write_whole(file, text.as_bytes())
        .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", file.display())))
}
