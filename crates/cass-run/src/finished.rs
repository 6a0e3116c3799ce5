use crate::error::{Error, Result};
use crate::file::read_text;
use crate::metrics::Metrics;
use crate::names::{METRICS, RECIPE};
use crate::schema;
use crate::sums::FileSums;
use std::path::{Path, PathBuf};

/// The folder of a run that is finished, to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The folder.
    pub path: PathBuf,
    /// The text of its recipe.
    pub recipe: String,
    /// What it measured.
    pub metrics: Metrics,
}

impl Finished {
    /// Reads recipe and metrics of a run.
    ///
    /// # Errors
    /// [`Error::Unfinished`] if the folder is not that of a run, or of one that is not finished; or
    /// if one of the two files cannot be used, or is another than when the run finished.
    pub fn open(path: &Path) -> Result<Self> {
        let missing = |reason: &str| Error::Unfinished {
            path: path.into(),
            reason: reason.into(),
        };
        let recipe = read_text(&path.join(RECIPE))?;
        let metrics = schema::read(&path.join(METRICS))?;
        let run = Self {
            path: path.into(),
            recipe: recipe.ok_or_else(|| missing("there is no recipe.toml in it"))?,
            metrics: metrics.ok_or_else(|| missing("there is no metrics.json in it"))?,
        };
        run.intact(RECIPE)?;
        Ok(run)
    }

    /// What its other files were when it finished; nothing where an earlier version left it.
    pub fn sums(&self) -> &FileSums {
        &self.metrics.common().files
    }

    /// The path of a file in the folder that is as the run left it. One of which the run says nothing
    /// (an earlier version left it) is taken as it is.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file is another than when the run finished; if it cannot be read.
    pub fn intact(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name);
        if let Some(sum) = self.sums().get(name) {
            sum.expect(&path)?;
        }
        Ok(path)
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
