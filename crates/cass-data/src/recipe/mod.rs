//! What a run sees of a data set: the `[data]` table of every recipe, and the images it chooses.

mod images;

pub use images::RunImages;

use crate::dataset::{Dataset, OpenOptions};
use crate::source::Layout;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
        }
    }

    /// The layout that it names.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.name, &self.root)
    }

    /// Opens the whole data set.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn open(&self, options: &OpenOptions) -> Result<Dataset> {
        let options = OpenOptions {
            skip_bad: self.skip_bad,
            ..options.clone()
        };
        Dataset::open(&self.layout(), &options)
    }

    /// Checks the shares.
    ///
    /// # Errors
    /// Naming the first that no run can have, its value and what was expected.
    pub fn check(&self) -> Result<()> {
        let (val, share) = (self.val_fraction, self.fraction);
        for (name, value, fits, expected) in [
            (
                "val_fraction",
                val,
                (0.0..1.0).contains(&val),
                "a share from 0 to below 1",
            ),
            (
                "fraction",
                share,
                share > 0.0 && share <= 1.0,
                "a share above 0, at most 1",
            ),
        ] {
            if !fits {
                return Err(Error::Setting {
                    name,
                    value: value.to_string(),
                    expected,
                });
            }
        }
        Ok(())
    }
}

impl Default for DataRecipe {
    /// The paper's brain MRIs; `root` is empty and has to be set.
    fn default() -> Self {
        Self::new("brain-mri", "")
    }
}
