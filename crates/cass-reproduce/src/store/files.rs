//! Files written whole, as a run's own are.

use anyhow::{Context, Result};
use std::path::Path;

/// Writes a whole file or none.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    cass_run::write_whole(path, bytes)
        .with_context(|| format!("{} cannot be written", path.display()))
}
