//! `cass study`: one's own images, by this very program.

use crate::reproduce::host;
use cass_reproduce::{failed, study};
use std::process::ExitCode;

pub use cass_reproduce::StudyArgs as Args;

/// Runs it; results are printed as they come, errors are a line and exit code 2.
pub fn run(args: Args, json: bool) -> ExitCode {
    let done = study(args, &host("cass study"), json);
    done.unwrap_or_else(|error| failed(&error))
}
