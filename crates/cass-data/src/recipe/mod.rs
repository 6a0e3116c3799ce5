//! What a run sees of a data set: the `[data]` table of every recipe, and the images it chooses.

mod images;

pub use images::{RunImages, evenly};

use crate::Result;
use crate::channels::COLOURS;
use crate::dataset::{Dataset, OpenOptions};
use crate::error::expect;
use crate::image::{Frame, Levels, Pages, Reading};
use crate::source::{Blank, Choices, Column, Layout, Uncertain};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that decides which images a run sees, and for what.
///
/// ```
/// use cass_data::recipe::DataRecipe;
/// let recipe = DataRecipe::new("folder", "scans");
/// assert_eq!((recipe.val_fraction, recipe.fraction), (0.1, 1.0));
/// assert!(recipe.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Layout of the data set, such as `folder`: a name of [`Layout::NAMES`].
    pub name: String,
    /// Folder that holds the data set.
    pub root: PathBuf,
    /// Share of the training images that is cut off for validation where no part is given for it,
    /// in [0, 1).
    pub val_fraction: f64,
    /// Share of the training images that the run uses, in (0, 1].
    pub fraction: f64,
    /// Whether images that cannot be used are left out, and listed, instead of stopping the run.
    pub skip_bad: bool,
    /// Share for testing where no part is given for it, in [0, 1): a tenth of the labelled images where
    /// it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_fraction: Option<f64>,
    /// More folders of the same layout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_roots: Vec<PathBuf>,
    /// Folders that hold the images that a table names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<PathBuf>,
    /// The 0/1 columns of a table that are classes; `none` alone for no labels, `by-folder` for folders
    /// that are classes whatever their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What -1 in a 0/1 column is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<Uncertain>,
    /// What an empty field in a 0/1 column is; unknown where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blank: Option<Blank>,
    /// Patterns of files and folders that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Regular expression that finds the patient in a file's name or path; `none` for no groups by
    /// folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// A run or a table whose test images are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_test_of: Option<PathBuf>,
    /// How more than 8 bits become 8.
    #[serde(default, skip_serializing_if = "is_default")]
    pub levels: Levels,
    /// Whether pictures are turned as their EXIF data say.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exif: bool,
    /// Which pages and channels of a TIFF file are used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pages: Pages,
    /// Which of a DICOM file's frames is used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub frame: Frame,
    /// Which of a DICOM file's windows is used, from 1; 0 is the first, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window_index: usize,
    /// The most pixels that an image may have, in millions; 0 is 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_megapixels: u64,
    /// Channels of the images that networks see: see [`Reading::in_chans`].
    #[serde(
        default = "colours",
        deserialize_with = "bounded",
        skip_serializing_if = "is_colours"
    )]
    pub in_chans: usize,
    /// Columns of a table, by what they say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<Column, String>,
}

impl DataRecipe {
    /// All training images of a layout, a tenth of them for validation.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            root: root.into(),
            val_fraction: 0.1,
            fraction: 1.0,
            skip_bad: false,
            test_fraction: None,
            more_roots: Vec::new(),
            images: Vec::new(),
            labels: Vec::new(),
            uncertain: None,
            blank: None,
            exclude: Vec::new(),
            group_by: None,
            exclude_test_of: None,
            levels: Levels::default(),
            exif: false,
            pages: Pages::default(),
            frame: Frame::default(),
            window_index: 0,
            max_megapixels: 0,
            in_chans: COLOURS,
            columns: BTreeMap::new(),
        }
    }

    /// The same shares of images that are read alike, of another layout: without what was said of this
    /// one's tables and folders.
    #[must_use]
    pub fn as_read(self) -> Self {
        Self {
            more_roots: Vec::new(),
            images: Vec::new(),
            labels: Vec::new(),
            uncertain: None,
            blank: None,
            exclude: Vec::new(),
            group_by: None,
            exclude_test_of: None,
            columns: BTreeMap::new(),
            ..self
        }
    }

    /// Makes its paths absolute: relative ones are of the folder `base`.
    ///
    /// ```
    /// use cass_data::recipe::DataRecipe;
    /// let mut recipe = DataRecipe::new("folder", "scans");
    /// recipe.resolve("/data".as_ref());
    /// assert_eq!(recipe.root, std::path::Path::new("/data/scans"));
    /// ```
    pub fn resolve(&mut self, base: &Path) {
        let own = [&mut self.root]
            .into_iter()
            .chain(&mut self.exclude_test_of);
        let all = own.chain(&mut self.more_roots).chain(&mut self.images);
        // One that is not set stays so.
        for path in all.filter(|path| !path.as_os_str().is_empty()) {
            // Without a `.` in it.
            *path = base.join(&path).components().collect();
        }
    }

    /// How its images are read.
    pub fn reading(&self) -> Reading {
        Reading {
            levels: self.levels,
            exif: self.exif,
            pages: self.pages.clone(),
            frame: self.frame,
            window_index: self.window_index,
            max_megapixels: self.max_megapixels,
            in_chans: self.in_chans,
        }
    }

    /// The layout that it names.
    pub fn layout(&self) -> Layout {
        Layout {
            choices: Choices {
                columns: self.columns.clone(),
                labels: self.labels.clone(),
                images: self.images.clone(),
                uncertain: self.uncertain,
                blank: self.blank,
                exclude: self.exclude.clone(),
                group_by: self.group_by.clone(),
                every_frame: (self.frame == Frame::All).then(|| self.reading()),
                more: self.more_roots.clone(),
            },
            ..Layout::new(&self.name, &self.root)
        }
    }

    /// Opens the whole data set.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn open(&self, options: &OpenOptions) -> Result<Dataset> {
        let options = OpenOptions {
            skip_bad: self.skip_bad,
            reading: self.reading(),
            ..options.clone()
        };
        Dataset::open(&self.layout(), &options)
    }

    /// Checks the shares.
    ///
    /// # Errors
    /// Naming the first that no run can have, its value and what was expected.
    pub fn check(&self) -> Result<()> {
        self.reading().check()?;
        let (val, share) = (self.val_fraction, self.fraction);
        let test = self.test_fraction.unwrap_or(0.0);
        let is_share = |value: f64| (0.0..1.0).contains(&value);
        expect(
            "val_fraction",
            val,
            is_share(val),
            "a share from 0 to below 1",
        )?;
        let fits = share > 0.0 && share <= 1.0;
        expect("fraction", share, fits, "a share above 0, at most 1")?;
        let fits = is_share(test) && val + test < 1.0;
        let expected = "a share from 0 that leaves images for training";
        expect("test_fraction", test, fits, expected)
    }
}

fn colours() -> usize {
    COLOURS
}

/// Bounded where a file says it: networks are made for as many before images are looked at.
fn bounded<'de, D: Deserializer<'de>>(channels: D) -> Result<usize, D::Error> {
    let in_chans = usize::deserialize(channels)?;
    let reading = Reading {
        in_chans,
        ..Reading::default()
    };
    reading.check().map_err(D::Error::custom)?;
    Ok(in_chans)
}

fn is_colours(channels: &usize) -> bool {
    *channels == COLOURS
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for DataRecipe {
    /// The paper's brain MRIs; `root` is empty and has to be set.
    fn default() -> Self {
        Self::new("brain-mri", "")
    }
}
