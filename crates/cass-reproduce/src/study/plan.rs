//! A choice becomes runs.

use super::args::Reading;
use super::budget::{Choice, ends};
use super::cass::path;
use super::images::Images;
use crate::networks::Network;
use crate::plan::{Downstream, Estimate, Kind, Plan, Run, short_hash};
use crate::table::{Arm, DataSet, Method};
use std::collections::BTreeMap;

/// All that decides a study's runs.
pub struct Study<'a> {
    pub choice: &'a Choice,
    pub images: &'a Images,
    pub reading: &'a Reading,
}

impl Study<'_> {
    /// Every run, seed by seed, each after what it needs.
    pub fn plan(&self) -> Plan {
        let mut runs = Vec::new();
        for seed in 0..self.choice.seeds {
            let pretraining = self.pretraining(seed);
            let name = pretraining.name.clone();
            runs.push(pretraining);
            for (arm, method, downstream, percent) in self.cells() {
                let from = (method == Method::Cass).then_some(name.as_str());
                runs.push(self.probe(arm, method, downstream, percent, seed, from));
            }
        }
        Plan { runs }
    }

    /// What each seed measures: arm, method, what is trained on the labels, and the share of them.
    pub fn cells(&self) -> Vec<(Arm, Method, Downstream, u32)> {
        let mut cells = Vec::new();
        for arm in Arm::BOTH {
            for downstream in [Downstream::Knn, Downstream::Logistic] {
                for &percent in &self.choice.percents {
                    cells.push((arm, Method::Untrained, downstream, percent));
                    cells.push((arm, Method::Cass, downstream, percent));
                }
            }
            if self.choice.finetune_epochs > 0 {
                for percent in ends(&self.choice.percents) {
                    cells.push((arm, Method::Supervised, Downstream::Finetune, percent));
                    cells.push((arm, Method::Cass, Downstream::Finetune, percent));
                }
            }
        }
        cells
    }

    /// The name of a cell's run of a seed.
    pub fn name_of(&self, cell: (Arm, Method, Downstream, u32), seed: u64) -> String {
        let (arm, method, downstream, percent) = cell;
        let pretraining = self.pretraining(seed).name;
        let from = (method == Method::Cass).then_some(pretraining.as_str());
        self.probe(arm, method, downstream, percent, seed, from)
            .name
    }

    fn network(&self, arm: Arm) -> (&Network, &str) {
        let [cnn, vit] = &self.choice.weights;
        match arm {
            Arm::Cnn => (&self.choice.cnn, cnn),
            Arm::Vit => (&self.choice.vit, vit),
        }
    }

    /// The pretraining of a seed.
    pub fn pretraining(&self, seed: u64) -> Run {
        let choice = self.choice;
        let mut words = Words::new("pretrain");
        words.add("--method", "cass");
        words.add("--cnn", &choice.cnn);
        words.add("--vit", &choice.vit);
        let [cnn, vit] = &choice.weights;
        if cnn == vit {
            words.add("--weights", cnn);
        } else {
            words.add("--cnn-weights", cnn);
            words.add("--vit-weights", vit);
        }
        words.add("--normalization", "weights");
        // Beyond the paper: what its own recipe lacks to keep features apart on few images.
        words.add("--guard", "variance");
        for (arm, weights) in [("cnn", cnn), ("vit", vit)] {
            let rate = match (arm, weights.as_str()) {
                ("cnn", "random") => continue,
                (_, "random") => "1e-4",
                // Higher ones destroy what the weights knew.
                _ => "1e-5",
            };
            words.add("--set", format!("arms.{arm}.optimizer.lr={rate}"));
        }
        words.add("--epochs", choice.epochs);
        words.add("--batch", choice.batch);
        let networks = Arm::BOTH.map(|arm| (arm, self.network(arm).0.clone()));
        self.run(
            words,
            Run {
                name: "pretrain".to_owned(),
                kind: Kind::Pretrain,
                method: Method::Cass,
                networks: networks.into(),
                seed,
                ..blank()
            },
        )
    }

    fn probe(
        &self,
        arm: Arm,
        method: Method,
        downstream: Downstream,
        percent: u32,
        seed: u64,
        from: Option<&str>,
    ) -> Run {
        let (network, weights) = self.network(arm);
        let mut words = Words::new("probe");
        if from.is_some() {
            words.add("--arm", arm);
        } else {
            words.add("--weights", weights);
            words.add("--arch", network);
            words.add("--normalization", "weights");
        }
        words.add("--mode", downstream.name());
        words.add("--fraction", f64::from(percent) / 100.0);
        if downstream != Downstream::Knn {
            words.add("--class-weights", "balanced");
        }
        if downstream == Downstream::Finetune {
            let epochs = self.choice.finetune_epochs;
            words.add("--epochs", epochs);
            words.add("--patience", (epochs / 3).max(3));
        }
        words.add("--batch", self.choice.batch);
        // The network to use may be one of these; others can be fitted again in seconds.
        let [_, all] = ends(&self.choice.percents);
        if downstream != Downstream::Finetune || percent != all {
            words.words.push("--scores-only".to_owned());
        }
        let start = method.to_string().to_lowercase();
        self.run(
            words,
            Run {
                name: format!("{}-{start}-{arm}-{percent}pct", downstream.name()),
                kind: Kind::Probe,
                method,
                networks: BTreeMap::from([(arm, network.clone())]),
                percent,
                downstream: Some(downstream),
                seed,
                needs: from.map(str::to_owned),
                ..blank()
            },
        )
    }

    /// Adds what all runs have, and the hash of what decides the run to its name.
    fn run(&self, mut words: Words, run: Run) -> Run {
        let [val, test] = self.choice.held_out;
        words.add("--size", self.choice.size);
        words.add("--seed", run.seed);
        words.add("--split", format!("{}/{val}/{test}", 100 - val - test));
        words.add("--data", "csv");
        words.add("--data-root", path(&self.images.table));
        words.words.extend(self.reading.of_pixels());
        let decides = [
            words.words.join("\n"),
            self.images.fingerprint.clone(),
            run.needs.clone().unwrap_or_default(),
        ];
        let hash = short_hash(&decides.join("\n"));
        Run {
            name: format!("{}-s{}-{hash}", run.name, run.seed),
            recipe: words.words,
            estimate: self.estimate(&run),
            ..run
        }
    }

    /// A share of the expected time by the operations that it takes.
    fn estimate(&self, run: &Run) -> Estimate {
        const WEIGHT: f64 = 4.0;
        const BASE_MIB: f64 = 250.0;
        const MIB_PER_GFLOP: f64 = 60.0;
        let choice = self.choice;
        let forward: f64 = run.networks.values().map(|n| n.gflops(choice.size)).sum();
        let parameters: f64 = run.networks.values().map(Network::parameters).sum();
        let images = self.images.images as f64;
        let labels = self.images.labelled as f64 * f64::from(run.percent) / 100.0;
        let mib = parameters * WEIGHT * 1e6 / f64::from(1 << 20);
        let (work, copies, kept) = match (run.kind, run.downstream) {
            (Kind::Pretrain, _) => (3.0 * f64::from(choice.epochs) * images, 4.0, 1.0),
            (_, Some(Downstream::Finetune)) => {
                let epochs = f64::from(choice.finetune_epochs);
                (
                    3.0 * epochs * labels,
                    4.0,
                    f64::from(u8::from(run.percent == 100)),
                )
            }
            _ => (images / choice.percents.len() as f64, 1.0, 0.0),
        };
        Estimate {
            // In operations; finished runs say what they take in seconds.
            seconds: 1.0 + work * forward / GFLOPS,
            memory_mib: BASE_MIB + copies * mib + f64::from(choice.batch) * forward * MIB_PER_GFLOP,
            disk_mib: 0.5 + kept * mib,
        }
    }
}

