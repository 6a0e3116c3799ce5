//! What every finished run says of itself.

use crate::schema::SCHEMA;
use crate::sums::FileSums;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What every finished run says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// Schema of the file, [`SCHEMA`] when written now; 0 where it says none.
    #[serde(default)]
    pub schema: u32,
    /// Seconds of all attempts that led to the result.
    pub seconds: f64,
    /// Where it was computed: `cpu` or `cuda:N`.
    #[serde(default)]
    pub device: String,
    /// Number of worker threads.
    #[serde(default)]
    pub threads: usize,
    /// SHA-256 of the data's manifest; empty where it is unknown.
    #[serde(default)]
    pub manifest: String,
    /// Images that were left out.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// What differs from the paper's settings, as `field = value (paper: value)`.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// What the paper leaves open and was chosen, one sentence each.
    #[serde(default)]
    pub chosen: Vec<String>,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
    /// What the run's other files were when it finished; empty where an earlier version left it.
    #[serde(default, skip_serializing_if = "FileSums::is_empty")]
    pub files: FileSums,
}

impl Common {
    /// What a run of the present schema says; the rest is to be filled in.
    pub fn new(seconds: f64) -> Self {
        Self {
            schema: SCHEMA,
            seconds,
            ..Self::default()
        }
    }
}

/// An image that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// The image.
    pub file: String,
    /// Why it could not be used.
    pub reason: String,
}

impl Skipped {
    /// An image that was left out, and why.
    pub fn new(file: &Path, reason: &str) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            reason: reason.into(),
        }
    }
}

/// Where weights came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OriginForm")]
pub struct Origin {
    /// `random`, a file, or `hub:OWNER/NAME@REVISION`.
    pub source: String,
    /// Repository of the Hub, `OWNER/NAME`, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Commit of the repository, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of the file, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// An origin as it may be written: early folders have a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum OriginForm {
    Text(String),
    Fields {
        #[serde(default)]
        source: String,
        repo: Option<String>,
        revision: Option<String>,
        sha256: Option<String>,
    },
}

impl From<OriginForm> for Origin {
    fn from(form: OriginForm) -> Self {
        match form {
            OriginForm::Text(source) => Self {
                source,
                ..Self::default()
            },
            OriginForm::Fields {
                source,
                repo,
                revision,
                sha256,
            } => Self {
                source,
                repo,
                revision,
                sha256,
            },
        }
    }
}
