//! The line that a finished run is reported with.

use cass_run::{Metrics, PretrainEpoch};

/// How a finished run ended, in a few words.
pub fn summary(metrics: &Metrics) -> String {
    match metrics {
        Metrics::Pretrain(metrics) => {
            let loss = |epoch: Option<&PretrainEpoch>| match epoch {
                Some(epoch) if epoch.loss.is_finite() => format!("{:.2e}", epoch.loss),
                _ => "?".to_owned(),
            };
            let collapsed = metrics.collapse.iter();
            let collapsed: Vec<_> = collapsed
                .filter(|(_, reading)| reading.is_collapsed())
                .map(|(arm, _)| arm.as_str())
                .collect();
            let note = match collapsed.as_slice() {
                [] => String::new(),
                arms => format!(" · COLLAPSED: {}", arms.join(", ")),
            };
            let (first, last) = (metrics.epochs.first(), metrics.epochs.last());
            format!("loss {} → {}{note}", loss(first), loss(last))
        }
        Metrics::Probe(metrics) => match metrics.test.f1_macro {
            Some(f1) => format!("macro F1 {f1:.4}"),
            None => "macro F1 is not a number".to_owned(),
        },
    }
}
