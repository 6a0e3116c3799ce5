//! A probe's network with its classifier, as a folder for other programs.

use crate::fit::{ProbeMode, ProbeRecipe};
use crate::{Error, Result};
use cass_metrics::{MultiLabelPredictions, Predictions};
use cass_models::Model;
use cass_models::export::Format;
use cass_run::Finished;
use cass_run::names::{CHECKPOINT, PREDICTIONS};
use cass_train::export::{Network, export_network};
use std::path::Path;

/// Writes the network of a finished probe as a folder that timm loads, or as ONNX, its outputs under the names of the
/// classes. `arm`, if given, must be the arm that was probed.
///
/// # Errors
/// If the run is not a probe, is of another arm or of mode `knn`, if its `predictions.csv` does not tell the classes,
/// or as [`export_network`].
pub fn export(run: &Finished, arm: Option<&str>, format: Format, out: &Path) -> Result<Model> {
    let wrong = |reason: String| Error::Run {
        path: run.path.clone(),
        reason,
    };
    let recipe = ProbeRecipe::from_toml(&run.recipe).map_err(|error| wrong(error.to_string()))?;
    if let Some(arm) = arm.filter(|arm| recipe.arm.as_deref() != Some(arm)) {
        return Err(wrong(match &recipe.arm {
            Some(probed) => format!("it has no arm {arm}: expected {probed}"),
            None => {
                format!("it has no arm {arm}: its network is of no pretraining, leave --arm out")
            }
        }));
    }
    if recipe.mode == ProbeMode::Knn {
        let why = "a knn probe fits no classifier: expected one of mode linear or finetune";
        return Err(wrong(why.into()));
    }
    recipe.expect_network(&run.path)?;
    let file = run.intact(PREDICTIONS)?;
    let classes = if recipe.multi_label {
        MultiLabelPredictions::read(&file, None).map(|p| p.classes)
    } else {
        Predictions::read(&file).map(|p| p.classes)
    };
    let classes =
        classes.map_err(|error| wrong(format!("the names of its classes are unknown: {error}")))?;
    let network = Network {
        name: &recipe.network,
        checkpoint: CHECKPOINT,
        outputs: classes.len(),
        size: recipe.size,
        in_chans: recipe.data.in_chans,
        label_names: classes,
        on_features: recipe.mode != ProbeMode::Finetune,
        normalization: recipe.normalization.of(&recipe.network, &recipe.weights)?,
        method: recipe.mode.name(),
        arm: recipe.arm.as_deref(),
    };
    Ok(export_network(run, network, format, out)?)
}
