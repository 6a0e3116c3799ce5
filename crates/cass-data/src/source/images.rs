//! Any images at all, without labels: below folders, or those that a pattern fits.

use super::listing::{files_below, is_image, left_out};
use super::{Choices, Filter, Found, Item, locate};
use crate::source::Task;
use crate::{Error, Result};
use globset::GlobBuilder;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "images";
const EXPECTED: &str = "a folder of images, an image, or a pattern such as scans/**/*.png";

/// Lists the images at `data_root`: a folder, whose images are taken at any depth, a file, or a
/// pattern.
pub(crate) fn find(data_root: &Path, choices: &Choices) -> Result<Found> {
    let filter = Filter::new(&choices.exclude)?;
    let (root, files) = match pattern(data_root) {
        Some(root) => {
            let glob = data_root.to_string_lossy();
            let glob = GlobBuilder::new(&glob).literal_separator(true).build();
            let wrong = |_| Error::Layout {
                name: NAME,
                expected: EXPECTED.into(),
                looked: format!("{}, which is no pattern", data_root.display()),
            };
            let fits = glob.map_err(wrong)?.compile_matcher();
            let mut files = files_below(&root)?;
            files.retain(|file| fits.is_match(file));
            (root, files)
        }
        None if data_root.is_file() => {
            let root = data_root.parent().map(Path::to_owned).unwrap_or_default();
            (root, vec![data_root.to_owned()])
        }
        None => {
            let root = locate(data_root, NAME, EXPECTED, Path::is_dir)?;
            let files = files_below(&root)?;
            (root, files)
        }
    };
    let filter = filter.below([&root]);
    let files = files.into_iter().filter(|file| filter.keeps(file));
    let (images, others): (Vec<PathBuf>, BTreeSet<PathBuf>) = {
        let (images, others): (Vec<_>, Vec<_>) = files.partition(|file| is_image(file));
        (images, others.into_iter().collect())
    };
    let mut notes = vec!["no labels are read".to_owned()];
    notes.extend(left_out(&others, "that are no images"));
    Ok(Found {
        root,
        classes: Vec::new(),
        task: Task::MultiClass,
        items: images
            .into_iter()
            .map(|path| Item::file(path).unlabelled())
            .collect(),
        problems: Vec::new(),
        notes,
    })
}

/// The folder above the first name with a `*`, `?`, `[` or `{` in it, if the path is not there as
/// it is written.
fn pattern(path: &Path) -> Option<PathBuf> {
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[', '{']) {
        return None;
    }
    let plain = |part: &std::path::Component| {
        !part
            .as_os_str()
            .to_string_lossy()
            .contains(['*', '?', '[', '{'])
    };
    let root: PathBuf = path.components().take_while(plain).collect();
    Some(if root.as_os_str().is_empty() {
        ".".into()
    } else {
        root
    })
}
