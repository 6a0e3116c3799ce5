//! From cells to runs.

use super::{Downstream, Estimate, Facts, Kind, Plan, Profile, Protocol, Run, short_hash};
use crate::networks::Network;
use crate::table::{
    Arm, Augment, Book, DataSet, Measure, Method, Optimizer, Subject, Table, Weights,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a job is asked to do.
pub struct Job<'a> {
    pub book: &'a Book,
    pub tables: Vec<&'a Table>,
    pub profile: &'a Profile,
    pub protocol: Protocol,
    /// The headline first.
    pub downstream: Vec<Downstream>,
    pub seeds: Vec<u64>,
    /// Settings of every pretraining's recipe, as `field=value`.
    pub set: Vec<String>,
    pub data: BTreeMap<DataSet, Facts>,
}

impl Job<'_> {
    /// Every run, seed by seed, each after what it needs. Nothing stands there twice.
    pub fn plan(&self) -> Plan {
        let mut runs = Vec::new();
        for &seed in &self.seeds {
            for table in self.needed_tables() {
                for &downstream in &self.sections(table) {
                    for subject in table.subjects() {
                        if self.shows(subject, downstream) {
                            runs.extend(self.runs(subject, downstream, seed));
                        }
                    }
                }
            }
        }
        let mut known = BTreeSet::new();
        runs.retain(|run| known.insert(run.name.clone()));
        // Within a seed the pretrainings first: they are the long ones and the probes wait for them.
        runs.sort_by_key(|run| (run.seed, run.kind));
        Plan { runs }
    }

    /// The tables asked for, and those that their cells are computed from. A claim that reaches into another
    /// table runs nothing there: it stays undecided where that is not asked for.
    fn needed_tables(&self) -> Vec<&Table> {
        let mut needed: Vec<&Table> = Vec::new();
        for table in &self.tables {
            for other in self.book.computed_from(table) {
                if needed.iter().all(|known| known.number != other.number) {
                    needed.push(other);
                }
            }
        }
        needed
    }

    /// The downstream steps a table is shown for: one where none makes a difference.
    pub fn sections(&self, table: &Table) -> Vec<Downstream> {
        let mut subjects = table.subjects().peekable();
        let computed = subjects.peek().is_none();
        let differ = subjects.any(|subject| {
            subject.measure == Measure::Score && subject.method != Method::Supervised
        });
        if computed || differ {
            self.downstream.clone()
        } else {
            self.downstream.iter().copied().take(1).collect()
        }
    }

    /// Whether a subject has cells of a downstream step here: rows beyond the paper are for profiles that want them.
    pub fn shows(&self, subject: &Subject, downstream: Downstream) -> bool {
        downstream.shows(subject.method) && (self.profile.beyond || subject.label.is_none())
    }

    /// The data sets its runs read.
    pub fn data_sets(book: &Book, tables: &[&Table]) -> BTreeSet<DataSet> {
        tables
            .iter()
            .flat_map(|table| book.computed_from(table))
            .flat_map(Table::subjects)
            .map(|subject| subject.data)
            .collect()
    }

    /// The networks of the paper that a table is about.
    pub fn networks<'t>(&self, table: &'t Table) -> BTreeSet<&'t Network>
    where
        Self: 't,
    {
        table
            .subjects()
            .flat_map(|subject| {
                if subject.method.is_pair() || subject.measure == Measure::Hours {
                    vec![&subject.cnn, &subject.vit]
                } else {
                    vec![subject.network(subject.arm)]
                }
            })
            .collect()
    }

    /// The runs behind a cell for one seed, the one it is read off last. Only the time of what trains one network
    /// takes two.
    pub fn runs(&self, subject: &Subject, downstream: Downstream, seed: u64) -> Vec<Run> {
        let arms: &[Arm] = match subject.measure {
            Measure::Hours if !subject.method.is_pair() => &Arm::BOTH,
            _ => &[subject.arm],
        };
        let mut runs = Vec::new();
        for &arm in arms {
            let pretrain = self.pretrain(subject, arm, seed);
            let probe = (subject.measure == Measure::Score).then(|| {
                self.probe(
                    subject,
                    downstream.of(subject.method),
                    seed,
                    pretrain.as_ref(),
                )
            });
            runs.extend(pretrain.into_iter().chain(probe));
        }
        runs
    }

    fn pretrain(&self, subject: &Subject, arm: Arm, seed: u64) -> Option<Run> {
        let profile = self.profile;
        let [cnn, vit] = [&subject.cnn, &subject.vit].map(|network| profile.network(network));
        let (epochs, batch) = (
            profile.pretrain.epochs(subject.epochs),
            profile.pretrain.batch(subject.batch),
        );
        let weights = profile.weights(subject.weights);
        // The text pretrains on every training image; the notebooks on the labelled ones.
        let percent = match self.protocol {
            Protocol::Paper => 100,
            Protocol::Notebook => subject.percent,
        };
        let mut recipe = Recipe::new("pretrain");
        let method = subject.method.pretraining()?;
        recipe.add("--method", method.name);
        let networks = if method.pair {
            recipe.add("--cnn", cnn);
            recipe.add("--vit", vit);
            BTreeMap::from([(Arm::Cnn, cnn), (Arm::Vit, vit)])
        } else {
            let network = if arm == Arm::Cnn { cnn } else { vit };
            recipe.add("--net", network);
            BTreeMap::from([(arm, network)])
        };
        recipe.add("--weights", weights_name(weights));
        recipe.add("--epochs", epochs);
        recipe.add("--batch", batch);
        recipe.add("--fraction", f64::from(percent) / 100.0);
        let mut variant = self.variant(&networks);
        if batch != profile.pretrain.batch {
            variant.push(format!("batch{batch}"));
        }
        if epochs != profile.pretrain.epochs {
            variant.push(format!("epochs{epochs}"));
        }
        if weights != profile.weights {
            variant.push(weights_name(weights).to_owned());
        }
        if subject.method == Method::Cass {
            if subject.augment != Augment::Paper {
                let stages = match subject.augment {
                    Augment::Solarize => "solarize",
                    Augment::Blur => "blur",
                    _ => "blur-solarize",
                };
                recipe.add("--set", format!("pipeline=paper-{stages}"));
                variant.push(stages.to_owned());
            }
            if subject.cnn_optimizer == Optimizer::Sgd {
                // As torch's is without further arguments, at Adam's rate.
                recipe.add("--set", "arms.cnn.optimizer={ name = \"sgd\", lr = 1e-3 }");
                variant.push("sgd".to_owned());
            }
        }
        for one in subject.set.iter().chain(&self.set) {
            recipe.add("--set", one);
        }
        let mut name = format!("pretrain-{}", slug(subject));
        if !method.pair {
            name += &format!("-{arm}");
        }
        if percent != 100 {
            name += &format!("-{percent}pct");
        }
        Some(self.run(
            Run {
                name,
                kind: Kind::Pretrain,
                data: subject.data,
                method: subject.method,
                label: subject.label.clone(),
                networks: owned(networks),
                variant: variant.join(" "),
                percent,
                downstream: None,
                seed,
                recipe: recipe.words,
                needs: None,
                estimate: Estimate::default(),
            },
            (epochs, batch),
        ))
    }

    fn probe(
        &self,
        subject: &Subject,
        downstream: Downstream,
        seed: u64,
        pretrain: Option<&Run>,
    ) -> Run {
        let (profile, arm) = (self.profile, subject.arm);
        let probe = match downstream {
            Downstream::Finetune => &profile.finetune,
            _ => &profile.linear,
        };
        let network = profile.network(subject.network(arm));
        let networks = BTreeMap::from([(arm, network)]);
        let mut recipe = Recipe::new("probe");
        let mut variant = self.variant(&networks);
        match (subject.method, pretrain) {
            (method, Some(pretrain)) if method.is_pair() => {
                recipe.add("--arm", arm);
                variant = vec![pretrain.variant.clone()];
            }
            (_, Some(_)) => {}
            (_, None) => {
                let weights = profile.weights(subject.weights);
                recipe.add("--weights", weights_name(weights));
                recipe.add("--arch", network);
                if weights != profile.weights {
                    variant.push(weights_name(weights).to_owned());
                }
            }
        }
        recipe.add("--mode", downstream.name());
        recipe.add("--fraction", f64::from(subject.percent) / 100.0);
        if downstream.is_papers() {
            recipe.add("--epochs", probe.epochs);
            recipe.add("--patience", probe.patience);
        }
        recipe.add("--batch", probe.batch);
        let method = slug(subject);
        self.run(
            Run {
                name: format!(
                    "{}-{method}-{arm}-{}pct",
                    downstream.name(),
                    subject.percent
                ),
                kind: Kind::Probe,
                data: subject.data,
                method: subject.method,
                label: subject.label.clone(),
                networks: owned(networks),
                variant: variant.join(" "),
                percent: subject.percent,
                downstream: Some(downstream),
                seed,
                recipe: recipe.words,
                needs: pretrain.map(|run| run.name.clone()),
                estimate: Estimate::default(),
            },
            (probe.epochs, probe.batch),
        )
    }

    /// Adds what all runs have, the rest of the name, and what it will take.
    fn run(&self, mut run: Run, (epochs, batch): (u32, u32)) -> Run {
        let mut recipe = Recipe { words: run.recipe };
        recipe.add("--data", run.data);
        recipe.add("--size", self.profile.size);
        recipe.add("--seed", run.seed);
        recipe.add("--protocol", self.protocol.name());
        run.recipe = recipe.words;
        let facts = self.data.get(&run.data);
        let decides = [
            run.recipe.join("\n"),
            facts
                .map(|facts| facts.fingerprint.clone())
                .unwrap_or_default(),
            run.needs.clone().unwrap_or_default(),
        ];
        let hash = short_hash(&decides.join("\n"));
        let variant = match run.variant.as_str() {
            "" => String::new(),
            variant => format!("-{}", variant.replace(' ', "-")),
        };
        run.name = format!("{}{variant}-{}-s{}-{hash}", run.name, run.data, run.seed);
        let parts = facts.map_or([0.0; 3], Facts::parts);
        run.estimate = Estimate::of(
            &run,
            (&self.profile.cost, self.profile.size),
            epochs,
            batch,
            parts,
        );
        run
    }

    /// The networks that are not what the profile has for the paper's standard pair.
    fn variant(&self, networks: &BTreeMap<Arm, &Network>) -> Vec<String> {
        let standard = |arm| {
            let name = match arm {
                Arm::Cnn => "resnet50.a1_in1k",
                Arm::Vit => "vit_base_patch16_384.augreg_in21k_ft_in1k",
            };
            let paper = Network::try_from(name.to_owned()).ok()?;
            Some(self.profile.network(&paper).clone())
        };
        networks
            .iter()
            .filter(|(arm, network)| standard(**arm).is_some_and(|s| s != ***network))
            .map(|(_, network)| network.short().to_owned())
            .collect()
    }
}

/// Arguments of `cass`.
pub struct Recipe {
    pub words: Vec<String>,
}

impl Recipe {
    pub fn new(command: &str) -> Recipe {
        Recipe {
            words: vec![command.to_owned()],
        }
    }

    pub fn add(&mut self, flag: &str, value: impl ToString) {
        self.words.extend([flag.to_owned(), value.to_string()]);
    }
}

/// A method's name as a part of a folder's.
fn slug(subject: &Subject) -> String {
    let name = subject.method_name().to_lowercase();
    let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
    name.chars().map(plain).collect()
}

fn owned(networks: BTreeMap<Arm, &Network>) -> BTreeMap<Arm, Network> {
    networks
        .into_iter()
        .map(|(arm, network)| (arm, network.clone()))
        .collect()
}

fn weights_name(weights: Weights) -> &'static str {
    match weights {
        Weights::Random => "random",
        Weights::Hub => "hub",
    }
}
