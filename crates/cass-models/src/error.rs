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
    /// A name of no intermediate output of the network.
    #[error("tap {network}: it has no output {name:?}, the nearest is {nearest:?}")]
    UnknownIntermediate {
        /// The network.
        network: String,
        /// As asked for.
        name: String,
        /// The name of an output with the fewest edits.
        nearest: String,
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

/// The candidate with the fewest edits; of equally near ones, the one that agrees longest from the
/// left, where the family stands.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    let order = |other: &&str| {
        let same = |(a, b): &(u8, u8)| a == b;
        let shared = name.bytes().zip(other.bytes()).take_while(same).count();
        (strsim::levenshtein(other, name), std::cmp::Reverse(shared))
    };
    candidates.min_by_key(order).unwrap_or("")
}

/// What a stranger's file or server says, or Candle (which goes on with a backtrace), as a part of one
/// line.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    let visible = line.chars().filter(|c| !c.is_control());
    visible.take(LONGEST).collect()
}
