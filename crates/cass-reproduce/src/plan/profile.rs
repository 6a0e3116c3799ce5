//! A profile is one file that decides the scale of a job.

use crate::networks::Network;
use crate::table::{DataSet, Weights};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const PROFILES: &[(&str, &str)] = &[
    ("demo", include_str!("../../profiles/demo.toml")),
    ("small", include_str!("../../profiles/small.toml")),
    ("paper", include_str!("../../profiles/paper.toml")),
];

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[serde(skip)]
    pub name: String,
    /// One sentence for the report's first lines.
    pub summary: String,
    /// What `--table all` is; every table where this is not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    pub downstream: DefaultDownstream,
    /// Whether rows beyond the paper are run too.
    #[serde(default)]
    pub beyond: bool,
    pub seeds: u64,
    /// Where the paper starts from ImageNet's.
    pub weights: Weights,
    /// Image side in pixels.
    pub size: u32,
    /// Stand-ins for the paper's networks; others are the paper's own.
    #[serde(default)]
    pub networks: BTreeMap<Network, Network>,
    /// Drawn images, where the profile needs no data sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phantom: BTreeMap<DataSet, Phantom>,
    pub pretrain: Pretrain,
    pub linear: Probe,
    pub finetune: Probe,
    pub cost: Cost,
}

/// Which tables a profile prints where `--downstream` is not given.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultDownstream {
    /// The protocol's own, and those on frozen features that cost next to nothing compared with a pretraining.
    Headline,
    /// All of them.
    #[serde(alias = "both")]
    All,
}

/// Arguments of `cass data phantom`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phantom {
    pub seed: u64,
    pub size: u32,
    pub train_per_class: u32,
    pub test_per_class: u32,
    /// How much they vary.
    #[serde(default)]
    pub style: Style,
}

/// How much phantoms vary, as `cass data phantom --style` has it.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Much, as patients do.
    #[default]
    Varied,
    /// So little that small networks learn to tell the classes in minutes.
    Clear,
}

impl Style {
    /// `varied` or `clear`.
    pub fn name(self) -> &'static str {
        match self {
            Style::Varied => "varied",
            Style::Clear => "clear",
        }
    }
}

/// Pretraining in place of the paper's 100 epochs and batch of 16; cells with others get them in proportion.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrain {
    pub epochs: u32,
    pub batch: u32,
}

impl Pretrain {
    /// What stands for so many epochs of the paper.
    pub fn epochs(&self, paper: u32) -> u32 {
        scale(paper, self.epochs, 100).max(1)
    }

    /// What stands for such a batch of the paper.
    pub fn batch(&self, paper: u32) -> u32 {
        scale(paper, self.batch, 16).max(2)
    }
}

fn scale(paper: u32, ours: u32, standard: u32) -> u32 {
    (f64::from(paper) * f64::from(ours) / f64::from(standard)).round() as u32
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Epochs at most.
    pub epochs: u32,
    /// Epochs without a better validation loss before it stops.
    pub patience: u32,
    pub batch: u32,
}

/// How fast the profile's machine is, and how much it takes, until something was measured.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Where the figures are from.
    pub machine: String,
    /// 10⁹ operations a second that training reaches.
    pub gflops: f64,
    /// MiB of activations an image takes for 10⁹ operations of the forward pass.
    pub mib_per_gflop: f64,
    /// Share of the fine-tuning's epochs run before early stopping.
    pub stop: f64,
    /// Seconds to start a run.
    pub start: f64,
}

impl Profile {
    /// A profile by its name, or of a file whose name ends with `.toml`.
    pub fn find(name: &str) -> Result<Profile> {
        if name.ends_with(".toml") {
            return Profile::read(Path::new(name));
        }
        let Some((_, text)) = PROFILES.iter().find(|(known, _)| *known == name) else {
            bail!("there is no profile `{name}`: expected auto, demo, small, paper or FILE.toml");
        };
        let profile =
            Profile::parse(text).with_context(|| format!("profile {name} cannot be read"))?;
        Ok(Profile {
            name: name.to_owned(),
            ..profile
        })
    }

