use std::path::PathBuf;

/// What can go wrong; each message is a sentence by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of the data set that is too small to work with.
    #[error("there are {found} {part} images, expected at least {needed}")]
    TooFew {
        /// "training", "validation" or "test".
        part: &'static str,
        /// Images there are.
        found: usize,
        /// Images there must be.
        needed: usize,
    },
    /// A data set without labels, which are what a probe measures by.
    #[error("data set {name} has no labels, which a probe needs")]
    NoLabels {
        /// The data set.
        name: String,
    },
    /// Images whose labels are not all known, to a vote that needs them.
    #[error(
        "{images} training images have classes that are not known, which knn cannot leave out: expected --uncertain \
         and --blank to say what these are, or another --mode"
    )]
    UnknownLabels {
        /// How many.
        images: usize,
    },
    /// A data set in which there is nothing to tell apart.
    #[error("the data set has the one class {class:?}, expected at least two")]
    OneClass {
        /// Name of the class.
        class: String,
    },
    /// A run folder that is not of the kind that is needed.
    #[error("{} cannot be used: {reason}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// Features of an image that nothing can be read from.
    #[error(
        "the features that {network} makes of {} are not finite, expected numbers: its weights may be \
         damaged",
        file.display()
    )]
    Features {
        /// The network.
        network: String,
        /// The image.
        file: PathBuf,
    },
    /// A network that cannot be asked in this way where it looks.
    #[error("{look} cannot look through {network}, expected {expected} for it")]
    Look {
        /// The way.
        look: &'static str,
        /// The network.
        network: String,
        /// Ways that suit it.
        expected: &'static str,
    },
    /// An output that a network does not have.
    #[error("{network} has no output {class}, expected less than {classes}")]
    NoOutput {
        /// The network.
        network: String,
        /// The output.
        class: usize,
        /// How many it has.
        classes: usize,
    },
    /// Images of other channels than a network sees.
    #[error("`in_chans` is {asked}; expected {sees}, as many as the run's network sees")]
    Channels {
        /// Channels that images are to have.
        asked: usize,
        /// Channels of the network's images.
        sees: usize,
    },
    /// Threads that did not start.
    #[error("threads did not start: {0}")]
    Threads(String),
    /// A network whose outputs are not numbers.
    #[error("the network's outputs are not finite, expected numbers: its weights may be damaged")]
    NotFinite,
    /// Predictions that cannot be scored.
    #[error(transparent)]
    Metrics(#[from] cass_metrics::Error),
    /// Images that cannot be used.
    #[error(transparent)]
    Data(#[from] cass_data::Error),
    /// A network that cannot be built or loaded.
    #[error(transparent)]
    Model(#[from] cass_models::Error),
    /// A run folder that cannot be used.
    #[error(transparent)]
    Folder(#[from] cass_run::Error),
    /// A training that failed.
    #[error(transparent)]
    Train(#[from] cass_train::Error),
    /// A tensor operation that failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
