//! Run folders -> [`Results`].

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::claims::{Collapse, Values, judge};
use crate::folder::{BeforeAfter, Folder, Metrics, Scores};
use crate::plan::{Downstream, Protocol, Role, Run};
use crate::profile::Profile;
use crate::results::{Cell, Features, Pretraining, Results, RunEntry};
use crate::stats::mean_std;
use crate::table::{Arm, CellId, Table};

/// What a report is made of.
pub struct Source<'a> {
    pub table: &'a Table,
    pub profile: &'a Profile,
    pub protocol: Protocol,
    pub downstream: &'a [Downstream],
    /// The seeds that every cell should have.
    pub seeds: &'a [u64],
    pub folders: &'a [Folder],
    /// Runs that failed just now, with the reason.
    pub failures: &'a [(Run, String)],
}

impl Source<'_> {
    pub fn gather(&self) -> Result<Results> {
        let headline = self.protocol.headline();
        let headline = if self.downstream.contains(&headline) {
            headline
        } else {
            *self.downstream.first().unwrap_or(&headline)
        };
        let mut cells = Vec::new();
        let mut values = BTreeMap::new();
        for &downstream in self.downstream {
            for arm in Arm::BOTH {
                for &method in downstream.methods() {
                    for &percent in &self.table.percent {
                        let id = CellId {
                            method,
                            arm,
                            percent,
                        };
                        let (cell, by_seed) = self.cell(downstream, id);
                        values.insert((downstream, id), by_seed);
                        cells.push(cell);
                    }
                }
            }
        }
        let headline_values: Values = values
            .into_iter()
            .filter(|((downstream, _), _)| *downstream == headline)
            .map(|((_, id), by_seed)| (id, by_seed))
            .collect();

        let pretrainings: Vec<Pretraining> = self.folders.iter().filter_map(pretraining).collect();
        let collapses: Vec<Collapse> = pretrainings
            .iter()
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
        let claims = self
            .table
            .claims
            .iter()
            .map(|claim| judge(claim, self.table, &headline_values, &collapses))
            .collect();

        let common: Vec<_> = self
            .finished()
            .map(|(_, metrics)| metrics.common())
            .collect();
        let union = |lists: &mut dyn Iterator<Item = &String>| -> Vec<String> {
            lists
                .collect::<BTreeSet<_>>()
                .into_iter()
                .cloned()
                .collect()
        };
        let mut deviations: Vec<String> = self.image_deviation().into_iter().collect();
        deviations.extend(self.profile.deviations(self.seeds.len() as u64)?);
        deviations.extend(self.recipe_deviations());
        let skipped: BTreeSet<_> = common.iter().flat_map(|c| &c.skipped).cloned().collect();
        let provenance: BTreeSet<_> = self
            .folders
            .iter()
            .map(|f| f.info.provenance.clone())
            .collect();
        Ok(Results {
            table: self.table.number.clone(),
            title: self.table.title.clone(),
            profile: self.profile.name.clone(),
            summary: self.profile.summary.clone(),
            phantoms: self.profile.phantom.is_some(),
            protocol: self.protocol,
            headline,
            downstream: self.downstream.to_vec(),
            metric_title: self.table.metric_title.clone(),
            seeds: self.seeds.to_vec(),
            cells,
            claims,
            contradictions: self
                .table
                .contradictions
                .iter()
                .map(|c| c.text.clone())
                .collect(),
            deviations,
            chosen: union(&mut common.iter().flat_map(|c| &c.chosen)),
            features: self.features(),
            pretrainings,
            runs: self.runs(),
            skipped: skipped.into_iter().collect(),
            manifests: union(&mut common.iter().filter_map(|c| c.manifest.as_ref())),
            provenance: provenance.into_iter().collect(),
            seconds: common.iter().map(|c| c.seconds).sum(),
        })
    }

    fn finished(&self) -> impl Iterator<Item = (&Folder, &Metrics)> {
        self.folders.iter().filter_map(|folder| {
            folder
                .metrics
                .as_ref()
                .ok()
                .map(|metrics| (folder, metrics))
        })
    }

    fn cell(&self, downstream: Downstream, id: CellId) -> (Cell, BTreeMap<u64, f64>) {
        let role = Role::Probe {
            cell: id,
            downstream: downstream.of(id.method),
        };
        let mut by_seed = BTreeMap::new();
        let (mut runs, mut missing) = (Vec::new(), Vec::new());
        let mut others: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for &seed in self.seeds {
            let folder = self
                .folders
                .iter()
                .find(|f| f.info.run.role == role && f.info.run.seed == seed);
            let metrics = folder.map(|folder| (&folder.info.run.name, &folder.metrics));
            match metrics {
                Some((name, Ok(Metrics::Probe(probe)))) => match probe.test.get(&self.table.metric)
                {
                    Some(score) => {
                        by_seed.insert(seed, score);
                        runs.push(name.clone());
                        for metric in Scores::NAMES.iter().filter(|m| **m != self.table.metric) {
                            others
                                .entry(metric)
                                .or_default()
                                .extend(probe.test.get(metric));
                        }
                    }
                    None => missing.push(format!("seed {seed}: its score is not a number")),
                },
                Some((name, Ok(Metrics::Pretrain(_)))) => {
                    missing.push(format!("seed {seed}: {name} holds a pretraining"));
                }
                Some((_, Err(reason))) => {
                    let reason = self.failure(role, seed).unwrap_or(reason);
                    missing.push(format!("seed {seed}: {reason}"));
                }
                None => {
                    let reason = self.failure(role, seed).unwrap_or("not run");
                    missing.push(format!("seed {seed}: {reason}"));
                }
            }
        }
        let values: Vec<f64> = by_seed.values().copied().collect();
        let (mean, std) = mean_std(&values);
        let printed = self.table.printed(id);
        let cell = Cell {
            downstream,
            method: id.method,
            arm: id.arm,
            backbone: self.profile.networks.of(id.arm).to_owned(),
            paper_backbone: self.table.backbone(id.arm).to_owned(),
            percent: id.percent,
            fraction: f64::from(id.percent) / 100.0,
            metric: self.table.metric.clone(),
            mean,
            std,
            n: values.len(),
            values,
            seeds: by_seed.keys().copied().collect(),
            runs,
            paper_mean: printed.map(|p| p.mean),
            paper_std: printed.map(|p| p.std),
            paper_printed: printed.map(|p| p.text.clone()),
            delta: mean.zip(printed).map(|(mean, printed)| mean - printed.mean),
            other: others
                .into_iter()
                .filter_map(|(metric, values)| Some((metric, mean_std(&values).0?)))
                .collect(),
            missing,
        };
        (cell, by_seed)
    }

    /// Other images than the paper's, or not as many.
    fn image_deviation(&self) -> Option<String> {
        let [train, test] = self.folders.first()?.info.images;
        let [paper_train, paper_test] = self.table.images;
        let drawn = self.profile.phantom.is_some();
        (drawn || [train, test] != self.table.images).then(|| {
            let kind = if drawn { " drawn phantoms" } else { "" };
            format!("images = {train} + {test}{kind} (paper: {paper_train} + {paper_test})")
        })
    }

    /// What `cass` says differs from the paper, but for what the profile decides: that is compared already.
    fn recipe_deviations(&self) -> BTreeSet<String> {
        const OF_PROFILE: [&str; 5] = ["size", "epochs", "batch", "network", "weights"];
        let mut deviations = BTreeSet::new();
        for (_, metrics) in self.finished() {
            let step = match metrics {
                Metrics::Pretrain(_) => "pretraining",
                Metrics::Probe(_) => "downstream",
            };
            for text in &metrics.common().deviations {
                let field = text
                    .split(" = ")
                    .next()
                    .and_then(|path| path.rsplit('.').next());
                if !field.is_some_and(|field| OF_PROFILE.contains(&field)) {
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
                let Role::Probe { cell, .. } = folder.info.run.role else {
                    return None;
                };
                let reading = probe.collapse?;
                Some(Features {
                    run: folder.info.run.name.clone(),
                    cell,
                    seed: folder.info.run.seed,
                    reading,
                    collapsed: reading.collapsed(),
                })
            })
            .collect()
    }

    fn failure(&self, role: Role, seed: u64) -> Option<&str> {
        let failure = self
            .failures
            .iter()
            .find(|(run, _)| (run.role, run.seed) == (role, seed))?;
        Some(&failure.1)
    }

    /// What is finished, then what failed.
    fn runs(&self) -> Vec<RunEntry> {
        let folders = self.folders.iter().map(|folder| RunEntry {
            name: folder.info.run.name.clone(),
            seconds: folder
                .metrics
                .as_ref()
                .ok()
                .map(|metrics| metrics.common().seconds),
            missing: folder.metrics.as_ref().err().cloned(),
        });
        let failed = |name: &str| self.failures.iter().any(|(run, _)| run.name == name);
        let failures = self.failures.iter().map(|(run, reason)| RunEntry {
            name: run.name.clone(),
            seconds: None,
            missing: Some(reason.clone()),
        });
        folders
            .filter(|entry| !failed(&entry.name))
            .chain(failures)
            .collect()
    }
}

fn pretraining(folder: &Folder) -> Option<Pretraining> {
    let Ok(Metrics::Pretrain(metrics)) = &folder.metrics else {
        return None;
    };
    let Role::Pretrain {
        method,
        arm,
        percent,
    } = folder.info.run.role
    else {
        return None;
    };
    // `net` is DINO's one network: the arm that the plan gave it.
    let collapse: BTreeMap<Arm, BeforeAfter> = metrics
        .collapse
        .iter()
        .filter_map(|(name, reading)| match name.as_str() {
            "cnn" => Some((Arm::Cnn, *reading)),
            "vit" => Some((Arm::Vit, *reading)),
            _ => Some((arm?, *reading)),
        })
        .collect();
    Some(Pretraining {
        run: folder.info.run.name.clone(),
        method,
        arm,
        percent,
        seed: folder.info.run.seed,
        collapsed: collapse.values().any(|reading| reading.after.collapsed()),
        epochs: metrics.epochs.clone(),
        collapse,
        seconds: metrics.common.seconds,
    })
}
