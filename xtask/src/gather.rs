//! Run folders -> [`Results`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;

use crate::claims::{Collapse, Judged, judge};
use crate::folder::{BeforeAfter, Folder, Metrics, ProbeMetrics, Scores};
use crate::plan::{Downstream, Job, Kind, Run};
use crate::preview;
use crate::results::{Cell, Features, Pretraining, Results, RunEntry, TableEntry};
use crate::stats::{apart, mean_std};
use crate::table::{Arm, CellName, Content, Measure, Subject, Table, Value};

/// What a report is made of.
pub struct Source<'a> {
    pub job: &'a Job<'a>,
    /// In the order of a report.
    pub folders: &'a [Folder],
    /// Runs that failed just now, with the reason.
    pub failures: &'a [(Run, String)],
    /// Where example views may lie.
    pub dirs: &'a [PathBuf],
}

/// What was read of a cell.
#[derive(Default)]
struct Reading {
    by_seed: BTreeMap<u64, f64>,
    runs: Vec<String>,
    missing: Vec<String>,
    others: BTreeMap<&'static str, Vec<f64>>,
    confusion: Option<Vec<Vec<u64>>>,
}

impl Source<'_> {
    pub fn gather(&self) -> Result<Results> {
        let job = self.job;
        let headline = *job.downstream.first().unwrap_or(&job.protocol.headline());
        let mut cells = Vec::new();
        for table in &job.tables {
            for downstream in job.sections(table) {
                self.cells(table, downstream, &mut cells);
            }
        }
        let pretrainings: Vec<Pretraining> = self.folders.iter().filter_map(pretraining).collect();
        let claims = self.claims(headline, &pretrainings);
        let common: Vec<_> = self
            .finished()
            .map(|(folder, metrics)| (folder, metrics.common()))
            .collect();
        let union = |lists: &mut dyn Iterator<Item = String>| -> Vec<String> {
            lists.collect::<BTreeSet<_>>().into_iter().collect()
        };
        let skipped: BTreeSet<_> = common
            .iter()
            .flat_map(|(_, c)| &c.skipped)
            .cloned()
            .collect();
        let provenance: BTreeSet<_> = self
            .folders
            .iter()
            .map(|f| f.info.provenance.clone())
            .collect();
        let numbers: Vec<_> = job
            .tables
            .iter()
            .map(|table| table.number.clone())
            .collect();
        let all = job.tables.len() > 1 && job.tables.len() == job.book.paper().count();
        Ok(Results {
            title: match job.tables.as_slice() {
                [table] => table.title.clone(),
                _ if all => "Every table of the paper".to_owned(),
                _ => "Tables of the paper".to_owned(),
            },
            table: if all {
                "all".to_owned()
            } else {
                numbers.join(", ")
            },
            profile: job.profile.name.clone(),
            summary: job.profile.summary.clone(),
            phantoms: job.data.values().any(|facts| facts.phantoms),
            protocol: job.protocol,
            headline,
            downstream: job.downstream.clone(),
            seeds: job.seeds.clone(),
            tables: job.tables.iter().map(|table| self.entry(table)).collect(),
            cells,
            claims,
            deviations: self.deviations()?,
            chosen: union(&mut common.iter().flat_map(|(_, c)| c.chosen.iter().cloned())),
            features: self.features(),
            pretrainings,
            runs: self.runs(),
            skipped: skipped.into_iter().collect(),
            data: job.data.clone(),
            previews: preview::read(self.dirs, job.data.keys().copied()),
            manifests: union(&mut common.iter().filter_map(|(folder, c)| {
                Some(format!("{} {}", folder.info.run.data, c.manifest.as_ref()?))
            })),
            weights: union(&mut common.iter().flat_map(|(_, c)| c.origins())),
            provenance: provenance.into_iter().collect(),
            seconds: common.iter().map(|(_, c)| c.seconds).sum(),
            core_seconds: common
                .iter()
                .map(|(folder, c)| c.seconds * folder.info.provenance.cores_used())
                .sum(),
        })
    }

    fn entry(&self, table: &Table) -> TableEntry {
        TableEntry {
            number: table.number.clone(),
            title: table.title.clone(),
            metric: table.metric.clone(),
            metric_title: table.metric_title.clone(),
            columns: table
                .columns
                .iter()
                .map(|column| column.title.clone())
                .collect(),
            rows: table.rows.iter().map(|row| row.head.clone()).collect(),
            downstream: self.job.sections(table),
            contradictions: table.contradictions.clone(),
        }
    }

    fn finished(&self) -> impl Iterator<Item = (&Folder, &Metrics)> {
        self.folders
            .iter()
            .filter_map(|folder| Some((folder, folder.metrics.as_ref().ok()?)))
    }

    /// The cells of a table, row by row.
    fn cells(&self, table: &Table, downstream: Downstream, cells: &mut Vec<Cell>) {
        for (r, row) in table.rows.iter().enumerate() {
            for (c, (column, cell)) in table.columns.iter().zip(&row.cells).enumerate() {
                let subject = match &cell.content {
                    Content::Runs(subject) if !downstream.shows(subject.method) => continue,
                    Content::Runs(subject) => Some(&**subject),
                    Content::Computed { .. } => None,
                };
                let reading = self.read(&cell.content, table, downstream);
                let values: Vec<f64> = reading.by_seed.values().copied().collect();
                let (mean, std) = mean_std(&values);
                let printed = cell.printed.as_ref();
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
                        Content::Runs(subject) => subject.method.to_string(),
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
                    seeds: reading.by_seed.keys().copied().collect(),
                    runs: reading.runs,
                    paper_mean: printed.map(|p| p.mean),
                    paper_std: printed.and_then(|p| p.std),
                    paper_printed: printed.map(|p| p.text.clone()),
                    delta: mean.zip(printed).map(|(mean, printed)| mean - printed.mean),
                    other: reading
                        .others
                        .into_iter()
                        .filter_map(|(metric, values)| Some((metric, mean_std(&values).0?)))
                        .collect(),
                    confusion: reading.confusion,
                    missing: reading.missing,
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

    fn read(&self, content: &Content, table: &Table, downstream: Downstream) -> Reading {
        match content {
            Content::Runs(subject) => self.read_runs(subject, &table.metric, downstream),
            Content::Computed { value, .. } => {
                let value = value.value(&|name| self.values(name, table, downstream));
                let mut reading = Reading::default();
                match value {
                    Some(Value::BySeed(by_seed)) => reading.by_seed = by_seed,
                    _ => reading
                        .missing
                        .push("a cell it is computed from is missing".to_owned()),
                }
                for seed in &self.job.seeds {
                    if !reading.by_seed.contains_key(seed) && reading.missing.is_empty() {
                        reading.missing.push(format!(
                            "seed {seed}: a cell it is computed from is missing"
                        ));
                    }
                }
                reading
            }
        }
    }

    /// A named cell's values, `None` without any.
    fn values(
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
        let reading = self.read(&other.find(&name.cell)?.content, other, downstream);
        (!reading.by_seed.is_empty()).then_some(reading.by_seed)
    }

    fn read_runs(&self, subject: &Subject, metric: &str, downstream: Downstream) -> Reading {
        let mut reading = Reading::default();
        for &seed in &self.job.seeds {
            let runs = self.job.runs(subject, downstream, seed);
            let value = match subject.measure {
                Measure::Hours => self.hours(&runs),
                Measure::Score => match runs.last() {
                    Some(run) => self.score(run, metric, &mut reading),
                    None => Err("no run".to_owned()),
                },
            };
            match value {
                Ok(value) => {
                    reading.by_seed.insert(seed, value);
                    let read: &[Run] = match subject.measure {
                        Measure::Hours => &runs,
                        Measure::Score => &runs[runs.len() - 1..],
                    };
                    reading.runs.extend(read.iter().map(|run| run.name.clone()));
                }
                Err(reason) => reading.missing.push(format!("seed {seed}: {reason}")),
            }
        }
        reading
    }

    fn score(&self, run: &Run, metric: &str, reading: &mut Reading) -> Result<f64, String> {
        let Metrics::Probe(ProbeMetrics { test, .. }) = self.metrics(run)? else {
            return Err(format!("{} holds a pretraining", run.name));
        };
        let score = test.get(metric).ok_or("its score is not a number")?;
        for other in Scores::NAMES.iter().filter(|other| **other != metric) {
            reading
                .others
                .entry(other)
                .or_default()
                .extend(test.get(other));
        }
        if let Some(confusion) = &test.confusion {
            add(&mut reading.confusion, confusion);
        }
        Ok(score)
    }

    /// Of all pretrainings together.
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

    fn claims(&self, headline: Downstream, pretrainings: &[Pretraining]) -> Vec<Judged> {
        let job = self.job;
        let mut claims = Vec::new();
        for table in &job.tables {
            // A claim that no pretraining of its table collapses does not speak of other tables' pretrainings.
            let own: BTreeSet<String> = (job.book.scope(table).iter())
                .flat_map(|table| table.subjects())
                .flat_map(|subject| {
                    job.seeds
                        .iter()
                        .flat_map(|&seed| job.runs(subject, headline, seed))
                })
                .map(|run| run.name)
                .collect();
            let collapses: Vec<Collapse> = pretrainings
                .iter()
                .filter(|pretraining| own.contains(&pretraining.run))
                .flat_map(|p| {
                    p.collapse
                        .iter()
                        .map(move |(arm, reading)| (p, arm, *reading))
                })
                .map(|(p, arm, reading)| Collapse {
                    method: p.method,
                    name: format!("the {} of seed {}", arm.title(), p.seed),
                    reading,
                })
                .collect();
            let ours = |name: &CellName| self.values(name, table, headline);
            let printed = |name: &CellName| job.book.printed(&table.number, name);
            claims.extend(
                table
                    .claims
                    .iter()
                    .map(|claim| judge(claim, &table.number, &ours, &printed, &collapses)),
            );
        }
        claims
    }

    /// Every setting that is not the paper's.
    fn deviations(&self) -> Result<Vec<String>> {
        let job = self.job;
        let mut deviations = Vec::new();
        for (set, facts) in &job.data {
            let text = |images: &[u64]| {
                let images: Vec<_> = images.iter().map(u64::to_string).collect();
                images.join(" + ")
            };
            if facts.phantoms || facts.images != set.images() {
                let field = match job.data.len() {
                    1 => "images".to_owned(),
                    _ => format!("images of {set}"),
                };
                let kind = if facts.phantoms {
                    " drawn phantoms"
                } else {
                    ""
                };
                let (ours, paper) = (text(&facts.images), text(set.images()));
                deviations.push(format!("{field} = {ours}{kind} (paper: {paper})"));
            }
        }
        let networks = job
            .tables
            .iter()
            .flat_map(|table| job.networks(table))
            .collect();
        deviations.extend(job.profile.deviations(job.seeds.len() as u64, &networks)?);
        deviations.extend(self.recipe_deviations());
        Ok(deviations)
    }

    /// What `cass` says differs from the paper, but for what the profile decides, which is compared already, and
    /// what a table varies on purpose.
    fn recipe_deviations(&self) -> BTreeSet<String> {
        const OF_PROFILE: [&str; 5] = ["size", "epochs", "batch", "network", "weights"];
        const VARIED: [&str; 3] = ["optimizer", "augment", "pipeline"];
        let mut deviations = BTreeSet::new();
        for (folder, metrics) in self.finished() {
            let step = match metrics {
                Metrics::Pretrain(_) => "pretraining",
                Metrics::Probe(_) => "downstream",
            };
            let varied = !folder.info.run.variant.is_empty();
            for text in &metrics.common().deviations {
                let path = text.split(" = ").next().unwrap_or_default();
                let field = path.rsplit('.').next().unwrap_or_default();
                let meant = varied && VARIED.iter().any(|part| path.contains(part));
                if !OF_PROFILE.contains(&field) && !meant {
                    deviations.insert(format!("{step} {text}"));
                }
            }
        }
        deviations
    }

    fn features(&self) -> Vec<Features> {
        self.finished()
            .filter_map(|(folder, metrics)| {
                let Metrics::Probe(probe) = metrics else {
                    return None;
                };
                let reading = probe.collapse?;
                Some(Features {
                    run: folder.info.run.name.clone(),
                    seed: folder.info.run.seed,
                    reading,
                    collapsed: reading.collapsed(),
                })
            })
            .collect()
    }

    /// What is finished, then what is not.
    fn runs(&self) -> Vec<RunEntry> {
        let failure = |name: &str| self.failures.iter().find(|(run, _)| run.name == name);
        let mut entries: Vec<RunEntry> = Vec::new();
        for folder in self.folders {
            let name = &folder.info.run.name;
            let missing = folder.metrics.as_ref().err().cloned();
            let log = match missing {
                Some(_) => Folder::log_tail(&folder.path),
                None => Vec::new(),
            };
            entries.push(RunEntry {
                name: name.clone(),
                seconds: folder.metrics.as_ref().ok().map(|m| m.common().seconds),
                missing: failure(name).map(|(_, reason)| reason.clone()).or(missing),
                log,
            });
        }
        for (run, reason) in self.failures {
            if entries.iter().all(|entry| entry.name != run.name) {
                entries.push(RunEntry {
                    name: run.name.clone(),
                    seconds: None,
                    missing: Some(reason.clone()),
                    log: Vec::new(),
                });
            }
        }
        entries.sort_by_key(|entry| entry.missing.is_some());
        entries
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

fn pretraining(folder: &Folder) -> Option<Pretraining> {
    let Ok(Metrics::Pretrain(metrics)) = &folder.metrics else {
        return None;
    };
    let run = &folder.info.run;
    if run.kind != Kind::Pretrain {
        return None;
    }
    // `net` is DINO's one network: the arm that the plan gave it.
    let own = run.networks.keys().next().copied();
    let collapse: BTreeMap<Arm, BeforeAfter> = metrics
        .collapse
        .iter()
        .filter_map(|(name, reading)| match name.as_str() {
            "cnn" => Some((Arm::Cnn, *reading)),
            "vit" => Some((Arm::Vit, *reading)),
            _ => Some((own?, *reading)),
        })
        .collect();
    Some(Pretraining {
        run: run.name.clone(),
        data: run.data,
        method: run.method,
        networks: run.networks.clone(),
        variant: run.variant.clone(),
        percent: run.percent,
        seed: run.seed,
        collapsed: collapse.values().any(|reading| reading.after.collapsed()),
        epochs: metrics.epochs.clone(),
        collapse,
        seconds: metrics.common.seconds,
    })
}