/// 10⁹ operations a second that estimates are made for, until a run has finished.
const GFLOPS: f64 = 100.0;

/// A run with nothing in it.
fn blank() -> Run {
    Run {
        name: String::new(),
        kind: Kind::Probe,
        data: DataSet::Own,
        method: Method::Cass,
        networks: BTreeMap::new(),
        label: None,
        variant: String::new(),
        percent: 100,
        downstream: None,
        seed: 0,
        recipe: Vec::new(),
        needs: None,
        estimate: Estimate::default(),
    }
}

/// Arguments of `cass`.
struct Words {
    words: Vec<String>,
}

impl Words {
    fn new(command: &str) -> Words {
        Words {
            words: vec![command.to_owned()],
        }
    }

    fn add(&mut self, flag: &str, value: impl ToString) {
        self.words.extend([flag.to_owned(), value.to_string()]);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A study of 400 images of two classes.
    pub fn choice(seeds: u64) -> (Choice, Images) {
        let network = |name: &str| Network::try_from(name.to_owned()).unwrap();
        let choice = Choice {
            cnn: network("resnet18"),
            vit: network("vit_tiny_patch16_224"),
            weights: ["random", "random"].map(str::to_owned),
            size: 64,
            batch: 16,
            epochs: 20,
            finetune_epochs: 9,
            percents: vec![10, 25, 100],
            seeds,
            held_out: [10, 20],
            seconds: 100.0,
        };
        let images = Images {
            table: "/study/images.csv".into(),
            fingerprint: "f".to_owned(),
            images: 400,
            labelled: 400,
            classes: [("a".to_owned(), 200), ("b".to_owned(), 200)].into(),
            groups: 0,
            copies: 0,
            test: 0,
            leaked: 0,
            skipped: Vec::new(),
            findings: BTreeMap::new(),
            side: 224,
        };
        (choice, images)
    }

    pub const READING: Reading = Reading {
        columns: None,
        group_column: None,
        group_by: None,
        exclude: Vec::new(),
        levels: None,
        pages: None,
        frame: None,
        skip_bad: false,
    };

    #[test]
    fn what_is_compared_differs_in_its_start_alone() {
        let (choice, images) = choice(2);
        let study = Study {
            choice: &choice,
            images: &images,
            reading: &READING,
        };
        let plan = study.plan();
        // A pretraining; two arms: two kinds on frozen features with three shares, one with two; two starts.
        assert_eq!(plan.runs.len(), 2 * (1 + 2 * (2 * 3 + 2) * 2));
        let names: BTreeSet<&str> = plan.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names.len(), plan.runs.len());
        let start = [
            "--arm",
            "cnn",
            "--weights",
            "random",
            "--arch",
            "resnet18",
            "--normalization",
            "weights",
        ];
        let settings = |run: &Run| -> Vec<String> {
            run.recipe
                .iter()
                .filter(|word| !start.contains(&word.as_str()))
                .cloned()
                .collect()
        };
        let mut pairs = 0;
        for run in plan
            .runs
            .iter()
            .filter(|run| run.kind == Kind::Probe && run.needs.is_some())
        {
            let start = plan.runs.iter().find(|other| {
                let of = |run: &Run| {
                    (
                        run.kind,
                        run.seed,
                        run.percent,
                        run.downstream,
                        run.networks.clone(),
                    )
                };
                other.needs.is_none() && of(other) == of(run)
            });
            if run.networks.contains_key(&Arm::Cnn) {
                assert_eq!(settings(run), settings(start.unwrap()));
                pairs += 1;
            }
        }
        assert_eq!(pairs, 2 * 8);
        let needed = &plan.runs[2].needs.clone().or(plan.runs[1].needs.clone());
        assert_eq!(needed.as_deref(), Some(plan.runs[0].name.as_str()));
    }

    #[test]
    fn other_images_are_other_runs() {
        let (choice, mut images) = choice(1);
        let name = |images: &Images| {
            Study {
                choice: &choice,
                images,
                reading: &READING,
            }
            .pretraining(0)
            .name
        };
        let before = name(&images);
        images.fingerprint = "g".to_owned();
        assert_ne!(name(&images), before);
    }
}
