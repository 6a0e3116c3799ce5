//! What finished runs measured and predicted.

use super::plan::Study;
use crate::plan::Downstream;
use crate::store::{Folder, folder, predictions};
use crate::table::{Arm, Method};
use anyhow::{Context, Result};
use cass_metrics::{Groups, MultiLabelPredictions};
use cass_run::{BeforeAfter, Metrics, names};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Runs of one kind: they differ in their seed alone.
pub struct Cell {
    pub arm: Arm,
    pub method: Method,
    pub downstream: Downstream,
    /// Share of the labels.
    pub percent: u32,
    pub runs: Vec<Scored>,
}

/// What one run measured.
pub struct Scored {
    pub folder: PathBuf,
    pub seed: u64,
    /// Labels that it was fitted on.
    pub labels: usize,
    /// Macro F1 on the test images and on the validation images.
    pub f1: f64,
    pub val_f1: f64,
    pub converged: bool,
    pub predictions: MultiLabelPredictions,
    pub groups: Option<Groups>,
}

/// All that a study found.
pub struct Found {
    pub cells: Vec<Cell>,
    /// Each arm's features before and after pretraining, of each seed.
    pub collapse: BTreeMap<Arm, Vec<BeforeAfter>>,
    /// Loss of each epoch of each pretraining.
    pub losses: Vec<Vec<f64>>,
    /// Seconds of all runs.
    pub seconds: f64,
    /// What is not as in the paper, and what the paper leaves open and was chosen.
    pub deviations: Vec<String>,
    pub chosen: Vec<String>,
}

impl Cell {
    /// Mean macro F1 on the test images, and its sample deviation over seeds.
    pub fn mean_and_std(&self) -> (f64, Option<f64>) {
        let values: Vec<f64> = self.runs.iter().map(|run| run.f1).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>();
        (
            mean,
            (values.len() > 1).then(|| (square / (n - 1.0)).sqrt()),
        )
    }

    /// Mean macro F1 on the validation images, by which choices are made.
    pub fn val_f1(&self) -> f64 {
        self.runs.iter().map(|run| run.val_f1).sum::<f64>() / self.runs.len() as f64
    }
}

impl Found {
    /// Reads what is finished.
    pub fn read(study: &Study, out: &Path) -> Result<Found> {
        let mut found = Found {
            cells: Vec::new(),
            collapse: BTreeMap::new(),
            losses: Vec::new(),
            seconds: 0.0,
            deviations: Vec::new(),
            chosen: Vec::new(),
        };
        for seed in 0..study.choice.seeds {
            let path = folder(out, &study.pretraining(seed).name);
            if let Some((_, Metrics::Pretrain(metrics))) = finished(&path)? {
                for (name, reading) in &metrics.collapse {
                    let arm = if name == "cnn" { Arm::Cnn } else { Arm::Vit };
                    found.collapse.entry(arm).or_default().push(*reading);
                }
                found
                    .losses
                    .push(metrics.epochs.iter().map(|epoch| epoch.loss).collect());
                found.add(&metrics.common);
            }
        }
        for cell in study.cells() {
            let (arm, method, downstream, percent) = cell;
            let mut runs = Vec::new();
            for seed in 0..study.choice.seeds {
                let path = folder(out, &study.name_of(cell, seed));
                if let Some((folder, Metrics::Probe(metrics))) = finished(&path)? {
                    found.add(&metrics.common);
                    runs.push(scored(folder, &metrics, seed)?);
                }
            }
            if !runs.is_empty() {
                found.cells.push(Cell {
                    arm,
                    method,
                    downstream,
                    percent,
                    runs,
                });
            }
        }
        Ok(found)
    }

    /// The cell of that kind, if any of its runs is finished.
    pub fn cell(
        &self,
        arm: Arm,
        method: Method,
        downstream: Downstream,
        percent: u32,
    ) -> Option<&Cell> {
        let kind = (arm, method, downstream, percent);
        let of = |cell: &&Cell| (cell.arm, cell.method, cell.downstream, cell.percent) == kind;
        self.cells.iter().find(of)
    }

    fn add(&mut self, common: &cass_run::Common) {
        self.seconds += common.seconds;
        for (own, said) in [
            (&mut self.deviations, &common.deviations),
            (&mut self.chosen, &common.chosen),
        ] {
            for line in said {
                if !own.contains(line) {
                    own.push(line.clone());
                }
            }
        }
    }
}

fn finished(path: &Path) -> Result<Option<(PathBuf, Metrics)>> {
    let Some(folder) = Folder::read(path)? else {
        return Ok(None);
    };
    Ok(folder.metrics.ok().map(|metrics| (folder.path, metrics)))
}

fn scored(folder: PathBuf, metrics: &cass_run::ProbeMetrics, seed: u64) -> Result<Scored> {
    let (predictions, groups) = predictions(&folder, metrics)?;
    let missing = || format!("{} has no macro F1", folder.join(names::METRICS).display());
    Ok(Scored {
        seed,
        labels: metrics.labels,
        f1: metrics.test.f1_macro.with_context(missing)?,
        val_f1: metrics
            .val
            .as_ref()
            .and_then(|val| val.f1_macro)
            .unwrap_or(0.0),
        converged: metrics.converged.unwrap_or(true),
        predictions,
        groups,
        folder,
    })
}