    /// Reads a profile of one's own. Reports call it by the file's name, which must not be that of another scale.
    fn read(path: &Path) -> Result<Profile> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("profile {} cannot be read", path.display()))?;
        let profile =
            Profile::parse(&text).with_context(|| format!("{} is no profile", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        ensure!(
            PROFILES.iter().all(|(known, _)| *known != name) && !name.is_empty(),
            "{} has the name of another profile: expected one of its own",
            path.display()
        );
        Ok(Profile {
            name: name.into_owned(),
            ..profile
        })
    }

    fn parse(text: &str) -> Result<Profile> {
        Ok(toml::from_str(text)?)
    }

    /// What stands for one of the paper's networks.
    pub fn network<'a>(&'a self, paper: &'a Network) -> &'a Network {
        self.networks.get(paper).unwrap_or(paper)
    }

    /// What stands for the paper's initial weights.
    pub fn weights(&self, paper: Weights) -> Weights {
        match paper {
            Weights::Random => Weights::Random,
            Weights::Hub => self.weights,
        }
    }

    /// Every field in which this profile is not the paper's, as `field = ours (paper: theirs)`, as far as it
    /// concerns these networks of the paper.
    pub fn deviations(&self, seeds: u64, networks: &BTreeSet<&Network>) -> Result<Vec<String>> {
        let paper = Profile::find("paper")?;
        let mut list = Vec::new();
        let mut differ = |field: &str, ours: String, theirs: String| {
            if ours != theirs {
                list.push(format!("{field} = {ours} (paper: {theirs})"));
            }
        };
        for network in networks {
            let ours = self.network(network);
            // The tag behind the dot is of the weights.
            if ours.short() != network.short() {
                differ("network", ours.to_string(), network.to_string());
            }
        }
        let weights = |weights: Weights| match weights {
            Weights::Random => "random".to_owned(),
            Weights::Hub => "ImageNet".to_owned(),
        };
        differ("weights", weights(self.weights), weights(paper.weights));
        differ("size", self.size.to_string(), paper.size.to_string());
        let (a, b) = (&self.pretrain, &paper.pretrain);
        for (field, a, b) in [
            ("pretraining epochs", a.epochs, b.epochs),
            ("pretraining batch", a.batch, b.batch),
        ] {
            differ(field, a.to_string(), b.to_string());
        }
        for (name, a, b) in [
            ("linear", &self.linear, &paper.linear),
            ("fine-tuning", &self.finetune, &paper.finetune),
        ] {
            for (field, a, b) in [
                ("epochs, at most", a.epochs, b.epochs),
                ("patience", a.patience, b.patience),
                ("batch", a.batch, b.batch),
            ] {
                differ(&format!("{name} {field}"), a.to_string(), b.to_string());
            }
        }
        differ("seeds", seeds.to_string(), paper.seeds.to_string());
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_reads_and_only_the_papers_has_no_deviation() {
        let networks = [
            "resnet50.a1_in1k",
            "vit_base_patch16_384.augreg_in21k_ft_in1k",
        ]
        .map(|name| Network::try_from(name.to_owned()).unwrap());
        for (name, _) in PROFILES {
            let profile = Profile::find(name).unwrap();
            let deviations = profile
                .deviations(profile.seeds, &networks.iter().collect())
                .unwrap();
            assert_eq!(
                deviations.is_empty(),
                *name == "paper",
                "{name}: {deviations:?}"
            );
        }
    }

    #[test]
    fn epochs_and_batches_keep_the_papers_proportions() {
        let demo = Pretrain {
            epochs: 2,
            batch: 16,
        };
        assert_eq!([50, 100, 200, 300].map(|n| demo.epochs(n)), [1, 2, 4, 6]);
        assert_eq!([8, 16, 32].map(|n| demo.batch(n)), [8, 16, 32]);
        let tiny = Pretrain {
            epochs: 1,
            batch: 4,
        };
        assert_eq!((tiny.epochs(25), tiny.batch(4)), (1, 2));
    }

    #[test]
    fn a_file_is_a_profile_of_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            Profile::find(path.to_str().unwrap())
        };
        let text = PROFILES[0].1.replace("size = 64", "size = 32");
        let profile = file("mine.toml", &text).unwrap();
        assert_eq!((profile.name.as_str(), profile.size), ("mine", 32));
        for (name, text, said) in [
            (
                "paper.toml",
                text.as_str(),
                "has the name of another profile",
            ),
            (
                "cut.toml",
                &text[..text.len() / 2],
                "cut.toml is no profile",
            ),
        ] {
            let error = format!("{:#}", file(name, text).err().unwrap());
            assert!(error.contains(said), "{error}");
        }
        let error = format!("{:#}", Profile::find("none.toml").err().unwrap());
        assert!(
            error.contains("profile none.toml cannot be read"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text = PROFILES[0]
            .1
            .replace("\n[pretrain]", "\nwarmup = 3\n\n[pretrain]");
        let error = format!("{:#}", Profile::parse(&text).err().unwrap());
        assert!(error.contains("unknown field `warmup`"), "{error}");
    }
}
