use anyhow::{Context, Result};
use cass_metrics::{Groups, MultiLabelPredictions, Predictions};
use cass_run::{ProbeMetrics, names};
use std::path::Path;

/// What a finished probe predicted of its test images, and whose they are, where that is known.
pub fn predictions(
    folder: &Path,
    metrics: &ProbeMetrics,
) -> Result<(MultiLabelPredictions, Option<Groups>)> {
    let file = folder.join(names::PREDICTIONS);
    let failed = || format!("{} cannot be read", file.display());
    let predictions = match metrics.task.as_str() {
        "multi-label" => MultiLabelPredictions::read(&file, None).with_context(failed)?,
        _ => (&Predictions::read(&file).with_context(failed)?).into(),
    };
    let groups = folder.join(names::GROUPS);
    let groups = groups.is_file().then(|| Groups::read(&groups));
    Ok((predictions, groups.transpose()?))
}
