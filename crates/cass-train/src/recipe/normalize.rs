use super::{Recipe, Weights};
use crate::error::Result;
use crate::settings::check;
use cass_models::registry::{Normalization, find};
use cass_run::{names, read_bounded, read_text};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The statistics by which images are normalised before a network sees them.
///
/// In a recipe it is `"imagenet"`, `"weights"`, or a table `{ mean = [..], std = [..] }`. Recipes that do
/// not say it, as all that were written before there was a choice, mean ImageNet's, and so do the paper
/// and its notebooks, whatever the weights: see [`Recipe::chosen`].
///
/// ```
/// use cass_models::registry::Normalization;
/// use cass_train::Weights;
/// use cass_train::recipe::Normalize;
/// let vit = "vit_tiny_patch16_224.augreg_in21k_ft_in1k";
/// assert_eq!(Normalize::Imagenet.of(vit, &Weights::Hub).unwrap(), Normalization::IMAGENET);
/// assert_eq!(Normalize::Weights.of(vit, &Weights::Hub).unwrap().mean, [0.5; 3]);
/// assert_eq!(Normalize::Weights.of(vit, &Weights::Random).unwrap(), Normalization::IMAGENET);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub enum Normalize {
    /// ImageNet's, as the paper's appendix E.1.2 has it.
    #[default]
    Imagenet,
    /// Those that each network's weights were trained with, as the registry knows them by the network's name,
    /// its tag included; ImageNet's for random weights, which were trained with none.
    Weights,
    /// These.
    Own(Normalization),
}

/// How a recipe says it.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected imagenet, weights or a table of mean and std"
)]
enum Text {
    Name(String),
    Own(Normalization),
}

impl TryFrom<Text> for Normalize {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        match text {
            Text::Own(own) => Ok(Self::Own(own)),
            Text::Name(name) => match name.as_str() {
                "imagenet" => Ok(Self::Imagenet),
                "weights" => Ok(Self::Weights),
                _ => Err(format!(
                    "unknown normalization `{name}`, expected imagenet, weights or a table of mean and std"
                )),
            },
        }
    }
}

impl From<Normalize> for Text {
    fn from(normalize: Normalize) -> Self {
        match normalize {
            Normalize::Imagenet => Self::Name("imagenet".into()),
            Normalize::Weights => Self::Name("weights".into()),
            Normalize::Own(own) => Self::Own(own),
        }
    }
}

impl Normalize {
    /// Whether it is the paper's, which recipes leave out.
    pub fn is_imagenet(&self) -> bool {
        *self == Self::Imagenet
    }

    /// The statistics for a network with these weights.
    ///
    /// # Errors
    /// If the registry is asked for a network that it does not know.
    pub fn of(&self, network: &str, weights: &Weights) -> Result<Normalization> {
        Ok(match (self, weights) {
            (Self::Own(own), _) => *own,
            (Self::Imagenet, _) | (Self::Weights, Weights::Random) => Normalization::IMAGENET,
            (Self::Weights, _) => find(network)?.normalization,
        })
    }

    /// The choice of a network that was trained here: what was used then, whatever its weights wanted before.
    pub fn as_used(normalization: Normalization) -> Self {
        if normalization == Normalization::IMAGENET {
            Self::Imagenet
        } else {
            Self::Own(normalization)
        }
    }

    /// The choice that suits weights which nobody says more of: what is written next to a file (the recipe of the
    /// run that left it, or timm's `config.json`), and else [`Normalize::Weights`] where that differs from
    /// ImageNet's.
    ///
    /// # Errors
    /// If the network is unknown, or what is next to the file cannot be read.
    pub fn for_weights(network: &str, weights: &Weights) -> Result<Self> {
        if let Weights::File(file) = weights
            && let Some(stated) = stated(file)?
        {
            return Ok(Self::as_used(stated));
        }
        let of_weights = Self::Weights.of(network, weights)?;
        Ok(if of_weights == Normalization::IMAGENET {
            Self::Imagenet
        } else {
            Self::Weights
        })
    }

    /// Checks the statistics.
    ///
    /// # Errors
    /// If a standard deviation is not above 0, or a number is not finite.
    pub fn check(&self) -> Result<()> {
        let Self::Own(Normalization { mean, std }) = self else {
            return Ok(());
        };
        for (value, mean) in std.iter().zip(mean) {
            check(
                "normalization.mean",
                mean,
                mean.is_finite(),
                "finite numbers",
            )?;
            let fits = value.is_finite() && *value > 0.0;
            check("normalization.std", value, fits, "numbers above 0")?;
        }
        Ok(())
    }
}

/// What is said next to a file of weights, or in a folder that holds one.
fn stated(file: &Path) -> Result<Option<Normalization>> {
    let folder = if file.is_dir() {
        file
    } else {
        file.parent().unwrap_or(Path::new(""))
    };
    if let Some(text) = read_text(&folder.join(names::RECIPE))? {
        let used = |(name, arm): (&String, &super::Arm), recipe: &Recipe| {
            let own = file.file_name() == Some(names::checkpoint(name).as_ref());
            own.then(|| recipe.normalization.of(&arm.network, &arm.weights))
        };
        if let Ok(recipe) = Recipe::from_toml(&text)
            && let Some(used) = recipe.arms.iter().find_map(|arm| used(arm, &recipe))
        {
            return used.map(Some);
        }
    }
    let config = read_bounded(&folder.join("config.json"), 1 << 20).ok();
    let config = config.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    Ok(config.and_then(|config| {
        // Next to what follows from it for other channels than three, where it was exported here.
        let stated = serde_json::from_value(config["cass"]["normalization"].clone());
        if let Ok(stated) = stated {
            return Some(stated);
        }
        let three = |key| serde_json::from_value(config["pretrained_cfg"][key].clone()).ok();
        Some(Normalization {
            mean: three("mean")?,
            std: three("std")?,
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::CassConfig;
    use std::fs;

    #[test]
    fn what_is_next_to_a_file_says_how_its_images_were_normalised() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Weights::File(folder.path().join(name));
        let vit = "vit_tiny_patch16_224";
        let half = Normalize::Weights.of(vit, &Weights::Hub)?;
        assert_eq!(half.std, [0.5; 3]);
        let guess = |name: &str| Normalize::for_weights(vit, &file(name));
        assert_eq!(guess("x.safetensors")?, Normalize::Weights);
        let resnet = Normalize::for_weights("resnet18", &file("x.safetensors"))?;
        assert_eq!(resnet, Normalize::Imagenet);

        let config = r#"{"pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}}"#;
        fs::write(folder.path().join("config.json"), config).unwrap();
        let own = Normalization {
            mean: [0.1, 0.2, 0.3],
            std: [1.0; 3],
        };
        assert_eq!(guess("x.safetensors")?, Normalize::Own(own));
        assert_eq!(guess("")?, Normalize::Own(own));

        // The paper's pretraining normalised by ImageNet's statistics, and another by the weights'.
        let mut recipe = Recipe::paper(CassConfig::default());
        for (normalize, used) in [
            (Normalize::Imagenet, Normalize::Imagenet),
            (Normalize::Weights, Normalize::Own(half)),
        ] {
            recipe.normalization = normalize;
            fs::write(folder.path().join(names::RECIPE), recipe.to_toml()).unwrap();
            assert_eq!(guess("checkpoint-vit.safetensors")?, used);
            assert_eq!(guess("checkpoint-cnn.safetensors")?, Normalize::Imagenet);
        }
        Ok(())
    }
}
