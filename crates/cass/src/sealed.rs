//! What finished runs still have of their files.

use crate::failure::Result;
use cass_run::{Metrics, RunDir};
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

/// That a run is not repeated, and which of its files are not there any more.
pub fn finished_already(run: &RunDir) -> Result<String> {
    let mut said = format!(
        "{} is finished already; nothing to do",
        run.path().display()
    );
    let removed = run.removed()?;
    if !removed.is_empty() {
        said += &format!(
            "\n  removed since it finished: {} (without metrics.json the same command does the run again)",
            removed.join(", ")
        );
    }
    Ok(said)
}
