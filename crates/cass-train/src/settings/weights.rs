use cass_models::hub::{HubFault, HubId};
use cass_models::registry::find;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Initial weights, as a recipe names them.
///
/// ```
/// use cass_train::Weights;
/// let weights: Weights = "hub:timm/resnet50.a1_in1k@v1".parse().unwrap();
/// assert_eq!(weights.to_string(), "hub:timm/resnet50.a1_in1k@v1");
/// assert_eq!("hub".parse(), Ok(Weights::Hub));
/// assert_eq!("a/b.safetensors".parse(), Ok(Weights::File("a/b.safetensors".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Weights {
    /// `random`: timm's initialisation, from the run's seed.
    Random,
    /// `hub`: ImageNet weights from the Hugging Face Hub, by the network's tag in the registry.
    Hub,
    /// `hub:OWNER/NAME@REVISION`: any repository of the Hub with timm's keys. A run that is asked
    /// for `hub` keeps this, with the commit that it found, in its recipe.
    HubRepo(HubId),
    /// A safetensors file with timm's keys, or a folder with a `model.safetensors`.
    File(PathBuf),
}

impl Weights {
    /// Which repository of the Hub they are of, if of any.
    ///
    /// # Errors
    /// If `network` is none of the registry.
    pub fn hub_id(&self, network: &str) -> cass_models::Result<Option<HubId>> {
        Ok(match self {
            Self::Hub => Some(HubId::of(find(network)?)),
            Self::HubRepo(id) => Some(id.clone()),
            Self::Random | Self::File(_) => None,
        })
    }

    /// Makes the path of a file absolute: a relative one is of the folder `base`.
    pub fn resolve(&mut self, base: &Path) {
        if let Self::File(path) = self {
            *path = base.join(&path).components().collect();
        }
    }

    /// What was asked for before a run found its commit: [`Weights::Hub`] for any state of the
    /// repository that the registry names for `network`.
    pub fn without_commit(&self, network: &str) -> Self {
        match (self, Self::Hub.hub_id(network)) {
            (Self::HubRepo(id), Ok(Some(own))) if id.repo() == own.repo() => Self::Hub,
            _ => self.clone(),
        }
    }
}

impl FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "random" => Self::Random,
            "hub" => Self::Hub,
            _ => match text.strip_prefix("hub:") {
                Some(id) => Self::HubRepo(id.parse().map_err(|e: HubFault| e.to_string())?),
                None => Self::File(text.into()),
            },
        })
    }
}

impl TryFrom<String> for Weights {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Hub => f.write_str("hub"),
            Self::HubRepo(id) => write!(f, "hub:{id}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl From<Weights> for String {
    fn from(weights: Weights) -> Self {
        weights.to_string()
    }
}
