//! What a table or a folder does not say of itself, and a user has to.

use crate::image::Reading;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

/// How a layout is to be read where its own form leaves that open.
///
/// ```
/// use cass_data::source::{Choices, Column, Layout};
/// let choices = Choices {
///     columns: [(Column::Label, "dx".to_owned())].into(),
///     ..Choices::default()
/// };
/// let layout = Layout { choices, ..Layout::new("csv", "HAM10000_metadata.csv") };
/// assert_eq!(layout.choices.columns[&Column::Label], "dx");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    /// Columns of a table, where their names do not tell.
    pub columns: BTreeMap<Column, String>,
    /// The 0/1 columns of a table that are classes; `none` alone for a table without labels.
    pub labels: Vec<String>,
    /// Folders that hold the images that a table names, where they are neither next to it nor below
    /// its folder.
    pub images: Vec<PathBuf>,
    /// What -1 in a 0/1 column is.
    pub uncertain: Option<Uncertain>,
    /// What an empty field in a 0/1 column is: unknown, unless it is said to be 0.
    pub blank: Option<Blank>,
    /// Files and folders that are left out, as patterns such as `*_mask.*`.
    pub exclude: Vec<String>,
    /// A regular expression whose first group, in a file's path below the root, names the patient.
    pub group_by: Option<String>,
    /// How files are read where every frame of one is an image of its own.
    pub every_frame: Option<Reading>,
    /// More folders of the same layout.
    pub more: Vec<PathBuf>,
}

/// What a column of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    /// Path or name of the image.
    Path,
    /// Its class.
    Label,
    /// Its classes, with `|`, `;` or commas between them.
    Labels,
    /// Its part: train, val or test.
    Split,
    /// Its patient, lesion or other group that no split divides.
    Group,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Path,
        Self::Label,
        Self::Labels,
        Self::Split,
        Self::Group,
    ];

    /// `path`, `label`, `labels`, `split` or `group`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Label => "label",
            Self::Labels => "labels",
            Self::Split => "split",
            Self::Group => "group",
        }
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|column| column.name() == name);
        known.ok_or_else(|| format!("{name:?}, expected path, label, labels, split or group"))
    }
}

/// What -1, CheXpert's word for "uncertain", is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// Not of the class.
    Zero,
    /// Of the class.
    One,
    /// Unknown: left out of loss and metrics.
    Ignore,
}

/// What an empty field in a 0/1 column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blank {
    /// Not of the class, as CheXpert's paper has what a report does not mention.
    Zero,
    /// Unknown: left out of loss and metrics.
    Ignore,
}
