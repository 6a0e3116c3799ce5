//! Which runs a table needs, what each reuses, and what they will cost.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Estimate, Kind, Plan, Run};
use crate::data::{Data, short_hash};
use crate::profile::Profile;
use crate::table::{Arm, CellId, Method, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// What the text says.
    Paper,
    /// What the published notebooks do.
    Notebook,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Paper => "paper",
            Protocol::Notebook => "notebook",
        }
    }

    /// The downstream step its numbers are of.
    pub fn headline(self) -> Downstream {
        match self {
            Protocol::Paper => Downstream::Linear,
            Protocol::Notebook => Downstream::Finetune,
        }
    }

    /// The notebooks fix 77; the paper names no seeds.
    fn first_seed(self) -> u64 {
        match self {
            Protocol::Paper => 0,
            Protocol::Notebook => 77,
        }
    }
}

/// What is trained on the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Downstream {
    /// A linear classifier on frozen features.
    Linear,
    /// All parameters.
    Finetune,
}

impl Downstream {
    pub fn name(self) -> &'static str {
        match self {
            Downstream::Linear => "linear",
            Downstream::Finetune => "finetune",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Downstream::Linear => "Frozen features, linear classifier",
            Downstream::Finetune => "All parameters fine-tuned",
        }
    }

    /// The rows of its table. Supervised training trains all parameters by definition and stands in both.
    pub fn methods(self) -> &'static [Method] {
        match self {
            Downstream::Linear => &[
                Method::Untrained,
                Method::Dino,
                Method::Cass,
                Method::Supervised,
            ],
            Downstream::Finetune => &[Method::Dino, Method::Cass, Method::Supervised],
        }
    }

    /// How the cells of a method are really trained.
    pub fn of(self, method: Method) -> Downstream {
        match method {
            Method::Supervised => Downstream::Finetune,
            _ => self,
        }
    }
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// CASS trains both arms at once (no `arm`); DINO one. `percent`: share of the images.
    Pretrain {
        method: Method,
        arm: Option<Arm>,
        percent: u32,
    },
    Probe {
        cell: CellId,
        downstream: Downstream,
    },
}

/// What a job is asked to do.
pub struct Job<'a> {
    pub table: &'a Table,
    pub profile: &'a Profile,
    pub protocol: Protocol,
    pub downstream: &'a [Downstream],
    pub seeds: u64,
    pub data: &'a Data,
}

