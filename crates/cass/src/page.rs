//! What the pages that commands write have in common.

use crate::failure::{Failure, Result};
use std::path::Path;

/// Text as it may stand in a page: names of files are anybody's.
pub fn escape(text: &str) -> String {
    html_escape::encode_quoted_attribute(text).into_owned()
}

/// Writes the page: a file of this name is whole.
pub fn write(file: &Path, text: &str) -> Result<()> {
    cass_run::write_whole(file, text.as_bytes())
        .map_err(|error| Failure::Failed(format!("failed to write {}: {error}", file.display())))
}
