//! What is not as in the paper.

use super::gather::Source;
use anyhow::Result;
use cass_run::Metrics;
use std::collections::BTreeSet;

impl Source<'_> {
    /// Every setting that is not the paper's.
    pub(super) fn deviations(&self) -> Result<Vec<String>> {
        let job = self.job;
        let mut deviations = Vec::new();
        for (set, facts) in &job.data {
            let text = |images: &[u64]| {
                let images: Vec<_> = images.iter().map(u64::to_string).collect();
                images.join(" + ")
            };
            if facts.phantoms || facts.images != set.images() {
                let field = match job.data.len() {
                    1 => "images".to_owned(),
                    _ => format!("images of {set}"),
                };
                let kind = if facts.phantoms {
                    " drawn phantoms"
                } else {
                    ""
                };
                let (ours, paper) = (text(&facts.images), text(set.images()));
                deviations.push(format!("{field} = {ours}{kind} (paper: {paper})"));
            }
        }
        let networks = job
            .tables
            .iter()
            .flat_map(|table| job.networks(table))
            .collect();
        deviations.extend(job.profile.deviations(job.seeds.len() as u64, &networks)?);
        deviations.extend(self.recipe_deviations());
        Ok(deviations)
    }

    /// What `cass` says differs from the paper, but for what the profile decides, which is compared already, and
    /// what a table varies on purpose.
    fn recipe_deviations(&self) -> BTreeSet<String> {
        const OF_PROFILE: [&str; 5] = ["size", "epochs", "batch", "network", "weights"];
        const VARIED: [&str; 3] = ["optimizer", "augment", "pipeline"];
        let mut deviations = BTreeSet::new();
        for (folder, metrics) in self.finished() {
            let step = match metrics {
                Metrics::Pretrain(_) => "pretraining",
                Metrics::Probe(_) => "downstream",
            };
            let varied = !folder.info.run.variant.is_empty();
            for text in &metrics.common().deviations {
                let path = text.split(" = ").next().unwrap_or_default();
                let field = path.rsplit('.').next().unwrap_or_default();
                let meant = varied
                    && folder.info.run.label.is_none()
                    && VARIED.iter().any(|part| path.contains(part));
                if OF_PROFILE.contains(&field) || meant {
                    continue;
                }
                // What a row beyond the paper differs in is said of that row.
                let of = folder.info.run.label.as_ref();
                let of = of.map(|label| format!("{label}: ")).unwrap_or_default();
                deviations.insert(format!("{of}{step} {text}"));
            }
        }
        deviations
    }
}
