//! What a user reads when a command fails, and the exit code that scripts read.

use std::fmt;
use std::process::ExitCode;

/// A failed command.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or input, which the user can correct. Exit code 2.
    Wrong(String),
    /// The run itself failed. Exit code 1.
    Failed(String),
    /// The run was asked to stop, and can continue. Exit code 130, what shells give for Ctrl-C.
    Stopped(String),
    /// Another process works in the run folder, or has taken it over. Exit code 75, `EX_TEMPFAIL` of
    /// `sysexits.h`: the same command may succeed later.
    Elsewhere(String),
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Wrong(_) => 2,
            Self::Failed(_) => 1,
            Self::Stopped(_) => 130,
            Self::Elsewhere(_) => 75,
        })
    }

    /// A library's error, whose message is a sentence.
    fn of(error: &dyn fmt::Display, is_of_user: bool) -> Self {
        let text = one_line(error);
        if is_of_user {
            Self::Wrong(text)
        } else {
            Self::Failed(text)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text)
            | Self::Failed(text)
            | Self::Stopped(text)
            | Self::Elsewhere(text) => f.write_str(text),
        }
    }
}

impl From<cass_data::Error> for Failure {
    fn from(error: cass_data::Error) -> Self {
        let text = one_line(&error);
        if of_data(&error) {
            Self::Wrong(text)
        } else {
            Self::Failed(text)
        }
    }
}

impl From<cass_models::Error> for Failure {
    fn from(error: cass_models::Error) -> Self {
        let text = one_line(&error);
        if of_models(&error) {
            Self::Wrong(text)
        } else {
            Self::Failed(text)
        }
    }
}

impl From<cass_run::Error> for Failure {
    fn from(error: cass_run::Error) -> Self {
        use cass_run::Error;
        let text = one_line(&error);
        match error {
            Error::Locked { .. } | Error::Fenced { .. } => Self::Elsewhere(text),
            Error::Io { .. } | Error::Gone { .. } => Self::Failed(text),
            _ => Self::Wrong(text),
        }
    }
}

impl From<cass_train::Error> for Failure {
    fn from(error: cass_train::Error) -> Self {
        use cass_train::Error;
        match error {
            Error::Interrupted { .. } => Self::Stopped(one_line(&error)),
            Error::Run(error) => error.into(),
            Error::Data(error) => error.into(),
            Error::Model(error) => error.into(),
            _ => Self::of(&error, of_train(&error)),
        }
    }
}

impl From<cass_metrics::Error> for Failure {
    fn from(error: cass_metrics::Error) -> Self {
        Self::Wrong(one_line(&error))
    }
}

impl From<cass_probe::Error> for Failure {
    fn from(error: cass_probe::Error) -> Self {
        use cass_probe::Error;
        match error {
            Error::Metrics(error) => error.into(),
            Error::Data(error) => error.into(),
            Error::Model(error) => error.into(),
            Error::Train(error) => error.into(),
            Error::Folder(error) => error.into(),
            Error::TooFew { .. }
            | Error::OneClass { .. }
            | Error::NoLabels { .. }
            | Error::UnknownLabels { .. }
            | Error::Features { .. }
            | Error::Look { .. }
            | Error::NoOutput { .. }
            | Error::Channels { .. }
            | Error::Run { .. } => Self::Wrong(one_line(&error)),
            _ => Self::Failed(one_line(&error)),
        }
    }
}

/// The text of an error, on one line whatever a dependency put into it.
fn one_line(error: &dyn fmt::Display) -> String {
    error.to_string().replace('\n', " ")
}

/// Whether the input is wrong, rather than the run having failed.
fn of_data(error: &cass_data::Error) -> bool {
    use cass_data::Error;
    !matches!(
        error,
        Error::Io { .. } | Error::Threads(_) | Error::Tensor(_)
    )
}

fn of_train(error: &cass_train::Error) -> bool {
    use cass_train::Error;
    match error {
        Error::Model(error) => of_models(error),
        Error::Mismatch(_) => true,
        Error::Data(_) // has an answer of its own
        | Error::NoGradient(_)
        | Error::State(_)
        | Error::NonFinite { .. }
        | Error::Run(_)
        | Error::Collapsed { .. }
        | Error::Interrupted { .. }
        | Error::Tensor(_) => false,
    }
}

fn of_models(error: &cass_models::Error) -> bool {
    use cass_models::Error;
    match error {
        Error::Hub { fault, .. } => fault.is_of_input(),
        Error::Write { .. } | Error::Candle(_) => false,
        _ => true,
    }
}
