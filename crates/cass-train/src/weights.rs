use crate::error::{Error, Result};
use crate::recipe::Weights;
use cass_models::Model;
use serde_json::{Value, json};

/// Where a network's initial weights came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// For people.
    pub text: String,
    /// For `metrics.json`: `{"source"}`, with `"sha256"` where it is a file.
    pub value: Value,
}

/// Gives a fresh network, initialised from `seed`, the weights a recipe names.
///
/// # Errors
/// If a file does not fit the network, or for [`Weights::Hub`]: nothing is downloaded here.
pub fn load_weights(model: &Model, weights: &Weights, seed: u64) -> Result<Origin> {
    match weights {
        Weights::Random => Ok(Origin {
            text: format!("random weights, seed {seed}"),
            value: json!({"source": "random"}),
        }),
        Weights::File(file) => {
            let report = model.load(file)?;
            Ok(Origin {
                text: report.to_string(),
                value: json!({"source": report.source, "sha256": report.sha256}),
            })
        }
        Weights::Hub => Err(Error::Field {
            field: "weights".into(),
            value: "hub".into(),
            expected: format!(
                "random or a safetensors file of timm's {}: this version downloads nothing",
                model.name()
            ),
        }),
    }
}
