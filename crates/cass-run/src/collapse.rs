use crate::schema::number;
use serde::{Deserialize, Serialize};

/// How far a set of features has collapsed, from healthy to one point.
///
/// Read the three together: collapse to a point is a `mean_cosine` near 1, collapse to few
/// directions an `effective_rank` near 1, collapse in scale a `std` near 0.
///
/// ```
/// use cass_run::Collapse;
/// let healthy = Collapse { mean_cosine: 0.4, effective_rank: 31.0, std: 0.2 };
/// let point = Collapse { mean_cosine: 0.999, ..healthy };
/// assert!(!healthy.is_total() && point.is_total());
/// // Features that are not finite have no reading, and tell nothing apart either.
/// assert!(Collapse::is_total_in(None) && !Collapse::is_total_in(Some(healthy)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Collapse {
    /// Mean cosine similarity over all pairs of rows, in [-1, 1]. A zero row has cosine 0 with
    /// every other.
    #[serde(deserialize_with = "number")]
    pub mean_cosine: f64,
    /// Exponential of the entropy of the normalised singular values of the features, centred per
    /// dimension, in [1, min(rows - 1, dim)]; 0 where nothing varies (Roy & Vetterli 2007, "The
    /// effective rank"). Singular values under the f32 rounding of the features, 1e-7 of their
    /// Frobenius norm, count as 0.
    #[serde(deserialize_with = "number")]
    pub effective_rank: f64,
    /// Mean over dimensions of the standard deviation over rows (unbiased, as `torch.std`).
    #[serde(default = "nan", deserialize_with = "number")]
    pub std: f64,
}

impl Collapse {
    /// Features on fewer dimensions than this count as collapsed.
    pub const LEAST_RANK: f64 = 1.5;
    /// Features more alike than this count as collapsed.
    pub const MOST_COSINE: f64 = 0.99;

    /// Whether the features no longer tell images apart. Numbers that are none count as collapsed.
    pub fn is_total(&self) -> bool {
        let apart =
            self.effective_rank >= Self::LEAST_RANK && self.mean_cosine <= Self::MOST_COSINE;
        !apart
    }

    /// Whether features of this reading tell images apart no longer; those of no reading, which are
    /// not finite, do not.
    pub fn is_total_in(reading: Option<Self>) -> bool {
        reading.is_none_or(|reading| reading.is_total())
    }
}

/// How alike a network finds two views of an image, over some training images: no label is looked at. Cosines are those of
/// features less their mean over all views.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Views {
    /// Mean cosine of an image's two views, less that of its second view with the first ones of others, in [-2, 2].
    #[serde(deserialize_with = "number")]
    pub invariance: f64,
    /// Standard error of that mean over the images.
    #[serde(deserialize_with = "number")]
    pub standard_error: f64,
    /// Share of the images whose second view is nearest to their own first one.
    #[serde(deserialize_with = "number")]
    pub retrieval: f64,
}

fn nan() -> f64 {
    f64::NAN
}

/// Readings of one network, with its initial and its final weights; none where its features are not
/// finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BeforeAfter<T = Collapse> {
    /// Reading with the initial weights.
    pub before: Option<T>,
    /// Reading with the final weights.
    pub after: Option<T>,
}

impl BeforeAfter {
    /// Whether the initial weights' features told images apart no more than collapsed ones.
    pub fn was_collapsed(&self) -> bool {
        Collapse::is_total_in(self.before)
    }

    /// Whether the final weights' features have collapsed.
    pub fn is_collapsed(&self) -> bool {
        Collapse::is_total_in(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_counts_as_collapsed() {
        let read = |text: &str| serde_json::from_str::<BeforeAfter>(text).unwrap();
        let healthy = r#"{"mean_cosine": 0.6, "effective_rank": 8, "std": 1}"#;
        for (after, collapsed) in [
            (healthy, false),
            (r#"{"mean_cosine": 0.6, "effective_rank": 8}"#, false),
            (r#"{"mean_cosine": 0.995, "effective_rank": 8}"#, true),
            (r#"{"mean_cosine": 0.6, "effective_rank": 1.2}"#, true),
            (r#"{"mean_cosine": null, "effective_rank": 8}"#, true),
            (r#"{"mean_cosine": 0.6, "effective_rank": null}"#, true),
            ("null", true),
        ] {
            let both = read(&format!(r#"{{"before": {healthy}, "after": {after}}}"#));
            assert_eq!(both.is_collapsed(), collapsed, "{after}");
            assert!(!both.was_collapsed());
        }
    }
}
