//! Data sets that are tables or folders with names of their own for what they hold.

use super::listing::folders;
use super::{Choices, Column, Found, csv, folder, locate};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

pub(crate) const ISIC2018: &str = "isic2018";
pub(crate) const ISIC2020: &str = "isic2020";
pub(crate) const ISIC2024: &str = "isic2024";
pub(crate) const DERMOFIT: &str = "dermofit";

/// A table as a challenge gives it out, and where its images are.
struct Challenge {
    name: &'static str,
    /// The first that is there.
    tables: &'static [&'static str],
    images: &'static [&'static str],
    columns: &'static [(Column, &'static str)],
    /// 0/1 columns.
    labels: &'static [&'static str],
}

const CHALLENGES: [Challenge; 3] = [
    Challenge {
        name: ISIC2018,
        tables: &[
            "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",
            "ISIC2018_Task3_Training_GroundTruth.csv",
        ],
        images: &["ISIC2018_Task3_Training_Input"],
        columns: &[(Column::Path, "image")],
        labels: &["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"],
    },
    Challenge {
        name: ISIC2020,
        tables: &[
            "ISIC_2020_Training_GroundTruth_v2.csv",
            "ISIC_2020_Training_GroundTruth.csv",
            "train.csv",
        ],
        images: &[
            "ISIC_2020_Training_JPEG/train",
            "ISIC_2020_Training_Input",
            "jpeg/train",
            "train",
        ],
        columns: &[
            (Column::Path, "image_name"),
            (Column::Label, "benign_malignant"),
            (Column::Group, "patient_id"),
        ],
        labels: &[],
    },
    Challenge {
        name: ISIC2024,
        tables: &["train-metadata.csv", "ISIC_2024_Training_Metadata.csv"],
        images: &["train-image/image", "ISIC_2024_Training_Input"],
        columns: &[
            (Column::Path, "isic_id"),
            (Column::Label, "target"),
            (Column::Group, "patient_id"),
        ],
        labels: &[],
    },
];

/// Reads the data set of this name; `None` where it is none of these.
pub(crate) fn find(name: &str, data_root: &Path, choices: &Choices) -> Option<Result<Found>> {
    if name == DERMOFIT {
        return Some(dermofit(data_root, choices));
    }
    let challenge = CHALLENGES.iter().find(|challenge| challenge.name == name)?;
    Some(challenge.find(data_root, choices))
}

impl Challenge {
    fn find(&self, data_root: &Path, choices: &Choices) -> Result<Found> {
        let table = |root: &Path| {
            self.tables
                .iter()
                .map(|t| root.join(t))
                .find(|t| t.is_file())
        };
        let expected = format!(
            "{} and images in {}",
            self.tables.join(" or "),
            self.images.join(" or ")
        );
        let root = locate(data_root, self.name, &expected, |root| {
            table(root).is_some()
        })?;
        let images: Vec<PathBuf> = self.images.iter().map(|folder| root.join(folder)).collect();
        let mut images: Vec<PathBuf> = images.into_iter().filter(|f| f.is_dir()).collect();
        if images.is_empty() && choices.images.is_empty() {
            return Err(Error::Layout {
                name: self.name,
                expected,
                looked: root.display().to_string(),
            });
        }
        images.extend(choices.images.iter().cloned());
        let own = self.columns.iter();
        let mut columns: std::collections::BTreeMap<_, _> = own
            .map(|(column, name)| (*column, name.to_string()))
            .collect();
        columns.extend(choices.columns.clone());
        let labels = match &choices.labels[..] {
            [] => self.labels.iter().map(|label| label.to_string()).collect(),
            labels => labels.to_vec(),
        };
        let choices = Choices {
            columns,
            labels,
            images,
            ..choices.clone()
        };
        let mut found = csv::find(&table(&root).unwrap_or_default(), &choices)?;
        found.root = root;
        Ok(found)
    }
}

/// One folder a class, in it one a lesion with its picture and its mask; lesions `D12a` and `D12b` are
/// of one patient.
fn dermofit(data_root: &Path, choices: &Choices) -> Result<Found> {
    let expected = "folders AK, BCC, ... with a folder for each lesion";
    let root = locate(data_root, DERMOFIT, expected, |root| {
        folders(root).is_ok_and(|classes| classes.len() > 1)
    })?;
    let mut choices = choices.clone();
    choices.exclude.push("*mask.*".into());
    choices.group_by.get_or_insert("none".into());
    let mut found = folder::find(&root, &choices)?;
    if choices.group_by.as_deref() == Some("none") {
        super::layout::group(&mut found, "^([A-Za-z]*[0-9]+)[a-z]?[.]")?;
    }
    Ok(found)
}
