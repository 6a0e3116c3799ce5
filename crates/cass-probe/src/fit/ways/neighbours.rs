use super::super::features::Features;
use super::super::judge::{Judged, f1_macro};
use super::super::knn::{KNN_NEIGHBOURS, Knn};
use super::super::parts::Parts;
use super::super::probe::{Outcome, Tell};
use super::super::recipe::ProbeRecipe;
use super::{decide, read_features, refer, save};
use crate::Result;
use cass_data::dataset::Part;
use cass_models::Model;
use cass_run::names::NEIGHBOURS;
use cass_run::{Neighbours, NeighboursTried, ProbeReadings, RunDir};
use std::collections::BTreeMap;

/// Lets the labelled images vote. There is nothing to converge.
pub(in super::super) fn by_neighbours(
    recipe: &ProbeRecipe,
    parts: &Parts,
    model: &Model,
    run: &RunDir,
    tell: &mut Tell,
) -> Result<Outcome> {
    let features = Features::of(recipe, parts, model, tell)?;
    let (targets, classes) = (parts.targets(Part::Train), parts.dataset.classes.len());
    let samples = parts.indices(Part::Train).iter();
    let labels = samples.map(|&i| parts.dataset.samples[i].labels.clone());
    let rows = features.rows(Part::Train);
    let knn = Knn::multi_label(rows, features.dim, labels.collect(), classes)?;
    let judged = |part, k| {
        let votes = knn.probabilities(features.rows(part), k)?;
        Judged::of(recipe, parts, part, decide(recipe, votes))
    };
    let mut tried = BTreeMap::new();
    let mut best = (0, f64::NEG_INFINITY);
    for k in KNN_NEIGHBOURS {
        let said = decide(recipe, knn.leave_one_out(k));
        let train = f1_macro(classes, &targets, &said);
        let pairs = said.iter().zip(parts.indices(Part::Train));
        let right = pairs.filter(|(d, i)| d.classes == parts.dataset.samples[**i].labels);
        let train_accuracy = right.count() as f64 / said.len() as f64;
        let test = judged(Part::Test, k)?;
        tried.insert(
            k.to_string(),
            NeighboursTried {
                train_f1_macro: train,
                train_accuracy,
                test_f1_macro: test.metrics.f1_macro(),
                test_accuracy: test.metrics.accuracy(),
            },
        );
        if train > best.1 {
            best = (k, train);
        }
    }
    if recipe.keep_network {
        run.write(NEIGHBOURS, &knn.to_safetensors(best.0)?)?;
    }
    let mut readings = ProbeReadings {
        checkpoint_sha256: save(recipe, parts, model, run)?,
        knn: Some(Neighbours { k: best.0, tried }),
        ..ProbeReadings::default()
    };
    read_features(&features, &mut readings);
    refer(recipe, &features, run)?;
    Ok(Outcome {
        val: judged(Part::Val, best.0)?,
        test: judged(Part::Test, best.0)?,
        f1_notebook: None,
        converged: true,
        readings,
    })
}
