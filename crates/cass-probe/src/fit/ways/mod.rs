//! The ways to probe: training by epochs, logistic regression, nearest neighbours.

mod neighbours;
mod regression;
mod training;

pub(super) use neighbours::by_neighbours;
pub(super) use regression::by_regression;
pub(super) use training::by_training;

use super::features::Features;
use super::judge::{Decision, Said};
use super::parts::Parts;
use super::recipe::ProbeRecipe;
use super::reference::Reference;
use crate::Result;
use cass_data::dataset::Part;
use cass_metrics::MultiLabelPredictions;
use cass_models::Model;
use cass_run::names::{CHECKPOINT, REFERENCE};
use cass_run::{Action, ProbeReadings, RunDir, Tuned, sha256_of};
use cass_train::collapse::collapse_of;

/// Writes the network with its classifier as `checkpoint.safetensors`, where the recipe keeps it; its SHA-256.
fn save(
    recipe: &ProbeRecipe,
    parts: &Parts,
    model: &Model,
    run: &RunDir,
) -> Result<Option<String>> {
    if !recipe.keep_network {
        return Ok(None);
    }
    let metadata = [
        ("classes", parts.dataset.classes.join(",")),
        ("mode", recipe.mode.name().to_string()),
    ];
    run.write(CHECKPOINT, &model.to_safetensors(&metadata)?)?;
    let checkpoint = run.file(CHECKPOINT);
    let hash = sha256_of(&checkpoint);
    let hash = hash.map_err(cass_run::Error::io(Action::Read, &checkpoint))?;
    Ok(Some(hash))
}

/// What probabilities decide.
pub(crate) fn decide(recipe: &ProbeRecipe, probabilities: Vec<Vec<f64>>) -> Vec<Decision> {
    let choose = if recipe.multi_label {
        Decision::above_half
    } else {
        Decision::largest
    };
    probabilities.into_iter().map(choose).collect()
}

/// What thresholds chosen on the validation images would give on the test images, where an image may be of
/// several classes.
fn tuned(val: &Said, test: &Said) -> Result<Option<Tuned>> {
    let (Said::Any(val), Said::Any(test)) = (val, test) else {
        return Ok(None);
    };
    let of = |val: &MultiLabelPredictions, test: &MultiLabelPredictions| {
        let thresholds = val.best_thresholds();
        let metrics = test.decided_at(&thresholds).metrics()?;
        Ok(Tuned {
            thresholds: val.classes.iter().cloned().zip(thresholds).collect(),
            test_f1_macro: metrics.averages.f1_macro,
        })
    };
    of(val, test).map(Some)
}

/// What the frozen features themselves say.
fn read_features(features: &Features, readings: &mut ProbeReadings) {
    readings.collapse = collapse_of(features.rows(Part::Test), features.dim);
    readings.features_computed = Some(features.computed);
    readings.features_seconds = Some(features.seconds);
}

/// Keeps what the features of the training and the test images are like, next to a network that is kept.
fn refer(recipe: &ProbeRecipe, features: &Features, run: &RunDir) -> Result<()> {
    if !recipe.keep_network {
        return Ok(());
    }
    let (training, held_out) = (features.rows(Part::Train), features.rows(Part::Test));
    let reference = Reference::of_rows(training, held_out, features.dim);
    Ok(run.write(REFERENCE, &reference.to_safetensors()?)?)
}
