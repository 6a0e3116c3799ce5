//! The ISIC 2019 challenge's training set as it is downloaded: dermoscopic images of eight classes.

use super::listing::Images;
use super::table::Table;
use super::{Found, locate, one_hot};
use crate::Result;
use crate::source::Task;
use std::path::Path;

pub(crate) const NAME: &str = "isic2019";
/// The columns of the ground truth. No training image is of the last, the test set's "none of the
/// others": it is left out where it has none.
pub(crate) const COLUMNS: [&str; 9] = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"];
pub(crate) const INPUT: &str = "ISIC_2019_Training_Input";
pub(crate) const TRUTH: &str = "ISIC_2019_Training_GroundTruth.csv";
pub(crate) const METADATA: &str = "ISIC_2019_Training_Metadata.csv";

/// Reads the ground truth at `data_root` or in its `isic2019`; the lesions from the metadata, where
/// there are any.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let expected = format!("{INPUT}/*.jpg and {TRUTH}");
    let root = locate(data_root, NAME, &expected, |root| {
        root.join(INPUT).is_dir() && root.join(TRUTH).is_file()
    })?;
    // Some archives unpack into a folder of the same name.
    let (input, inner) = (root.join(INPUT), root.join(INPUT).join(INPUT));
    let images = Images::of(&[if inner.is_dir() { inner } else { input }])?;
    let truth = Table::read(&root.join(TRUTH))?;
    let (image, columns) = one_hot::columns(&truth, &COLUMNS, &[])?;
    let mut labelled = one_hot::read(&truth, image, &columns, Task::MultiClass, &images);
    let metadata = root.join(METADATA);
    if metadata.is_file() {
        let table = Table::read(&metadata)?;
        let (image, lesion) = (table.need(&["image"])?, table.need(&["lesion_id"])?);
        one_hot::group(&mut labelled.items, &table, image, lesion, &images);
        labelled.problems.extend(table.problems);
    }
    let unknown = COLUMNS.len() - 1;
    let used = labelled.items.iter().any(|e| e.labels == [unknown]);
    let classes = &COLUMNS[..unknown + usize::from(used)];
    Ok(Found {
        root,
        classes: classes.iter().map(|c| c.to_string()).collect(),
        task: Task::MultiClass,
        items: labelled.items,
        problems: labelled.problems,
        notes: Vec::new(),
    })
}
