//! A choice becomes runs.

use super::args::Reading;
use super::budget::{Choice, ends};
use super::cass::path;
use super::images::Images;
use crate::networks::Network;
use crate::plan::{Downstream, Estimate, Kind, Plan, Recipe, Run, short_hash};
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
                let from = method.pretraining().is_some().then_some(name.as_str());
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
                    cells.push((arm, self.choice.method, downstream, percent));
                }
            }
            if self.choice.finetune_epochs > 0 {
                for percent in ends(&self.choice.percents) {
                    cells.push((arm, Method::Supervised, Downstream::Finetune, percent));
                    cells.push((arm, self.choice.method, Downstream::Finetune, percent));
                }
            }
        }
        cells
    }

    /// The name of a cell's run of a seed.
    pub fn name_of(&self, cell: (Arm, Method, Downstream, u32), seed: u64) -> String {
        let (arm, method, downstream, percent) = cell;
        let pretraining = self.pretraining(seed).name;
        let from = method
            .pretraining()
            .is_some()
            .then_some(pretraining.as_str());
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
        let mut recipe = Recipe::new("pretrain");
        let method = choice.method;
        let name = method.pretraining().map_or("cass", |method| method.name);
        recipe.add("--method", name);
        recipe.add("--cnn", &choice.cnn);
        recipe.add("--vit", &choice.vit);
        let [cnn, vit] = &choice.weights;
        if cnn == vit {
            recipe.add("--weights", cnn);
        } else {
            recipe.add("--cnn-weights", cnn);
            recipe.add("--vit-weights", vit);
        }
        recipe.add("--normalization", "weights");
        if method == Method::Cass {
            // Beyond the paper: what its own recipe lacks to keep features apart on few images.
            recipe.add("--guard", "variance");
        }
        for (arm, weights) in [("cnn", cnn), ("vit", vit)] {
            let rate = match (arm, weights.as_str()) {
                // A contrast has rates of its own, for either weights.
                _ if method == Method::Contrast => continue,
                ("vit", "random") => "1e-4",
                (_, "random") => continue,
                // A hundredth of the paper's: less is lost of what the weights know, and something still is (docs/pretraining.md).
                _ => "1e-5",
            };
            recipe.add("--set", format!("arms.{arm}.optimizer.lr={rate}"));
        }
        recipe.add("--epochs", choice.epochs);
        recipe.add("--batch", choice.batch);
        let networks = Arm::BOTH.map(|arm| (arm, self.network(arm).0.clone()));
        self.run(
            recipe,
            Run {
                name: "pretrain".to_owned(),
                kind: Kind::Pretrain,
                method,
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
        let mut recipe = Recipe::new("probe");
        if from.is_some() {
            recipe.add("--arm", arm);
        } else {
            recipe.add("--weights", weights);
            recipe.add("--arch", network);
            recipe.add("--normalization", "weights");
        }
        recipe.add("--mode", downstream.name());
        recipe.add("--fraction", f64::from(percent) / 100.0);
        if downstream != Downstream::Knn {
            recipe.add("--class-weights", "balanced");
        }
        if downstream == Downstream::Finetune {
            let epochs = self.choice.finetune_epochs;
            recipe.add("--epochs", epochs);
            recipe.add("--patience", (epochs / 3).max(3));
        }
        recipe.add("--batch", self.choice.batch);
        // The network to use may be one of these; others can be fitted again in seconds.
        let [_, all] = ends(&self.choice.percents);
        if downstream != Downstream::Finetune || percent != all {
            recipe.words.push("--scores-only".to_owned());
        }
        let start = method.to_string().to_lowercase();
        self.run(
            recipe,
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
    fn run(&self, mut recipe: Recipe, run: Run) -> Run {
        let [val, test] = self.choice.held_out;
        recipe.add("--size", self.choice.size);
        recipe.add("--seed", run.seed);
        recipe.add("--split", format!("{}/{val}/{test}", 100 - val - test));
        recipe.add("--data", "csv");
        recipe.add("--data-root", path(&self.images.table));
        recipe.words.extend(self.reading.of_pixels());
        let decides = [
            recipe.words.join("\n"),
            self.images.fingerprint.clone(),
            run.needs.clone().unwrap_or_default(),
        ];
        let hash = short_hash(&decides.join("\n"));
        let mut run = Run {
            name: format!("{}-s{}-{hash}", run.name, run.seed),
            recipe: recipe.words,
            ..run
        };
        run.estimate = self.estimate(&run);
        run
    }

    /// What a run will take, as runs of tables are estimated, by the speed that was measured.
    fn estimate(&self, run: &Run) -> Estimate {
        let (choice, images) = (self.choice, self.images);
        let [val, test] = choice.held_out.map(|percent| f64::from(percent) / 100.0);
        let (seen, epochs) = match run.kind {
            Kind::Pretrain => (images.images, choice.epochs),
            Kind::Probe => (images.labelled, choice.finetune_epochs),
        };
        let seen = seen.saturating_sub(images.test) as f64;
        let given = images.test as f64;
        let parts = [(1.0 - val - test) * seen, val * seen, test * seen + given];
        Estimate::of(
            run,
            (&choice.cost(), choice.size),
            epochs,
            choice.batch,
            parts,
        )
    }
}

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
            method: Method::Cass,
            size: 64,
            batch: 16,
            epochs: 20,
            finetune_epochs: 9,
            percents: vec![10, 25, 100],
            seeds,
            held_out: [10, 20],
            gflops: 100.0,
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
    fn a_contrast_has_rates_of_its_own_and_no_guard() {
        let (mut choice, images) = choice(1);
        let pretraining = |choice: &Choice| {
            let study = Study {
                choice,
                images: &images,
                reading: &READING,
            };
            let run = study.pretraining(0);
            let from = study
                .plan()
                .runs
                .iter()
                .filter(|r| r.needs.is_some())
                .count();
            (run.recipe.join(" "), run.estimate, from)
        };
        let (guarded, cost, probes) = pretraining(&choice);
        assert!(guarded.contains("--method cass ") && guarded.contains("--guard variance"));
        assert!(guarded.contains("arms.vit.optimizer.lr=1e-4"));
        choice.method = Method::Contrast;
        let (contrast, twice, as_many) = pretraining(&choice);
        assert!(contrast.contains("--method cass-contrast "), "{contrast}");
        assert!(!contrast.contains("--guard") && !contrast.contains("--set"));
        assert_eq!(probes, as_many);
        assert!(twice.seconds > 1.5 * cost.seconds, "{twice:?}, {cost:?}");
        choice.weights[1] = "hub".to_owned();
        let (pretrained, ..) = pretraining(&choice);
        assert!(!pretrained.contains("--set"), "{pretrained}");
        choice.method = Method::Cass;
        let (pretrained, ..) = pretraining(&choice);
        assert!(pretrained.contains("--set arms.vit.optimizer.lr=1e-5"));
    }

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
