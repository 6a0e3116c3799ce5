//! Who offers the commands, and what only that program knows.

use crate::machine::Device;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// What the program that offers the commands knows and this crate does not.
pub struct Host<'a> {
    /// How a user calls the commands, as `cargo xtask`: messages name the next command.
    pub caller: &'a str,
    /// The folder that `runs/PROFILE` goes to where `--out` is not given.
    pub base: PathBuf,
    /// Finds or builds the `cass` program for a device.
    pub cass: &'a dyn Fn(&Device) -> Result<PathBuf>,
    /// The commit that the program was built of, where it is known: part of a report's provenance.
    pub commit: &'a dyn Fn() -> Option<String>,
}

impl Host<'_> {
    /// The `cass` program for this computer's CPU.
    pub(crate) fn cass_on_cpu(&self) -> Result<PathBuf> {
        (self.cass)(&Device("cpu".to_owned()))
    }

    /// The output folder of a profile where none was named.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        Path::new(&self.base).join("runs").join(name)
    }
}
