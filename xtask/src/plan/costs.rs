//! What runs will take.

use std::collections::BTreeMap;

use super::{Role, Run};
use crate::table::Method;

/// Corrects the cost model by what finished runs of its kind really took.
pub struct Costs {
    /// Kind -> (estimated, measured) seconds of finished runs.
    seen: BTreeMap<&'static str, (f64, f64)>,
}

impl Costs {
    pub fn new() -> Costs {
        Costs {
            seen: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, run: &Run, seconds: f64) {
        let entry = self.seen.entry(kind(&run.role)).or_default();
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
            .get(kind(&run.role))
            .copied()
            .or_else(all)
            .unwrap_or((1.0, 1.0));
        run.estimate.seconds * measured / estimated
    }
}

fn kind(role: &Role) -> &'static str {
    match role {
        Role::Pretrain {
            method: Method::Cass,
            ..
        } => "cass",
        Role::Pretrain { .. } => "dino",
        Role::Probe { downstream, .. } => downstream.name(),
    }
}
