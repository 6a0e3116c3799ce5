use std::path::PathBuf;

/// What can go wrong; each message is a sentence by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to judge.
    #[error("there are no predictions to score")]
    NoSamples,
    /// Two lists that describe the same samples differ in length.
    #[error("{found} {what} were given, expected {expected}")]
    Length {
        /// Name of what there is too much or too little of.
        what: &'static str,
        /// Number that was found.
        found: usize,
        /// Number that the other list calls for.
        expected: usize,
    },
    /// A class index beyond the classes.
    #[error("sample {sample} has class {class}, expected less than {classes}")]
    ClassIndex {
        /// Index of the sample.
        sample: usize,
        /// Its class.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A class of a multi-label data set whose name cannot stand in a list.
    #[error(
        "class {class:?} has a | in its name, which separates the classes of one file: expected a name \
         without it"
    )]
    ClassName {
        /// Its name.
        class: String,
    },
    /// A probability outside [0, 1].
    #[error("sample {sample} has probability {value}, expected 0 to 1")]
    Probability {
        /// Index of the sample.
        sample: usize,
        /// The value found.
        value: f64,
    },
    /// A file that cannot be opened or read, or is no CSV at all.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause, with the line if there is one.
        source: csv::Error,
    },
    /// A field of a predictions file that does not mean what its column should.
    #[error("{}, line {line}, column {column}: {value:?}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Name of the column, or its number from 1 where it has none.
        column: String,
        /// The value of the field.
        value: String,
        /// The values that are possible.
        expected: String,
    },
    /// Predictions without probabilities where these are needed.
    #[error("the predictions have no probabilities, expected one for each class")]
    Bare,
    /// Predictions that cannot be compared image by image.
    #[error("the predictions are of other test images, labels or classes")]
    OtherImages,
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
