//! What the pages that commands write have in common.

use crate::failure::{Failure, Result};
use std::path::Path;

/// Text as it may stand in a page: names of files are anybody's.
pub use html_escape::encode_quoted_attribute as escape;

/// Writes beside the file and renames, so that a file of this name is whole.
pub fn write(file: &Path, text: &str) -> Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(|error| Failure::Failed(format!("failed to write {}: {error}", file.display())))
}
