//! What runs will take: a cost model, corrected by what finished runs took.

use super::{Cost, Downstream, Kind, Run};
use crate::networks::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
    pub memory_mib: f64,
    /// What its folder keeps.
    pub disk_mib: f64,
}

/// A backward pass costs two forward passes.
pub const TRAIN: f64 = 3.0;
/// Program, images and workspaces.
const BASE_MIB: f64 = 200.0;
/// Bytes of a weight.
const WEIGHT: f64 = 4.0;

impl Estimate {
    /// Operations over the profile's speed; weights, moments and activations; the weights it keeps. `parts` are
    /// the images for training, validation and test.
    pub fn of(
        run: &Run,
        (cost, size): (&Cost, u32),
        epochs: u32,
        batch: u32,
        parts: [f64; 3],
    ) -> Estimate {
        let [train, val, test] = parts;
        let train = train * f64::from(run.percent) / 100.0;
        let epochs = f64::from(epochs);
        // Of one image, through every network of the run.
        let forward: f64 = run.networks.values().map(|n| n.gflops(size)).sum();
        let parameters: f64 = run.networks.values().map(Network::parameters).sum();
        let pretraining = run.method.pretraining();
        let (passes, copies, views) = match (run.kind, pretraining, run.downstream) {
            // Weights, gradients and the two moments of Adam; a teacher besides, where one follows.
            (Kind::Pretrain, Some(method), _) => (
                epochs * train * (method.trained * TRAIN + method.followed),
                4.0 + f64::from(u8::from(method.followed > 0.0)),
                method.trained,
            ),
            (Kind::Pretrain, ..) => (epochs * train * TRAIN, 4.0, 1.0),
            // Every image once; the classifier itself costs next to nothing.
            (Kind::Probe, _, Some(Downstream::Finetune)) => {
                (epochs * cost.stop * (train * TRAIN + val) + test, 4.0, 1.0)
            }
            (Kind::Probe, ..) => (train + val + test, 1.0, 0.3),
        };
        let scores_only = run.recipe.iter().any(|word| word == "--scores-only");
        let kept = if scores_only { 0.0 } else { parameters };
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
    match (run.kind, run.downstream) {
        (Kind::Pretrain, _) => run
            .method
            .pretraining()
            .map_or("pretrain", |method| method.name),
        (Kind::Probe, Some(downstream)) => downstream.name(),
        (Kind::Probe, None) => "probe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Downstream, Job, Profile, Protocol};
    use crate::table::{Book, DataSet, Method};
    use std::collections::BTreeMap;

    /// Table 1 of the paper, in hours: what the estimate has to come near to.
    #[test]
    fn the_papers_own_times_are_estimated_within_a_third() {
        let book = Book::load().unwrap();
        let profile = Profile::find("paper").unwrap();
        let sets = [DataSet::BrainMri, DataSet::Isic2019];
        let facts = |set: DataSet| (set, crate::plan::Facts::counted(set));
        let job = Job {
            tables: vec![book.table("1").unwrap()],
            book: &book,
            profile: &profile,
            protocol: Protocol::Paper,
            downstream: vec![Downstream::Linear],
            seeds: vec![0],
            set: Vec::new(),
            data: sets.map(facts).into_iter().collect::<BTreeMap<_, _>>(),
        };
        let plan = job.plan();
        for (set, method, hours) in [
            (DataSet::BrainMri, Method::Cass, 7.18),
            (DataSet::BrainMri, Method::Dino, 26.35),
            (DataSet::Isic2019, Method::Cass, 29.97),
            (DataSet::Isic2019, Method::Dino, 109.35),
        ] {
            let runs = plan
                .runs
                .iter()
                .filter(|run| run.data == set && run.method == method);
            let estimate = runs.map(|run| run.estimate.seconds).sum::<f64>() / 3600.0;
            let share = estimate / hours;
            assert!(
                (0.67..1.5).contains(&share),
                "{set} {method}: {estimate} for {hours}"
            );
        }
        let most = plan
            .runs
            .iter()
            .map(|run| run.estimate.memory_mib)
            .fold(0.0, f64::max);
        assert!(
            (10_000.0..48.0 * 1024.0).contains(&most),
            "{most} MiB on a card of 48 GiB"
        );
    }

    #[test]
    fn finished_runs_correct_what_is_left() {
        let book = Book::load().unwrap();
        let profile = Profile::find("paper").unwrap();
        let job = Job {
            tables: vec![book.table("16").unwrap()],
            book: &book,
            profile: &profile,
            protocol: Protocol::Paper,
            downstream: vec![Downstream::Linear],
            seeds: vec![0],
            set: Vec::new(),
            data: BTreeMap::from([(
                DataSet::BrainMri,
                crate::plan::Facts::counted(DataSet::BrainMri),
            )]),
        };
        let runs = job.plan().runs;
        let mut costs = Costs::default();
        assert_eq!(costs.of(&runs[0]), runs[0].estimate.seconds);
        costs.add(&runs[0], 3.0 * runs[0].estimate.seconds);
        assert!((costs.of(&runs[1]) / runs[1].estimate.seconds - 3.0).abs() < 1e-9);
    }
}
