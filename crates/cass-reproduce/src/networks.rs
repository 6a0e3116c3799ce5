//! The registry of networks, as tables, profiles and estimates need it.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// What `cass models list` says of a network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Tag of its ImageNet weights, behind the dot of a full name.
    pub tag: String,
    /// Millions.
    pub parameters: f64,
    /// Operations of the forward pass of an image of `input` pixels, in units of 10⁹.
    pub gflops: f64,
    pub input: u32,
}

/// `networks.toml`; a test makes sure that it reads.
pub static REGISTRY: LazyLock<BTreeMap<String, Figures>> =
    LazyLock::new(|| toml::from_str(include_str!("../networks.toml")).unwrap_or_default());

/// Compares `networks.toml` with what `cass models list --json` printed.
pub fn check(printed: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct List {
        models: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        name: String,
        tag: String,
        parameters: f64,
        gflops: f64,
        input_size: u32,
    }
    let list: List = serde_json::from_str(printed.lines().last().unwrap_or_default())
        .context("what `cass models list --json` printed cannot be read")?;
    ensure!(
        list.models.len() == REGISTRY.len(),
        "networks.toml has {} networks, the registry {}",
        REGISTRY.len(),
        list.models.len()
    );
    for model in list.models {
        let round = |x: f64| (x * 1000.0).round() / 1000.0;
        let theirs = Figures {
            tag: model.tag,
            parameters: round(model.parameters / 1e6),
            gflops: round(model.gflops),
            input: model.input_size,
        };
        ensure!(
            REGISTRY.get(&model.name) == Some(&theirs),
            "networks.toml is not the registry: {} is {theirs:?}",
            model.name
        );
    }
    Ok(())
}

/// A network of the registry by timm's name, `resnet50` or `resnet50.a1_in1k`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(String);

impl Network {
    /// The name as in a command line.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Without the tag.
    pub fn short(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }

    /// Millions.
    pub fn parameters(&self) -> f64 {
        self.figures().map_or(0.0, |figures| figures.parameters)
    }

    /// 10⁹ operations of the forward pass of one image of `size` pixels, taken as proportional to its area.
    pub fn gflops(&self, size: u32) -> f64 {
        self.figures().map_or(0.0, |figures| {
            figures.gflops * (f64::from(size) / f64::from(figures.input)).powi(2)
        })
    }

    /// The side it was made for, in pixels.
    pub fn input(&self) -> u32 {
        self.figures().map_or(224, |figures| figures.input)
    }

    fn figures(&self) -> Option<&'static Figures> {
        REGISTRY.get(self.short())
    }
}

impl TryFrom<String> for Network {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Network> {
        let (name, tag) = match text.split_once('.') {
            Some((name, tag)) => (name, Some(tag)),
            None => (text.as_str(), None),
        };
        match REGISTRY.get(name) {
            Some(figures) if tag.is_none_or(|tag| tag == figures.tag) => Ok(Network(text)),
            Some(figures) => bail!(
                "unknown network `{text}`: expected `{name}.{}`",
                figures.tag
            ),
            None => bail!("unknown network `{text}`: `cass models list` names them all"),
        }
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_networks_have_the_papers_parameters() {
        // protocol.md, in millions.
        for (name, parameters) in [
            ("resnet18.a1_in1k", 11.690),
            ("resnet50.a1_in1k", 25.557),
            ("resnet200d.ra2_in1k", 64.693),
            ("densenet161.tv_in1k", 28.681),
            ("vit_base_patch16_384.augreg_in21k_ft_in1k", 86.859),
            ("vit_large_patch16_384.augreg_in21k_ft_in1k", 304.716),
            ("deit_base_patch16_384.fb_in1k", 86.859),
            ("swin_base_patch4_window12_384.ms_in22k_ft_in1k", 87.904),
        ] {
            let network = Network::try_from(name.to_owned()).unwrap();
            assert_eq!(network.parameters(), parameters, "{name}");
        }
        let error = |name: &str| Network::try_from(name.to_owned()).unwrap_err().to_string();
        assert!(error("resnet51").contains("unknown network `resnet51`"));
        assert!(error("resnet50.tv_in1k").contains("expected `resnet50.a1_in1k`"));
    }
}
