//! What the pages that commands write have in common.

use crate::failure::{Failure, Result};
use std::path::Path;

/// Text as it may stand in a page: names of files are anybody's.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut page, c| {
        match c {
            '&' => page += "&amp;",
            '<' => page += "&lt;",
            '>' => page += "&gt;",
            '"' => page += "&quot;",
            c => page.push(c),
        }
        page
    })
}

/// Writes beside the file and renames, so that a file of this name is whole.
pub fn write(file: &Path, text: &str) -> Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(|error| Failure::Failed(format!("failed to write {}: {error}", file.display())))
}
