//! `metrics.json`: what a run measured, written last.

mod common;
mod pretrain;
mod probe;
mod scores;

pub use common::{Common, Origin, Skipped};
pub use pretrain::{PretrainEpoch, PretrainMetrics};
pub use probe::{
    Bounds, Neighbours, NeighboursTried, Penalty, PenaltyTried, ProbeEpoch, ProbeMetrics,
    ProbeReadings, Tuned,
};
pub use scores::{ClassScores, Scores};

use crate::error;
use crate::names::METRICS;
use crate::schema;
use serde::{Deserialize, Serialize, Serializer};
use std::path::Path;

/// What a finished run of either kind measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "one a run")]
pub enum Metrics {
    /// A pretraining, without labels.
    Pretrain(PretrainMetrics),
    /// A probe, with labels.
    Probe(ProbeMetrics),
}

impl Metrics {
    /// Reads what the run of a folder measured; `None` where it is not finished.
    ///
    /// # Errors
    /// If the file is there but cannot be read, is damaged, or is of a newer schema.
    pub fn read(folder: &Path) -> error::Result<Option<Self>> {
        schema::read(&folder.join(METRICS))
    }

    /// What both kinds say.
    pub fn common(&self) -> &Common {
        match self {
            Self::Pretrain(metrics) => &metrics.common,
            Self::Probe(metrics) => &metrics.common,
        }
    }

    /// Where the weights came from: of each arm, or of the network that was probed.
    pub fn origins(&self) -> Vec<&Origin> {
        match self {
            Self::Pretrain(metrics) => metrics.weights.values().collect(),
            Self::Probe(metrics) => vec![&metrics.weights],
        }
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pretrain(metrics) => metrics.serialize(to),
            Self::Probe(metrics) => metrics.serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collapse::Collapse;

    /// As a version without a schema wrote it.
    const OLD: &str = r#"{"kind": "pretrain", "epochs": [{"epoch": 0, "loss": null}], "seconds": 1.5,
        "collapse": {"cnn": {"before": null, "after": null}}, "weights": {"cnn": "random"}}"#;

    #[test]
    fn an_older_folder_is_read_and_says_what_it_says() {
        let Metrics::Pretrain(old) = serde_json::from_str(OLD).unwrap() else {
            panic!("its kind is pretrain");
        };
        assert!(old.epochs[0].loss.is_nan());
        assert_eq!((old.common.schema, old.common.seconds), (0, 1.5));
        assert_eq!(old.weights["cnn"].source, "random");
        assert!(Collapse::is_total_in(old.collapse["cnn"].after));
        let written = serde_json::to_value(Metrics::Pretrain(old)).unwrap();
        assert_eq!(written["kind"], "pretrain");
        assert!(written["epochs"][0]["loss"].is_null());
    }
}
