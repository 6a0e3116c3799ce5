//! The layouts on disk, by name.

use super::{Found, Source, biopsies, brain_mri, csv, folder, isic2019, medmnist};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A data set on disk, in one of the layouts that [`crate::dataset`] lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Name of the layout, such as `folder`.
    pub name: String,
    /// The folder that holds the data set, or its parent, in which it has the layout's name.
    pub root: PathBuf,
}

impl Layout {
    /// The names there are.
    pub const NAMES: [&str; 6] = [
        brain_mri::NAME,
        isic2019::NAME,
        biopsies::NAME,
        folder::NAME,
        csv::NAME,
        medmnist::NAME,
    ];

    /// The layout of this name at `root`.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            root: root.into(),
        }
    }
}

impl Source for Layout {
    fn name(&self) -> &str {
        &self.name
    }

    fn find(&self) -> Result<Found> {
        let root = &self.root;
        let found = match self.name.as_str() {
            brain_mri::NAME => brain_mri::find(root),
            isic2019::NAME => isic2019::find(root),
            biopsies::NAME => biopsies::find(root),
            folder::NAME => folder::find(root),
            csv::NAME => csv::find(root),
            medmnist::NAME => medmnist::find(root),
            name => Err(Error::UnknownDataset {
                name: name.to_owned(),
                known: Self::NAMES.join(", "),
            }),
        }?;
        if found.items.is_empty() && found.problems.is_empty() {
            return Err(Error::NoImages { root: found.root });
        }
        Ok(found)
    }
}

/// The first of `data_root` and its folder `name` for which `holds`.
pub(crate) fn locate(
    data_root: &Path,
    name: &'static str,
    expected: &str,
    holds: impl Fn(&Path) -> bool,
) -> Result<PathBuf> {
    let inside = data_root.join(name);
    if holds(data_root) {
        return Ok(data_root.to_owned());
    }
    if holds(&inside) {
        return Ok(inside);
    }
    let looked = if data_root.exists() {
        format!("{} and {}", data_root.display(), inside.display())
    } else {
        format!("{}, which is no folder", data_root.display())
    };
    Err(Error::Layout {
        name,
        expected: expected.to_owned(),
        looked,
    })
}
