//! Files read and written whole, as a run's own are.

use anyhow::{Context, Result};
use std::path::Path;

/// A JSON file; `None` where there is none.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    Ok(cass_run::read_json(path)?)
}

/// Writes a whole file or none.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    cass_run::write_whole(path, bytes)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// SHA-256 of a file, in hexadecimal.
pub fn hash(path: &Path) -> Result<String> {
    cass_run::sha256_of(path).with_context(|| format!("{} cannot be read", path.display()))
}
