use std::path::PathBuf;

/// What can go wrong with a network or its weights; each completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is in no registry.
    #[error("find network {name:?}: no such name, the nearest is {nearest:?}")]
    UnknownModel {
        /// As asked for.
        name: String,
        /// The registered name with the fewest edits.
        nearest: &'static str,
    },
    /// Options that the network cannot be built with.
    #[error("build {name}: {reason}")]
    Options {
        /// The network.
        name: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file of weights that does not fit the network, or is none.
    #[error("load weights from {}: {reason}", file.display())]
    Weights {
        /// The file.
        file: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("write weights to {}: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder that nothing can be exported to, or an export that contradicts itself.
    #[error("export to {}: {reason}", folder.display())]
    Export {
        /// The folder.
        folder: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file of the Hugging Face Hub that is not to be had.
    #[cfg(feature = "hub")]
    #[error("fetch {what}: {fault}")]
    Hub {
        /// The file and its repository.
        what: String,
        /// Why.
        fault: Box<crate::hub::HubFault>,
    },
    /// A computation that failed.
    #[error("compute: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// What a stranger's file or server says, or Candle (which goes on with a backtrace), as a part of one
/// line.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    let visible = line.chars().filter(|c| !c.is_control());
    visible.take(LONGEST).collect()
}
