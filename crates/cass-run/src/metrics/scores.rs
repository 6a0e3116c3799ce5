use serde::{Deserialize, Deserializer, Serialize};

/// Scores of a classifier on a part of the images, as far as readers of finished runs need them; each
/// is none where it is not defined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the definition")]
pub struct Scores {
    pub accuracy: Option<f64>,
    pub balanced_accuracy: Option<f64>,
    pub f1_macro: Option<f64>,
    pub f1_micro: Option<f64>,
    pub f1_weighted: Option<f64>,
    /// Macro F1 as the published notebooks count it; under their protocol alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f1_notebook: Option<f64>,
    /// One entry a class, in the order of the classes.
    pub per_class: Vec<ClassScores>,
    /// A row a true class, a column a predicted class; none of several labels an image.
    #[serde(deserialize_with = "matrix")]
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// Scores of one class against the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassScores {
    /// Name of the class.
    pub class: String,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Images of the class.
    pub support: u64,
}

impl Scores {
    /// Names that [`Scores::get`] knows.
    pub const NAMES: [&'static str; 6] = [
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "accuracy",
        "balanced_accuracy",
        "f1_notebook",
    ];

    /// A score by its key in `metrics.json`.
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

    /// Names of the classes, in order.
    pub fn classes(&self) -> Vec<String> {
        self.per_class.iter().map(|c| c.class.clone()).collect()
    }
}

/// A matrix; of several labels an image there is one a class, which nobody reads.
fn matrix<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Vec<u64>>>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
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
        let one = Some(vec![vec![3, 1], vec![0, 4]]);
        assert_eq!(read("[[3,1],[0,4]]").confusion, one);
        let several = read("[[[0,13],[0,7]],[[11,0],[9,0]]]");
        assert_eq!((several.f1_macro, several.confusion), (Some(0.5), None));
    }
}
