use std::path::{Path, PathBuf};
use std::{fmt, io};

/// What can be wrong with a run folder. Each message is a sentence by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that the system does not let us use.
    #[error("{} cannot be {action}: {source}", path.display())]
    Io {
        /// What was tried.
        action: Action,
        /// The file or folder.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error("{} cannot be used: {owner} is running in it", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// `process 123 on node-1`, or `another process`.
        owner: String,
    },
    /// Another process has taken over the folder that this one worked in.
    #[error("{} cannot be written: its lock is lost, {owner} has taken the run over", path.display())]
    Fenced {
        /// The folder.
        path: PathBuf,
        /// `process 123 on node-2`, or `another process`.
        owner: String,
    },
    /// The folder, or what says who owns it, was removed while this process worked in it.
    #[error("{} cannot be written: its {name} was removed while the run was going", path.display())]
    Gone {
        /// The folder.
        path: PathBuf,
        /// What is missing in it.
        name: String,
    },
    /// The folder is somebody's: no run began in it, and it is not empty.
    #[error("{} is no run folder and not empty (it holds {}): expected a new or an empty folder", path.display(), crate::printable(name))]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Name of a file in it that no run left.
        name: String,
    },
    /// The folder belongs to a run of another recipe.
    #[error("{} holds a run with another recipe ({difference}); choose another folder", path.display())]
    OtherRecipe {
        /// The folder.
        path: PathBuf,
        /// The first field that differs, with both values.
        difference: String,
    },
    /// Recipe text that is not TOML, or has an unknown key or a value of the wrong type.
    #[error("the recipe cannot be read: {0}")]
    Recipe(String),
    /// A field of a recipe that cannot be given a value.
    #[error("`{assignment}` cannot be set: {reason}")]
    Assignment {
        /// The assignment as it was given, `FIELD=VALUE`.
        assignment: String,
        /// Why it cannot, and what was expected.
        reason: String,
    },
    /// A field of a recipe with a value that no run can have.
    #[error("`{field}` is {value}; expected {expected}")]
    Field {
        /// The field, with dots for tables.
        field: String,
        /// What it was set to.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// More memory than there is.
    #[error("the run needs at least {:.1} GiB of memory, and this process can have {:.1} GiB: expected a smaller size, batch or network", *bytes as f64 / (1u64 << 30) as f64, *most as f64 / (1u64 << 30) as f64)]
    Memory {
        /// What the run needs, at the least.
        bytes: u128,
        /// What it can have, at the most.
        most: u64,
    },
    /// A folder that holds no finished run.
    #[error("{} holds no finished run: {reason}", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A file of a run that is not what such a file is.
    #[error("{} cannot be used: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// A file of a run that a later version wrote.
    #[error("{} is of schema {found}; expected at most {known}: use the version of cass that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: u32,
        /// The latest one that is known here.
        known: u32,
    },
}

/// What was tried with a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To read it.
    Read,
    /// To write it.
    Write,
    /// To create it.
    Create,
    /// To remove it.
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "written",
            Self::Create => "created",
            Self::Remove => "removed",
        })
    }
}

impl Error {
    /// Makes an error of the system's answer.
    pub fn io(action: Action, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Names a field with a value that no run can have.
    pub fn field(
        field: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Field {
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