impl Job<'_> {
    /// Every run, seed by seed, each after what it needs. Nothing stands there twice.
    pub fn plan(&self) -> Plan {
        let mut runs = Vec::new();
        let mut known = BTreeSet::new();
        let first = self.protocol.first_seed();
        for seed in first..first + self.seeds {
            for &downstream in self.downstream {
                for &method in downstream.methods() {
                    for arm in Arm::BOTH {
                        for &percent in &self.table.percent {
                            let cell = CellId {
                                method,
                                arm,
                                percent,
                            };
                            let pretrain = self.pretrain(cell, seed);
                            let probe =
                                self.probe(cell, downstream.of(method), seed, pretrain.as_ref());
                            runs.extend(pretrain.into_iter().chain([probe]));
                        }
                    }
                }
            }
        }
        runs.retain(|run| known.insert(run.name.clone()));
        // Within a seed the pretrainings first: they are the long ones and the probes wait for them.
        runs.sort_by_key(|run| (run.seed, run.kind));
        Plan { runs }
    }

    fn pretrain(&self, cell: CellId, seed: u64) -> Option<Run> {
        let networks = &self.profile.networks;
        let mut recipe = vec!["pretrain".to_owned()];
        let mut add = |flag: &str, value: &str| recipe.extend([flag.to_owned(), value.to_owned()]);
        let arm = match cell.method {
            Method::Cass => {
                add("--method", "cass");
                add("--cnn", &networks.cnn);
                add("--vit", &networks.vit);
                None
            }
            Method::Dino => {
                add("--method", "dino");
                add("--net", networks.of(cell.arm));
                Some(cell.arm)
            }
            Method::Untrained | Method::Supervised => return None,
        };
        // The text pretrains on every training image; the notebooks on the labelled ones.
        let percent = match self.protocol {
            Protocol::Paper => 100,
            Protocol::Notebook => cell.percent,
        };
        add("--weights", &networks.weights);
        add("--epochs", &self.profile.pretrain.epochs.to_string());
        add("--batch", &self.profile.pretrain.batch.to_string());
        add("--fraction", &fraction(percent).to_string());
        let method = cell.method.to_string().to_lowercase();
        let arm_name = arm.map(|arm| format!("-{arm}")).unwrap_or_default();
        let share = match self.protocol {
            Protocol::Paper => String::new(),
            Protocol::Notebook => format!("-{percent}pct"),
        };
        let role = Role::Pretrain {
            method: cell.method,
            arm,
            percent,
        };
        Some(self.run(
            format!("pretrain-{method}{arm_name}{share}"),
            role,
            seed,
            recipe,
            None,
        ))
    }

    fn probe(
        &self,
        cell: CellId,
        downstream: Downstream,
        seed: u64,
        pretrain: Option<&Run>,
    ) -> Run {
        let networks = &self.profile.networks;
        let probe = match downstream {
            Downstream::Linear => &self.profile.linear,
            Downstream::Finetune => &self.profile.finetune,
        };
        let mut recipe = vec!["probe".to_owned()];
        let mut add = |flag: &str, value: &str| recipe.extend([flag.to_owned(), value.to_owned()]);
        match cell.method {
            Method::Cass => add("--arm", &cell.arm.to_string()),
            Method::Dino => {}
            Method::Untrained | Method::Supervised => {
                add("--weights", &networks.weights);
                add("--arch", networks.of(cell.arm));
            }
        }
        add("--mode", downstream.name());
        add("--fraction", &fraction(cell.percent).to_string());
        add("--epochs", &probe.epochs.to_string());
        add("--patience", &probe.patience.to_string());
        add("--batch", &probe.batch.to_string());
        let method = cell.method.to_string().to_lowercase();
        let name = format!(
            "{}-{method}-{}-{}pct",
            downstream.name(),
            cell.arm,
            cell.percent
        );
        let needs = pretrain.map(|run| run.name.clone());
        self.run(name, Role::Probe { cell, downstream }, seed, recipe, needs)
    }

    fn run(
        &self,
        name: String,
        role: Role,
        seed: u64,
        mut recipe: Vec<String>,
        needs: Option<String>,
    ) -> Run {
        let networks = &self.profile.networks;
        for (flag, value) in [
            ("--data", self.table.data.clone()),
            ("--size", networks.size.to_string()),
            ("--seed", seed.to_string()),
            ("--protocol", self.protocol.name().to_owned()),
        ] {
            recipe.extend([flag.to_owned(), value]);
        }
        let decides = [
            recipe.join("\n"),
            self.data.fingerprint.clone(),
            needs.clone().unwrap_or_default(),
        ];
        Run {
            name: format!("{name}-s{seed}-{}", short_hash(&decides.join("\n"))),
            kind: match role {
                Role::Pretrain { .. } => Kind::Pretrain,
                Role::Probe { .. } => Kind::Probe,
            },
            estimate: Estimate {
                seconds: self.estimate(&role),
            },
            role,
            seed,
            recipe,
            needs,
        }
    }

    /// Images times the profile's cost of one.
    fn estimate(&self, role: &Role) -> f64 {
        let cost = &self.profile.cost;
        // A tenth of the training images is kept for validation.
        let [train, test] = self.data.images.map(|n| n as f64);
        let (train, val) = (0.9 * train, 0.1 * train);
        let ms = match *role {
            Role::Pretrain {
                method,
                arm,
                percent,
            } => {
                let image = match (method, arm) {
                    (Method::Dino, Some(arm)) => cost.dino.of(arm),
                    _ => cost.cass,
                };
                train * fraction(percent) * f64::from(self.profile.pretrain.epochs) * image
            }
            Role::Probe { cell, downstream } => {
                let (labelled, forward) =
                    (train * fraction(cell.percent), cost.forward.of(cell.arm));
                match downstream {
                    // Every image once; the classifier itself costs next to nothing.
                    Downstream::Linear => (labelled + val + test) * forward,
                    Downstream::Finetune => {
                        let epochs = cost.stop * f64::from(self.profile.finetune.epochs);
                        epochs * (labelled * cost.train.of(cell.arm) + val * forward)
                            + test * forward
                    }
                }
            }
        };
        cost.start + ms / 1000.0
    }
}

fn fraction(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}
