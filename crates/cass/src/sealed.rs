//! Runs from before files were counted.

use cass_run::Metrics;
use std::path::Path;

/// Says so where a finished run was left without checksums, so that damage to its files cannot be told.
pub fn note(run: &Path) {
    if let Ok(Some(metrics)) = Metrics::read(run)
        && metrics.common().files.is_empty()
    {
        tracing::info!(
            "note: an earlier version left {} without checksums; its files are taken as they are",
            run.display()
        );
    }
}
