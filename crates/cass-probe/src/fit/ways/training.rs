use super::super::counts::MicroCounts;
use super::super::epochs::fit;
use super::super::judge::{Decision, Judged};
use super::super::learner::Learner;
use super::super::parts::Parts;
use super::super::probe::{Outcome, Tell};
use super::super::recipe::ProbeRecipe;
use super::super::reference::Reference;
use super::{read_features, refer, save, tuned};
use crate::{Error, Result};
use cass_data::dataset::Part;
use cass_run::names::REFERENCE;
use cass_run::{ProbeReadings, RunDir};
use cass_train::methods::FocalForm;
use std::time::Instant;

/// Trains by epochs. It has converged if the best epoch is not the last that was allowed: else the next one
/// might have been better still.
pub(in super::super) fn by_training(
    recipe: &ProbeRecipe,
    parts: &Parts,
    learner: &mut Learner,
    run: &RunDir,
    tell: &mut Tell,
) -> Result<Outcome> {
    let started = Instant::now();
    let fitted = fit(recipe, parts, learner, tell)?;
    let seconds = started.elapsed().as_secs_f64();
    let hash = save(recipe, parts, learner.model(), run)?;
    let of = |part| {
        let logits = learner.logits(part)?;
        let mut counts = MicroCounts::default();
        counts.add(&logits, &parts.targets(part))?;
        let decisions = Decision::of(&logits, recipe)?;
        Ok::<_, Error>((Judged::of(recipe, parts, part, decisions)?, counts))
    };
    let ((val, _), (test, counts)) = (of(Part::Val)?, of(Part::Test)?);
    let mut readings = ProbeReadings {
        fit_seconds: Some(seconds),
        epochs: Some(fitted.epochs),
        best_epoch: Some(fitted.best_epoch),
        checkpoint_sha256: hash,
        tuned: tuned(&val.said, &test.said)?,
        ..ProbeReadings::default()
    };
    match learner.features() {
        Some(features) => {
            read_features(features, &mut readings);
            refer(recipe, features, run)?;
        }
        None if !recipe.keep_network => {}
        None => {
            let reference = Reference::of_network(learner.model(), parts)?;
            run.write(REFERENCE, &reference.to_safetensors()?)?;
        }
    }
    Ok(Outcome {
        val,
        test,
        f1_notebook: (recipe.loss == FocalForm::Sigmoid).then(|| counts.f1()),
        converged: fitted.best_epoch + 1 < recipe.epochs,
        readings,
    })
}
