//! What `cass` leaves at the end of a run: `metrics.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `metrics.json`: written last by `cass`, so its presence means that the run is finished.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Metrics {
    Pretrain(PretrainMetrics),
    Probe(ProbeMetrics),
}

#[derive(Clone, Deserialize)]
pub struct PretrainMetrics {
    pub epochs: Vec<PretrainEpoch>,
    /// By arm: `cnn` and `vit`, or `net`.
    pub collapse: BTreeMap<String, BeforeAfter>,
    #[serde(flatten)]
    pub common: Common,
}

#[derive(Clone, Deserialize)]
pub struct ProbeMetrics {
    /// Scores on the test split; `null` where a score is not a number.
    pub test: Scores,
    /// Over the test set's features; frozen features only.
    pub collapse: Option<Reading>,
    #[serde(flatten)]
    pub common: Common,
}

#[derive(Clone, Deserialize)]
pub struct Common {
    pub seconds: f64,
    #[serde(default)]
    pub manifest: Option<String>,
    /// Where the initial weights came from, with their hash: a text, or one an arm.
    #[serde(default)]
    pub weights: serde_json::Value,
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    #[serde(default)]
    pub deviations: Vec<String>,
    #[serde(default)]
    pub chosen: Vec<String>,
}

impl Common {
    /// Weights that were read from the Hub, with their hash.
    pub fn origins(&self) -> Vec<String> {
        let of = |value: &serde_json::Value| {
            let text = |key: &str| value[key].as_str();
            let (repo, hash) = (text("repo")?, text("sha256")?);
            let revision = text("revision").unwrap_or("unknown revision");
            Some(format!("{repo} @ {revision}, sha256 {hash}"))
        };
        let arms = self
            .weights
            .as_object()
            .into_iter()
            .flat_map(|arms| arms.values());
        std::iter::once(&self.weights)
            .chain(arms)
            .filter_map(of)
            .collect()
    }
}

#[derive(Clone, Deserialize, Serialize)]
pub struct PretrainEpoch {
    pub epoch: u32,
    pub loss: Option<f64>,
}

#[derive(Clone, Deserialize)]
pub struct Scores {
    pub f1_macro: Option<f64>,
    pub f1_micro: Option<f64>,
    pub f1_weighted: Option<f64>,
    pub accuracy: Option<f64>,
    pub balanced_accuracy: Option<f64>,
    /// As the notebooks count it; under their protocol alone.
    pub f1_notebook: Option<f64>,
    /// A row a true class, a column a predicted class; not of several labels an image.
    #[serde(default, deserialize_with = "matrix")]
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// A matrix; of several labels an image there is one a class, which no report shows.
fn matrix<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<Vec<u64>>>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl Scores {
    /// A score of one of the [`METRICS`](crate::table::METRICS).
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "f1_macro" => self.f1_macro,
            "f1_micro" => self.f1_micro,
            "f1_weighted" => self.f1_weighted,
            "accuracy" => self.accuracy,
            "balanced_accuracy" => self.balanced_accuracy,
            "f1_notebook" => self.f1_notebook,
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Skipped {
    pub file: String,
    pub reason: String,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct BeforeAfter {
    pub before: Reading,
    pub after: Reading,
}

/// Whether features still tell images apart.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Reading {
    /// Mean cosine similarity of two images' features; 1: all point the same way.
    pub mean_cosine: Option<f64>,
    /// Exponential of the entropy of the features' singular values; 1: all lie on a line.
    pub effective_rank: Option<f64>,
}

impl Reading {
    /// Features on fewer dimensions than this are called collapsed,
    pub const LEAST_RANK: f64 = 1.5;
    /// and so are features more alike than this.
    pub const MOST_COSINE: f64 = 0.99;

    /// A reading that is not a number counts as collapsed: features without spread give one.
    pub fn collapsed(self) -> bool {
        !(self
            .effective_rank
            .is_some_and(|rank| rank >= Self::LEAST_RANK)
            && self
                .mean_cosine
                .is_some_and(|cosine| cosine <= Self::MOST_COSINE))
    }
}

impl Metrics {
    pub fn common(&self) -> &Common {
        match self {
            Metrics::Pretrain(metrics) => &metrics.common,
            Metrics::Probe(metrics) => &metrics.common,
        }
    }

    /// The line a finished run is reported with.
    pub fn summary(&self) -> String {
        match self {
            Metrics::Pretrain(metrics) => {
                let loss = |epoch: Option<&PretrainEpoch>| {
                    epoch
                        .and_then(|epoch| epoch.loss)
                        .map_or("?".to_owned(), |loss| format!("{loss:.2e}"))
                };
                let collapsed: Vec<_> = metrics
                    .collapse
                    .iter()
                    .filter(|(_, reading)| reading.after.collapsed())
                    .map(|(arm, _)| arm.as_str())
                    .collect();
                let note = match collapsed.as_slice() {
                    [] => String::new(),
                    arms => format!(" · COLLAPSED: {}", arms.join(", ")),
                };
                let (first, last) = (metrics.epochs.first(), metrics.epochs.last());
                format!("loss {} → {}{note}", loss(first), loss(last))
            }
            Metrics::Probe(metrics) => match metrics.test.f1_macro {
                Some(f1) => format!("macro F1 {f1:.4}"),
                None => "macro F1 is not a number".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_labels_an_image_have_scores_and_no_matrix() {
        let read = |confusion: &str| {
            let text = format!("{{\"f1_macro\":0.5,\"confusion\":{confusion}}}");
            serde_json::from_str::<Scores>(&text).unwrap()
        };
        assert_eq!(
            read("[[3,1],[0,4]]").confusion,
            Some(vec![vec![3, 1], vec![0, 4]])
        );
        let several = read("[[[0,13],[0,7]],[[11,0],[9,0]]]");
        assert_eq!((several.f1_macro, several.confusion), (Some(0.5), None));
    }

    #[test]
    fn collapse_is_a_named_threshold_and_nan_counts() {
        let reading = |mean_cosine, effective_rank| Reading {
            mean_cosine,
            effective_rank,
        };
        assert!(!reading(Some(0.6), Some(8.0)).collapsed());
        assert!(reading(Some(0.995), Some(8.0)).collapsed());
        assert!(reading(Some(0.6), Some(1.2)).collapsed());
        assert!(reading(None, Some(8.0)).collapsed());
    }
}
