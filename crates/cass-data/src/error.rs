use std::path::PathBuf;

/// What can go wrong between a folder and a batch.
///
/// Every message is one line that completes "failed to …" and names the file or folder, what was
/// found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No loader of this name.
    #[error("open data set {name:?}: unknown; known: {known}")]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No augmentation of this name.
    #[error("use pipeline {name:?}: unknown; known: {known}")]
    UnknownPipeline {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The layout was found nowhere it was looked for.
    #[error("find {name}: expected {expected}; looked in {looked}")]
    Layout {
        /// The data set's name.
        name: &'static str,
        /// The layout in words.
        expected: String,
        /// The folders that were tried.
        looked: String,
    },
    /// A class folder that the data set does not have.
    #[error("read class folder {folder}: unknown class, expected {expected}")]
    UnknownClass {
        /// The folder.
        folder: PathBuf,
        /// The classes there are.
        expected: String,
    },
    /// A class without a usable image.
    #[error("read class folder {folder}: it is missing or has no usable image")]
    EmptyClass {
        /// The folder.
        folder: PathBuf,
    },
    /// A class that no usable training image is of.
    #[error("use class {class:?} of {root}: it has no usable training image")]
    UnusedClass {
        /// The class.
        class: String,
        /// The data set.
        root: PathBuf,
    },
    /// A data set whose labels are of the other kind.
    #[error("use data set {name}: its labels are {found}, expected {expected}")]
    Task {
        /// The data set.
        name: String,
        /// What its labels are.
        found: &'static str,
        /// What they should be.
        expected: &'static str,
    },
    /// A data set without a single image.
    #[error("find images in {root}: there are none")]
    NoImages {
        /// The data set.
        root: PathBuf,
    },
    /// A table of labels or a manifest that cannot be used at all.
    #[error("read {path}: {detail}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Line, column and value, and what was expected.
        detail: String,
    },
    /// Images that cannot be used, found before any training.
    #[error("use {bad} of {total} images: {examples}; skipping bad files would leave them out")]
    BadImages {
        /// How many are unusable.
        bad: usize,
        /// How many there are.
        total: usize,
        /// The first few, each with its reason.
        examples: String,
    },
    /// One image that cannot be used.
    #[error("read image {path}: {reason}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder that cannot be listed, or a file that cannot be written.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A setting out of its range.
    #[error("use `{name}` = {value}: expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The loader's threads could not be started.
    #[error("start the loader's threads: {0}")]
    Threads(String),
    /// The batch could not be put on its device.
    #[error("move a batch to its device: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
