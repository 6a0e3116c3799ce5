use std::path::PathBuf;

/// What can go wrong with a network or its weights; each message is a sentence by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is in no registry.
    #[error("no network is called {name:?}; the nearest name is {nearest:?}")]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The registered name with the fewest edits.
        nearest: &'static str,
    },
    /// A name of no intermediate output of the network.
    #[error("{network} has no output {name:?}; the nearest is {nearest:?}")]
    UnknownIntermediate {
        /// The network.
        network: String,
        /// The name that was asked for.
        name: String,
        /// The name of an output with the fewest edits.
        nearest: String,
    },
    /// Options that the network cannot be built with.
    #[error("{name} cannot be built: {reason}")]
    Options {
        /// The network.
        name: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file of weights that does not fit the network, or is none.
    #[error("{} cannot be loaded: {reason}", file.display())]
    Weights {
        /// The file.
        file: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("{} cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder that nothing can be exported to, or an export that contradicts itself.
    #[error("nothing can be exported to {}: {reason}", folder.display())]
    Export {
        /// The folder.
        folder: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file of the Hugging Face Hub that cannot be fetched.
    #[cfg(feature = "hub")]
    #[error("{what} cannot be fetched: {fault}")]
    Hub {
        /// The file and its repository.
        what: String,
        /// The reason.
        fault: Box<crate::fault::HubFault>,
    },
    /// A computation that failed.
    #[error("a tensor operation failed: {0}")]
    Candle(#[from] candle_core::Error),
}

/// The result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;
