//! Initial weights: from a file, from the Hub, or fresh ones.

use crate::error::Result;
use crate::settings::Weights;
use cass_models::Model;
use cass_models::hub::{Hub, HubEvent};
use cass_run::Origin;

/// Weights that a network was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Where the weights came from and how they fitted, for people.
    pub text: String,
    /// Where the weights came from.
    pub origin: Origin,
}

/// Weights of the Hub as a run keeps them: the repository at a commit. Others stay as they are.
///
/// The Hub is asked, and the file brought into the cache, only where no commit is known yet. A run
/// that continues keeps the one it started with: `earlier` is what its recipe holds.
///
/// # Errors
/// If `network` is unknown or the Hub's file cannot be fetched.
pub fn resolve_weights(
    weights: &Weights,
    network: &str,
    earlier: Option<&Weights>,
    hub: &Hub,
    observe: &mut dyn FnMut(&HubEvent),
) -> Result<Weights> {
    let Some(id) = weights.hub_id(network)? else {
        return Ok(weights.clone());
    };
    if id.commit().is_some() {
        return Ok(weights.clone());
    }
    if let (Weights::Hub, Some(Weights::HubRepo(kept))) = (weights, earlier)
        && kept.repo() == id.repo()
        && kept.commit().is_some()
    {
        return Ok(Weights::HubRepo(kept.clone()));
    }
    Ok(Weights::HubRepo(hub.get(&id, observe)?.id))
}

/// Gives a fresh network, initialised from `seed`, the weights that a recipe names for `network`, with
/// or without a tag. What the cache lacks of the Hub is fetched, as the environment says.
///
/// # Errors
/// If a file cannot be read, does not fit the network, or lies in a run's folder and is another than
/// when the run finished.
pub fn load_weights(model: &Model, network: &str, weights: &Weights, seed: u64) -> Result<Loaded> {
    if let Some(id) = weights.hub_id(network)? {
        let file = Hub::from_env()?.get(&id, &mut |_| {})?;
        let mut report = model.load(&file.path)?;
        file.check(&report.sha256)?;
        let (repo, revision) = (file.id.repo(), file.id.revision());
        report.source = format!("hub:{}", file.id);
        return Ok(Loaded {
            text: report.to_string(),
            origin: Origin {
                source: report.source,
                repo: Some(repo.to_string()),
                revision: Some(revision.to_string()),
                sha256: Some(report.sha256),
            },
        });
    }
    match weights {
        Weights::File(file) => {
            cass_run::expect_intact(file)?;
            let report = model.load(file)?;
            Ok(Loaded {
                text: report.to_string(),
                origin: Origin {
                    source: report.source,
                    sha256: Some(report.sha256),
                    ..Origin::default()
                },
            })
        }
        _ => Ok(Loaded {
            text: format!("random weights, seed {seed}"),
            origin: Origin {
                source: "random".into(),
                ..Origin::default()
            },
        }),
    }
}
