//! Layouts on disk: each source turns a folder into labelled entries, not yet looked into.
pub(crate) mod biopsies;
pub(crate) mod brain_mri;
pub(crate) mod csv;
pub(crate) mod folder;
pub(crate) mod isic2019;
mod listing;
pub(crate) mod medmnist;
pub(crate) mod npz;
pub(crate) mod one_hot;
mod origin;
pub(crate) mod table;

use std::path::{Path, PathBuf};

pub(crate) use origin::Origin;

use crate::{Error, Part, Result, Task};

/// What a source found on disk.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) root: PathBuf,
    pub(crate) classes: Vec<String>,
    pub(crate) task: Task,
    pub(crate) entries: Vec<Entry>,
    pub(crate) problems: Vec<Problem>,
}

/// A labelled image, not yet looked into.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Ascending indices into the classes.
    pub(crate) labels: Vec<usize>,
    pub(crate) part: Option<Part>,
    pub(crate) group: Option<String>,
    pub(crate) origin: Origin,
}

/// Something in the layout or its tables that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    /// The folder, table or image it is about.
    pub(crate) path: PathBuf,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// A row of a table that cannot be used.
    Row,
    /// A label whose image is not there.
    MissingFile,
    /// An image without a label: nothing is lost by going on without it.
    UnlabelledFile,
    /// A class folder that the data set does not have.
    UnknownClass,
}

const NAMES: [&str; 6] = [
    brain_mri::NAME,
    isic2019::NAME,
    biopsies::NAME,
    folder::NAME,
    csv::NAME,
    medmnist::NAME,
];

/// Lists what the source of this name finds at `data_root`.
pub(crate) fn find(name: &str, data_root: &Path) -> Result<Found> {
    let found = match name {
        brain_mri::NAME => brain_mri::find(data_root),
        isic2019::NAME => isic2019::find(data_root),
        biopsies::NAME => biopsies::find(data_root),
        folder::NAME => folder::find(data_root),
        csv::NAME => csv::find(data_root),
        medmnist::NAME => medmnist::find(data_root),
        _ => Err(Error::UnknownDataset {
            name: name.to_owned(),
            known: NAMES.join(", "),
        }),
    }?;
    if found.entries.is_empty() && found.problems.is_empty() {
        return Err(Error::NoImages { root: found.root });
    }
    Ok(found)
}

/// The first of `data_root` and its folder `name` for which `holds`.
fn locate(
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
