//! A profile is one file that decides the scale of a job.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::table::Arm;

const PROFILES: &[(&str, &str)] = &[
    ("demo", include_str!("../profiles/demo.toml")),
    ("small", include_str!("../profiles/small.toml")),
    ("paper", include_str!("../profiles/paper.toml")),
];

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[serde(skip)]
    pub name: String,
    /// One sentence for the report's first lines.
    pub summary: String,
    pub downstream: DefaultDownstream,
    pub seeds: u64,
    pub networks: Networks,
    /// Drawn images, where the profile needs no data set.
    pub phantom: Option<Phantom>,
    pub pretrain: Pretrain,
    pub linear: Probe,
    pub finetune: Probe,
    pub cost: Cost,
}

/// Which tables a profile prints where `--downstream` is not given.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultDownstream {
    /// The protocol's own alone.
    Headline,
    Both,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// timm names.
    pub cnn: String,
    pub vit: String,
    /// `random` or `hub`.
    pub weights: String,
    /// Image side in pixels.
    pub size: u32,
}

impl Networks {
    pub fn of(&self, arm: Arm) -> &str {
        match arm {
            Arm::Cnn => &self.cnn,
            Arm::Vit => &self.vit,
        }
    }
}

/// Arguments of `cass data phantom`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phantom {
    pub seed: u64,
    pub size: u32,
    pub train_per_class: u32,
    pub test_per_class: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrain {
    pub epochs: u32,
    pub batch: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// At most.
    pub epochs: u32,
    /// Epochs without a better validation loss before it stops.
    pub patience: u32,
    pub batch: u32,
}

/// Milliseconds an image costs, by what is done with it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Where the figures are from.
    pub machine: String,
    pub cass: f64,
    pub dino: PerArm,
    pub train: PerArm,
    pub forward: PerArm,
    /// Share of the fine-tuning's epochs run before early stopping.
    pub stop: f64,
    /// Seconds to start a run.
    pub start: f64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerArm {
    cnn: f64,
    vit: f64,
}

impl PerArm {
    pub fn of(&self, arm: Arm) -> f64 {
        match arm {
            Arm::Cnn => self.cnn,
            Arm::Vit => self.vit,
        }
    }
}

impl Profile {
    pub fn find(name: &str) -> Result<Profile> {
        let Some((_, text)) = PROFILES.iter().find(|(known, _)| *known == name) else {
            bail!("failed to find profile `{name}`: expected auto, demo, small or paper");
        };
        let profile =
            Profile::parse(text).with_context(|| format!("failed to read profile {name}"))?;
        Ok(Profile {
            name: name.to_owned(),
            ..profile
        })
    }

    fn parse(text: &str) -> Result<Profile> {
        Ok(toml::from_str(text)?)
    }

    /// Every field in which this profile is not the paper's, as `field = ours (paper: theirs)`.
    pub fn deviations(&self, seeds: u64) -> Result<Vec<String>> {
        let paper = Profile::find("paper")?;
        let mut list = Vec::new();
        let mut differ = |field: &str, ours: String, theirs: String| {
            if ours != theirs {
                list.push(format!("{field} = {ours} (paper: {theirs})"));
            }
        };
        let (a, b) = (&self.networks, &paper.networks);
        differ("cnn", a.cnn.clone(), b.cnn.clone());
        differ("vit", a.vit.clone(), b.vit.clone());
        differ("weights", a.weights.clone(), b.weights.clone());
        differ("size", a.size.to_string(), b.size.to_string());
        let (a, b) = (&self.pretrain, &paper.pretrain);
        differ(
            "pretraining epochs",
            a.epochs.to_string(),
            b.epochs.to_string(),
        );
        differ(
            "pretraining batch",
            a.batch.to_string(),
            b.batch.to_string(),
        );
        for (name, a, b) in [
            ("linear", &self.linear, &paper.linear),
            ("fine-tuning", &self.finetune, &paper.finetune),
        ] {
            let mut differ = |field: &str, ours: u32, theirs: u32| {
                differ(
                    &format!("{name} {field}"),
                    ours.to_string(),
                    theirs.to_string(),
                );
            };
            differ("epochs, at most", a.epochs, b.epochs);
            differ("patience", a.patience, b.patience);
            differ("batch", a.batch, b.batch);
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
        for (name, _) in PROFILES {
            let profile = Profile::find(name).unwrap();
            let deviations = profile.deviations(profile.seeds).unwrap();
            assert_eq!(
                deviations.is_empty(),
                *name == "paper",
                "{name}: {deviations:?}"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text = PROFILES[0]
            .1
            .replace("[pretrain]\n", "[pretrain]\nwarmup = 3\n");
        let error = format!("{:#}", Profile::parse(&text).err().unwrap());
        assert!(error.contains("unknown field `warmup`"), "{error}");
    }
}
