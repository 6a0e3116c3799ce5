//! Run folders that nothing was computed for, for tests of what reads them.

use cass_run::{
    BeforeAfter, Collapse, Common, Metrics, PretrainEpoch, PretrainEvent, PretrainMetrics,
    ProbeMetrics, ProbeReadings, RunDir, Scores, Skipped,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Features that tell images apart.
pub const HEALTHY: Collapse = Collapse {
    mean_cosine: 0.62,
    effective_rank: 14.2,
    std: 0.1,
};

/// A pretraining of both arms of CASS, which collapse, or of the one network of another method, which does not.
/// `noise`, from 0 to 1, varies its numbers.
pub fn pretrained(method: &str, epochs: usize, noise: f64) -> PretrainMetrics {
    let is_cass = method == "cass";
    let loss = |epoch: usize| {
        let epoch = epoch as f64;
        if is_cass {
            0.035 * (-1.6 * epoch).exp() * (0.7 + 0.6 * noise)
        } else {
            11.08 - 0.09 * epoch * (0.7 + noise)
        }
    };
    let after = |mean_cosine, effective_rank| BeforeAfter {
        before: Some(HEALTHY),
        after: Some(Collapse {
            mean_cosine,
            effective_rank,
            ..HEALTHY
        }),
    };
    let collapse = if is_cass {
        vec![
            ("cnn", after(0.9994, 1.1)),
            ("vit", after(0.9999, f64::NAN)),
        ]
    } else {
        vec![("net", after(0.44, 11.0 + noise))]
    };
    PretrainMetrics {
        method: method.into(),
        epochs: (0..epochs)
            .map(|epoch| PretrainEpoch {
                epoch,
                loss: loss(epoch),
                seconds: 3.1,
            })
            .collect(),
        collapse: collapse
            .into_iter()
            .map(|(arm, both)| (arm.into(), both))
            .collect(),
        common: Common {
            manifest: "sha256-of-the-images".into(),
            skipped: vec![Skipped::new(
                Path::new("Training/glioma/<b>.jpg"),
                "truncated",
            )],
            deviations: ["size = 64 (paper: 384)", "zero_grad = false (paper: true)"]
                .map(String::from)
                .into(),
            chosen: ["swa_start = 0.75 (of the epochs)", "headline F1 = macro"]
                .map(String::from)
                .into(),
            version: "0.0.0".into(),
            ..Common::new(10.0 + noise)
        },
        ..PretrainMetrics::default()
    }
}

/// A probe that scored `f1` by every measure.
pub fn probed(mode: &str, arch: &str, fraction: f64, f1: f64) -> ProbeMetrics {
    let score = Some(f1);
    ProbeMetrics {
        mode: mode.into(),
        arch: arch.into(),
        fraction,
        test: Scores {
            accuracy: score,
            balanced_accuracy: score,
            f1_macro: score,
            f1_micro: score,
            f1_weighted: score,
            ..Scores::default()
        },
        readings: ProbeReadings {
            collapse: (mode == "linear").then_some(HEALTHY),
            ..ProbeReadings::default()
        },
        common: Common {
            manifest: "sha256-of-the-images".into(),
            ..Common::new(2.0 + f1)
        },
        ..ProbeMetrics::default()
    }
}

/// Begins a run in a folder, as `cass` does: recipe, and a log of one step.
pub fn begin(folder: &Path, recipe: &str) -> RunDir {
    let run = RunDir::open(folder, recipe).expect("a folder to work in");
    let step = PretrainEvent::Step {
        epoch: 0,
        step: 0,
        steps: 2,
        loss: 0.5,
        lr: BTreeMap::new(),
        grad_norm: BTreeMap::new(),
        images_per_s: 4.0,
    };
    let mut log = run.log().expect("a log");
    log.write(&step).expect("a line in the log");
    run
}

/// Leaves the folder of a finished run.
pub fn leave(folder: &Path, recipe: &str, mut metrics: Metrics) {
    let run = begin(folder, recipe);
    let common = match &mut metrics {
        Metrics::Pretrain(metrics) => &mut metrics.common,
        Metrics::Probe(metrics) => &mut metrics.common,
    };
    common.files = run.sums();
    run.finish(&metrics).expect("metrics in the folder");
}
