//! Why a file of the Hub cannot be fetched.

use std::path::PathBuf;

/// Why a file of the Hub cannot be fetched; each message continues "X cannot be fetched: ".
#[derive(Debug, thiserror::Error)]
pub enum HubFault {
    /// A text that names nothing on the Hub.
    #[error("{0}: expected OWNER/NAME or OWNER/NAME@REVISION")]
    Name(String),
    /// A setting in the environment that cannot be used.
    #[error("{variable} is {value:?}: expected {expected}")]
    Setting {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// Values that can be used.
        expected: &'static str,
    },
    /// The file is not in the cache, and no connection may be opened.
    #[error(
        "it is not in {} and HF_HUB_OFFLINE forbids to ask for it: `cass models fetch {fetch}` on a \
         computer with a connection gets it, and `--weights random` does without", cache.display()
    )]
    Offline {
        /// The folder that was looked in.
        cache: PathBuf,
        /// The name to give to `cass models fetch`.
        fetch: String,
    },
    /// The Hub cannot be reached.
    #[error(
        "{endpoint} cannot be reached ({reason}): `cass models fetch {fetch}` on a computer with a \
         connection fills the cache, here {}, and `--weights random` does without", cache.display()
    )]
    Unreachable {
        /// The Hub's address.
        endpoint: String,
        /// What happened at the last attempt.
        reason: String,
        /// The folder that was looked in.
        cache: PathBuf,
        /// The name to give to `cass models fetch`.
        fetch: String,
    },
    /// Somebody else answers in its place, or a proxy does.
    #[error(
        "{endpoint} cannot be trusted ({reason}): behind a proxy with a certificate of its own, \
         name that in SSL_CERT_FILE"
    )]
    Untrusted {
        /// The Hub's address.
        endpoint: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// The server answers 401 or 403.
    #[error("{endpoint} refuses it ({status}): {expected}")]
    Denied {
        /// The Hub's address.
        endpoint: String,
        /// The HTTP status, with the Hub's own word for it.
        status: String,
        /// What would help.
        expected: &'static str,
    },
    /// The server answers 404.
    #[error("{endpoint} has none ({status})")]
    NotFound {
        /// The Hub's address.
        endpoint: String,
        /// The HTTP status, with the Hub's own word for it.
        status: String,
    },
    /// Trouble that passes, but did not in time.
    #[error("{reason}, and again at each of {attempts} attempts")]
    Trouble {
        /// What happened at the last attempt.
        reason: String,
        /// Number of attempts.
        attempts: u32,
    },
    /// Too long a wait is asked for.
    #[error("{status} and asks to wait {seconds} s: try again then")]
    Later {
        /// Which server answered, and with which status.
        status: String,
        /// Seconds to wait.
        seconds: u64,
    },
    /// All of it took too long.
    #[error(
        "{endpoint} did not send all of it within {seconds:.0} s; what came is kept, and `cass models fetch \
         --timeout` gives it longer"
    )]
    TooSlow {
        /// The Hub's address.
        endpoint: String,
        /// What it was given.
        seconds: f64,
    },
    /// An answer that is not the Hub's.
    #[error("{endpoint} does not answer as the Hub does: {reason}")]
    Answer {
        /// The Hub's address.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// Other bytes than were promised; nothing of them was kept.
    #[error("what came has SHA-256 {found}, expected {expected}; nothing of it was kept")]
    Checksum {
        /// SHA-256 that the Hub gives, in hexadecimal.
        expected: String,
        /// SHA-256 of the bytes, in hexadecimal.
        found: String,
    },
    /// A file of the cache that is no longer what was put there.
    #[error("{} has SHA-256 {found}: `cass models fetch {fetch}` replaces it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SHA-256 of the file, in hexadecimal.
        found: String,
        /// The name to give to `cass models fetch`.
        fetch: String,
    },
    /// The cache cannot be used.
    #[error("{} cannot be {action}: {source}", path.display())]
    Io {
        /// What was tried, as a participle: "read", "written".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl HubFault {
    /// Whether what was asked for or set is wrong, rather than the network or the disk failing.
    pub fn is_of_input(&self) -> bool {
        matches!(
            self,
            Self::Name(_)
                | Self::Setting { .. }
                | Self::Offline { .. }
                | Self::Denied { .. }
                | Self::NotFound { .. }
        )
    }

    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
