use std::path::PathBuf;

/// What can go wrong; each message completes "failed to ...".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to judge.
    #[error("score predictions: there are none")]
    NoSamples,
    /// Two lists that describe the same samples differ in length.
    #[error("score predictions: {found} {what}, expected {expected}")]
    Length {
        /// What there is too much or too little of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many the other list calls for.
        expected: usize,
    },
    /// A class index beyond the classes.
    #[error("score predictions: sample {sample} has class {class}, expected less than {classes}")]
    ClassIndex {
        /// Index of the sample.
        sample: usize,
        /// Its class.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A class of a multi-label data set whose name cannot stand in a list.
    #[error("write predictions: class {class:?} has a | in its name, which separates classes")]
    ClassName {
        /// Its name.
        class: String,
    },
    /// A probability that is none.
    #[error("score predictions: sample {sample} has probability {value}, expected 0 to 1")]
    Probability {
        /// Index of the sample.
        sample: usize,
        /// The value found.
        value: f64,
    },
    /// A file cannot be opened, read or written, or is no CSV at all.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why; says the line, if there is one.
        source: csv::Error,
    },
    /// A field of a predictions file that does not mean what its column should.
    #[error(
        "read {}: line {line}, column {column}: {value:?}, expected {expected}",
        path.display()
    )]
    Field {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Name of the column, or its number from 1 where it has none.
        column: String,
        /// What stands there.
        value: String,
        /// What should.
        expected: String,
    },
    /// A part of the data set that is too small to work with.
    #[error("probe with {found} {part} images: expected at least {needed}")]
    TooFew {
        /// "training", "validation" or "test".
        part: &'static str,
        /// Images there are.
        found: usize,
        /// Images there must be.
        needed: usize,
    },
    /// A data set in which there is nothing to tell apart.
    #[error("probe with the one class {class:?}: expected at least two")]
    OneClass {
        /// Its name.
        class: String,
    },
    /// Predictions that cannot be compared image by image.
    #[error("compare predictions: they are of other test images, labels or classes")]
    OtherImages,
    /// A run folder that is not of the kind that is needed.
    #[error("use {}: {reason}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// A file or folder that could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Features of an image that nothing can be read from.
    #[error(
        "judge {network}: its features of {} are not finite; are its weights?",
        file.display()
    )]
    Features {
        /// The network.
        network: String,
        /// The image.
        file: PathBuf,
    },
    /// A network that cannot be asked in this way where it looks.
    #[error("look with {look} through {network}: expected {expected} for it")]
    Look {
        /// The way.
        look: &'static str,
        /// The network.
        network: String,
        /// Ways that suit it.
        expected: &'static str,
    },
    /// An output that a network does not have.
    #[error("ask {network} about output {class}: expected less than {classes}")]
    NoOutput {
        /// The network.
        network: String,
        /// The output.
        class: usize,
        /// How many it has.
        classes: usize,
    },
    /// Threads could not be had.
    #[error("start threads: {0}")]
    Threads(String),
    /// The network gives outputs that are not numbers.
    #[error("judge the network: its outputs are not finite; are its weights?")]
    NotFinite,
    /// The images could not be had.
    #[error(transparent)]
    Data(#[from] cass_data::Error),
    /// The network could not be had.
    #[error(transparent)]
    Model(#[from] cass_models::Error),
    /// The run folder cannot be used. Its message is a sentence by itself.
    #[error(transparent)]
    Folder(#[from] cass_run::Error),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] cass_train::Error),
    /// A tensor operation failed.
    #[error("compute: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
