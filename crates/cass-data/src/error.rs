use std::path::PathBuf;

/// What can go wrong between a folder and a batch.
///
/// Every message is one line, a sentence by itself, that names the file or folder, what was found and
/// what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No loader of this name.
    #[error("data set {name:?} is unknown; known: {known}")]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No augmentation of this name.
    #[error("pipeline {name:?} is unknown; known: {known}")]
    UnknownPipeline {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The layout was found nowhere it was looked for.
    #[error("{name} was not found: expected {expected}; looked in {looked}")]
    Layout {
        /// The data set's name.
        name: &'static str,
        /// The layout in words.
        expected: String,
        /// The folders that were tried.
        looked: String,
    },
    /// A folder that might be of several layouts, or is of none.
    #[error("{root} {found}; --data says what it is: {expected}")]
    Unrecognised {
        /// The folder.
        root: PathBuf,
        /// What it is like, as the end of a sentence that begins with it.
        found: String,
        /// The layouts and what each expects.
        expected: String,
    },
    /// A class folder that the data set does not have.
    #[error("class folder {folder} is of an unknown class, expected {expected}")]
    UnknownClass {
        /// The folder.
        folder: PathBuf,
        /// The classes there are.
        expected: String,
    },
    /// A class folder that is no class.
    #[error("class folder {folder} {detail}")]
    Copy {
        /// The folder.
        folder: PathBuf,
        /// What it holds, and what was expected.
        detail: String,
    },
    /// A class without a usable image.
    #[error("class folder {folder} is missing or has no usable image")]
    EmptyClass {
        /// The folder.
        folder: PathBuf,
    },
    /// A class that no usable training image is of.
    #[error("class {class:?} of {root} has no usable training image")]
    UnusedClass {
        /// The class.
        class: String,
        /// The data set.
        root: PathBuf,
    },
    /// A data set whose labels are of the other kind.
    #[error("data set {name} has {found} labels, expected {expected}")]
    Task {
        /// The data set.
        name: String,
        /// What its labels are.
        found: &'static str,
        /// What they should be.
        expected: &'static str,
    },
    /// Folders of one data set that have other classes.
    #[error("{root} has classes {classes}; expected {expected}, those of the folder before it")]
    Classes {
        /// The later folder.
        root: PathBuf,
        /// Its classes.
        classes: String,
        /// Those before it.
        expected: String,
    },
    /// A data set without a single image.
    #[error("{root} has no images: there are none below it")]
    NoImages {
        /// The data set.
        root: PathBuf,
    },
    /// A table of labels or a manifest that cannot be used at all.
    #[error("{path}: {detail}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Line, column and value, and what was expected.
        detail: String,
    },
    /// Images that cannot be used, found before any training.
    #[error("{bad} of {total} images cannot be used: {examples}; --skip-bad leaves them out")]
    BadImages {
        /// How many are unusable.
        bad: usize,
        /// How many there are.
        total: usize,
        /// The first few, each with its reason.
        examples: String,
    },
    /// One image that cannot be used.
    #[error("image {path} {reason}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder that cannot be listed, or a file that cannot be written.
    #[error("{path} cannot be {action}: {source}")]
    Io {
        /// What cannot be done to it, as in `read` or `written`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A setting out of its range.
    #[error("`{name}` is {value}; expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The loader's threads could not be started.
    #[error("the loader's threads cannot be started: {0}")]
    Threads(String),
    /// The batch could not be put on its device.
    #[error("a batch cannot be moved to its device: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// Checks a setting: `fits` says whether it is in its range.
pub(crate) fn expect(
    name: &'static str,
    value: impl ToString,
    fits: bool,
    expected: &'static str,
) -> Result<()> {
    let value = value.to_string();
    fits.then_some(()).ok_or(Error::Setting {
        name,
        value,
        expected,
    })
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
