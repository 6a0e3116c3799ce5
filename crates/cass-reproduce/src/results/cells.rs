//! The cells of a table: which runs are behind each, and what they measured.

use super::entries::Cell;
use super::gather::Source;
use super::stats::{apart, mean_std};
use crate::plan::{Downstream, Run};
use crate::table::{CellName, Content, Measure, Subject, Table, Value};
use cass_run::{Metrics, Scores};
use std::collections::BTreeMap;

/// The scores behind a cell.
#[derive(Default)]
struct Scored {
    by_seed: BTreeMap<u64, f64>,
    runs: Vec<String>,
    missing: Vec<String>,
    others: BTreeMap<&'static str, Vec<f64>>,
    confusion: Option<Vec<Vec<u64>>>,
    unconverged: usize,
}

impl Source<'_> {
    /// The cells of a table, row by row.
    pub(super) fn cells(&self, table: &Table, downstream: Downstream, cells: &mut Vec<Cell>) {
        for (r, row) in table.rows.iter().enumerate() {
            for (c, (column, cell)) in table.columns.iter().zip(&row.cells).enumerate() {
                let subject = match &cell.content {
                    Content::Runs(subject) if !self.job.shows(subject, downstream) => continue,
                    Content::Runs(subject) => Some(&**subject),
                    Content::Computed { .. } => None,
                };
                let scored = self.read(&cell.content, table, downstream);
                let values: Vec<f64> = scored.by_seed.values().copied().collect();
                let (mean, std) = mean_std(&values);
                // The paper prints nothing of what is ours alone.
                let printed = cell.printed.as_ref().filter(|_| downstream.is_papers());
                let hours = subject.is_some_and(|subject| subject.measure == Measure::Hours);
                let percent = subject.map_or_else(
                    || {
                        row.head
                            .iter()
                            .find_map(|head| head.strip_suffix('%')?.parse().ok())
                    },
                    |subject| Some(subject.percent),
                );
                let percent = percent.unwrap_or(100);
                let theirs = printed.and_then(|p| Some((p.mean, p.std?, PAPER_SEEDS)));
                let (backbone, paper_backbone) = self.backbones(subject);
                cells.push(Cell {
                    table: table.number.clone(),
                    row: row.id.clone(),
                    column: column.id.clone(),
                    place: (r, c),
                    downstream,
                    data: subject.map(|subject| subject.data),
                    method: match &cell.content {
                        Content::Runs(subject) => subject.method_name(),
                        Content::Computed { method, .. } => method.clone(),
                    },
                    arm: subject.filter(|_| !hours).map(|subject| subject.arm),
                    backbone,
                    paper_backbone,
                    percent,
                    fraction: f64::from(percent) / 100.0,
                    metric: if hours {
                        "hours".to_owned()
                    } else {
                        table.metric.clone()
                    },
                    mean,
                    std,
                    n: values.len(),
                    apart: theirs.and_then(|theirs| apart(&values, theirs)),
                    values,
                    seeds: scored.by_seed.keys().copied().collect(),
                    runs: scored.runs,
                    paper_mean: printed.map(|p| p.mean),
                    paper_std: printed.and_then(|p| p.std),
                    paper_printed: printed.map(|p| p.text.clone()),
                    delta: mean.zip(printed).map(|(mean, printed)| mean - printed.mean),
                    other: scored
                        .others
                        .into_iter()
                        .filter_map(|(metric, values)| Some((metric, mean_std(&values).0?)))
                        .collect(),
                    confusion: scored.confusion,
                    unconverged: scored.unconverged,
                    missing: scored.missing,
                });
            }
        }
    }

    /// The network here and the paper's; both, where a cell is of both.
    fn backbones(&self, subject: Option<&Subject>) -> (String, String) {
        let Some(subject) = subject else {
            return Default::default();
        };
        let papers = match subject.measure {
            Measure::Hours => vec![&subject.cnn, &subject.vit],
            Measure::Score => vec![subject.network(subject.arm)],
        };
        let join = |names: Vec<&str>| names.join(" + ");
        (
            join(
                papers
                    .iter()
                    .map(|n| self.job.profile.network(n).name())
                    .collect(),
            ),
            join(papers.iter().map(|n| n.short()).collect()),
        )
    }

    fn read(&self, content: &Content, table: &Table, downstream: Downstream) -> Scored {
        match content {
            Content::Runs(subject) => self.read_runs(subject, &table.metric, downstream),
            Content::Computed { value, .. } => {
                let value = value.value(&|name| self.values(name, table, downstream));
                let mut scored = Scored::default();
                match value {
                    Some(Value::BySeed(by_seed)) => scored.by_seed = by_seed,
                    _ => scored
                        .missing
                        .push("a cell it is computed from is missing".to_owned()),
                }
                for seed in &self.job.seeds {
                    if !scored.by_seed.contains_key(seed) && scored.missing.is_empty() {
                        scored.missing.push(format!(
                            "seed {seed}: a cell it is computed from is missing"
                        ));
                    }
                }
                scored
            }
        }
    }

    /// A named cell's values, `None` without any.
    pub(super) fn values(
        &self,
        name: &CellName,
        table: &Table,
        downstream: Downstream,
    ) -> Option<BTreeMap<u64, f64>> {
        let book = self.job.book;
        let other = match &name.table {
            Some(number) => book.table(number).ok()?,
            None => table,
        };
        let scored = self.read(&other.find(&name.cell)?.content, other, downstream);
        (!scored.by_seed.is_empty()).then_some(scored.by_seed)
    }

    fn read_runs(&self, subject: &Subject, metric: &str, downstream: Downstream) -> Scored {
        let mut scored = Scored::default();
        for &seed in &self.job.seeds {
            let runs = self.job.runs(subject, downstream, seed);
            let value = match subject.measure {
                Measure::Hours => self.hours(&runs),
                Measure::Score => match runs.last() {
                    Some(run) => self.score(run, metric, &mut scored),
                    None => Err("no run".to_owned()),
                },
            };
            match value {
                Ok(value) => {
                    scored.by_seed.insert(seed, value);
                    let read: &[Run] = match subject.measure {
                        Measure::Hours => &runs,
                        Measure::Score => &runs[runs.len() - 1..],
                    };
                    scored.runs.extend(read.iter().map(|run| run.name.clone()));
                }
                Err(reason) => scored.missing.push(format!("seed {seed}: {reason}")),
            }
        }
        scored
    }

    fn score(&self, run: &Run, metric: &str, scored: &mut Scored) -> Result<f64, String> {
        let Metrics::Probe(probe) = self.metrics(run)? else {
            return Err(format!("{} holds a pretraining", run.name));
        };
        let test = &probe.test;
        let score = test.get(metric).ok_or("its score is not a number")?;
        for other in Scores::NAMES.iter().filter(|other| **other != metric) {
            scored
                .others
                .entry(other)
                .or_default()
                .extend(test.get(other));
        }
        if let Some(confusion) = &test.confusion {
            add(&mut scored.confusion, confusion);
        }
        scored.unconverged += usize::from(probe.converged == Some(false));
        Ok(score)
    }

    /// Hours of all pretrainings together.
    fn hours(&self, runs: &[Run]) -> Result<f64, String> {
        let seconds: Result<Vec<f64>, String> = runs
            .iter()
            .map(|run| Ok(self.metrics(run)?.common().seconds))
            .collect();
        Ok(seconds?.iter().sum::<f64>() / 3600.0)
    }

    /// A run's metrics, or why there are none.
    fn metrics(&self, run: &Run) -> Result<&Metrics, String> {
        let failure = || {
            let failure = self
                .failures
                .iter()
                .find(|(failed, _)| failed.name == run.name);
            failure.map(|(_, reason)| reason.clone())
        };
        match self
            .folders
            .iter()
            .find(|folder| folder.info.run.name == run.name)
        {
            Some(folder) => folder
                .metrics
                .as_ref()
                .map_err(|reason| failure().unwrap_or_else(|| reason.clone())),
            None => Err(failure().unwrap_or_else(|| "not run".to_owned())),
        }
    }
}

/// Seeds behind the paper's ± (appendix E.1.1).
const PAPER_SEEDS: usize = 5;

fn add(sum: &mut Option<Vec<Vec<u64>>>, matrix: &[Vec<u64>]) {
    let Some(sum) = sum else {
        *sum = Some(matrix.to_vec());
        return;
    };
    for (sum, row) in sum.iter_mut().zip(matrix) {
        for (sum, count) in sum.iter_mut().zip(row) {
            *sum += count;
        }
    }
}
