//! Run folders -> [`Results`].

use super::claims::{Cells, Collapse, Judged, judge};
use super::entries::{Features, Pretraining, Results, RunEntry, TableEntry};
use crate::images::preview;
use crate::plan::{Downstream, Job, Kind, Run};
use crate::store::{Folder, log_tail};
use crate::table::{Arm, CellName, Method, Table};
use anyhow::Result;
use cass_run::{BeforeAfter, Metrics, Origin};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a report is made of.
pub struct Source<'a> {
    pub job: &'a Job<'a>,
    /// Run folders in the order of a report.
    pub folders: &'a [Folder],
    /// Runs that failed just now, with the reason.
    pub failures: &'a [(Run, String)],
    /// Where example views may lie.
    pub dirs: &'a [PathBuf],
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
        let mut results = Results {
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
            seen: Vec::new(),
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
                let known = !c.manifest.is_empty();
                known.then(|| format!("{} {}", folder.info.run.data, c.manifest))
            })),
            weights: union(&mut self.finished().flat_map(|(_, metrics)| hub_files(metrics))),
            provenance: provenance.into_iter().collect(),
            seconds: common.iter().map(|(_, c)| c.seconds).sum(),
            core_seconds: common
                .iter()
                .map(|(folder, c)| c.seconds * folder.info.provenance.cores_used())
                .sum(),
        };
        results.seen = super::seen::sentences(&results, self.folders);
        Ok(results)
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
            supervised: table.subjects().next().is_some()
                && table
                    .subjects()
                    .all(|subject| subject.method == Method::Supervised),
        }
    }

    pub(super) fn finished(&self) -> impl Iterator<Item = (&Folder, &Metrics)> {
        self.folders
            .iter()
            .filter_map(|folder| Some((folder, folder.metrics.as_ref().ok()?)))
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
                // The paper's claims are of the paper's method.
                .filter(|p| own.contains(&p.run) && p.label.is_none())
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
            let logistic = |name: &CellName| self.values(name, table, Downstream::Logistic);
            let also =
                headline != Downstream::Logistic && job.downstream.contains(&Downstream::Logistic);
            let converged = also.then_some(&logistic as Cells);
            let printed = |name: &CellName| job.book.printed(&table.number, name);
            let of = table.claims.iter();
            claims.extend(
                of.map(|claim| judge(claim, &table.number, &ours, converged, &printed, &collapses)),
            );
        }
        claims
    }

    fn features(&self) -> Vec<Features> {
        self.finished()
            .filter_map(|(folder, metrics)| {
                let Metrics::Probe(probe) = metrics else {
                    return None;
                };
                let reading = probe.readings.collapse?;
                Some(Features {
                    run: folder.info.run.name.clone(),
                    seed: folder.info.run.seed,
                    reading,
                    collapsed: reading.is_total(),
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
                Some(_) => log_tail(&folder.path),
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

/// The files of weights that a run read from the Hub, with their hashes.
fn hub_files(metrics: &Metrics) -> Vec<String> {
    let file = |origin: &Origin| {
        let (repo, hash) = (origin.repo.as_ref()?, origin.sha256.as_ref()?);
        let revision = origin.revision.as_deref().unwrap_or("unknown revision");
        Some(format!("{repo} @ {revision}, sha256 {hash}"))
    };
    metrics.origins().into_iter().filter_map(file).collect()
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
        label: run.label.clone(),
        networks: run.networks.clone(),
        variant: run.variant.clone(),
        percent: run.percent,
        seed: run.seed,
        collapsed: collapse.values().any(|reading| reading.is_collapsed()),
        epochs: metrics.epochs.clone(),
        collapse,
        seconds: metrics.common.seconds,
    })
}
