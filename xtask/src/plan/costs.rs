//! What runs will take: a cost model, corrected by what finished runs took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Downstream, Kind, Run};
use crate::networks::Network;
use crate::profile::Profile;
use crate::table::Method;

/// What a run will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
    pub memory_mib: f64,
    /// What its folder keeps.
    pub disk_mib: f64,
}

/// A backward pass costs two forward passes.
const TRAIN: f64 = 3.0;
/// Program, images and workspaces.
const BASE_MIB: f64 = 200.0;
/// Bytes of a weight.
const WEIGHT: f64 = 4.0;

impl Estimate {
    /// Operations over the profile's speed; weights, moments and activations; the weights it keeps. `parts` are
    /// the images for training, validation and test.
    pub(super) fn of(
        run: &Run,
        profile: &Profile,
        epochs: u32,
        batch: u32,
        parts: [f64; 3],
    ) -> Estimate {
        let cost = &profile.cost;
        let [train, val, test] = parts;
        let train = train * f64::from(run.percent) / 100.0;
        let epochs = f64::from(epochs);
        // Of one image, through every network of the run.
        let forward: f64 = run.networks.values().map(|n| n.gflops(profile.size)).sum();
        let parameters: f64 = run.networks.values().map(Network::parameters).sum();
        // Weights, gradients and the two moments of Adam; DINO's teacher besides.
        let (passes, copies, views) = match (run.kind, run.method, run.downstream) {
            // Two local crops forward and back, two global ones forward.
            (Kind::Pretrain, Method::Dino, _) => (epochs * train * (2.0 * TRAIN + 2.0), 5.0, 2.0),
            (Kind::Pretrain, ..) => (epochs * train * TRAIN, 4.0, 1.0),
            // Every image once; the classifier itself costs next to nothing.
            (Kind::Probe, _, Some(Downstream::Linear)) => (train + val + test, 1.0, 0.3),
            (Kind::Probe, ..) => (epochs * cost.stop * (train * TRAIN + val) + test, 4.0, 1.0),
        };
        let kept = match (run.kind, run.downstream) {
            (Kind::Probe, Some(Downstream::Linear)) => 0.0,
            _ => parameters,
        };
        let mib = |weights: f64| weights * WEIGHT * 1e6 / (1 << 20) as f64;
        Estimate {
            seconds: cost.start + passes * forward / cost.gflops,
            memory_mib: BASE_MIB
                + mib(copies * parameters)
                + views * f64::from(batch) * forward * cost.mib_per_gflop,
            disk_mib: 1.0 + mib(kept),
        }
    }
}

/// Corrects the cost model by what finished runs of its kind really took.
#[derive(Default)]
pub struct Costs {
    /// Kind -> (estimated, measured) seconds of finished runs.
    seen: BTreeMap<&'static str, (f64, f64)>,
}

impl Costs {
    pub fn add(&mut self, run: &Run, seconds: f64) {
        let entry = self.seen.entry(kind(run)).or_default();
        entry.0 += run.estimate.seconds;
        entry.1 += seconds;
    }

    /// Expected seconds.
    pub fn of(&self, run: &Run) -> f64 {
        let all = || {
            let sum = self
                .seen
                .values()
                .fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            (sum.0 > 0.0).then_some(sum)
        };
        let (estimated, measured) = self
            .seen
            .get(kind(run))
            .copied()
            .or_else(all)
            .unwrap_or((1.0, 1.0));
        run.estimate.seconds * measured / estimated
    }
}

fn kind(run: &Run) -> &'static str {
    match (run.kind, run.method, run.downstream) {
        (Kind::Pretrain, Method::Cass, _) => "cass",
        (Kind::Pretrain, ..) => "dino",
        (Kind::Probe, _, Some(downstream)) => downstream.name(),
        (Kind::Probe, ..) => "probe",
    }
}
