//! Multi-label biopsies: immunofluorescence TIFFs and a table of the cell types seen in each.

use super::listing::{Images, list, name};
use super::table::Table;
use super::{Found, locate, one_hot};
use crate::Result;
use crate::source::Task;
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "biopsies";
/// The columns of the paper's five cell types.
pub(crate) const CLASSES: [&str; 5] = ["TFH-1", "TFH-217", "TFH-Like", "B cells", "others"];
const IMAGES: &str = "images";

/// Reads the one CSV file at `data_root` or in its `biopsies`; the images are beside it or in a
/// folder `images`.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let expected = format!(
        "TIFF images, beside a CSV file with columns image, {} and perhaps patient, or in its folder images",
        CLASSES.join(", ")
    );
    let root = locate(data_root, NAME, &expected, |root| only_csv(root).is_some())?;
    let labels = Table::read(&only_csv(&root).unwrap_or_default())?;
    let (image, columns) = one_hot::columns(&labels, &CLASSES, &["patient"])?;
    let patient = labels.column(&["patient"]);
    let inner = root.join(IMAGES);
    let mut folders = vec![root.clone()];
    folders.extend(inner.is_dir().then_some(inner));
    let images = Images::of(&folders)?;
    let mut labelled = one_hot::read(&labels, image, &columns, Task::MultiLabel, &images);
    if let Some(patient) = patient {
        one_hot::group(&mut labelled.items, &labels, image, patient, &images);
    }
    Ok(Found {
        root,
        classes: CLASSES.map(String::from).to_vec(),
        task: Task::MultiLabel,
        items: labelled.items,
        problems: labelled.problems,
        notes: Vec::new(),
    })
}

/// The CSV file of a folder, if it has exactly one.
pub(super) fn only_csv(folder: &Path) -> Option<PathBuf> {
    let files = list(folder).ok()?;
    let mut tables = files
        .into_iter()
        .filter(|path| name(path).to_ascii_lowercase().ends_with(".csv") && path.is_file());
    tables.next().filter(|_| tables.next().is_none())
}
