//! The networks by timm's names, with the weights that timm publishes for them.

mod published;
mod table;

pub use published::Top1;
pub use table::MODELS;

use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::family::ModelConfig;
use crate::text::nearest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Mean and standard deviation by which a channel's values in 0..=1 are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Means of red, green and blue.
    pub mean: [f64; 3],
    /// Standard deviations of red, green and blue, above 0.
    pub std: [f64; 3],
}

impl Normalization {
    /// timm's `IMAGENET_DEFAULT_MEAN` and `_STD`.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };

    /// Means and standard deviations of images of `channels`: of one channel the means of the colours';
    /// of others, channel `i` has those of colour `i mod 3`, as timm repeats the weights.
    pub fn of_channels(&self, channels: usize) -> [Vec<f64>; 2] {
        [self.mean, self.std].map(|values| match channels {
            1 => vec![values.iter().sum::<f64>() / 3.0],
            _ => values.iter().copied().cycle().take(channels).collect(),
        })
    }
}

/// How images are brought to the input size, by PIL's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// Bilinear interpolation, over 2x2 pixels.
    Bilinear,
    /// Bicubic interpolation, over 4x4 pixels.
    Bicubic,
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// A network and one of its published weights: what timm's `pretrained_cfg` says of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelInfo {
    /// timm's name of the architecture, `resnet50`.
    pub name: &'static str,
    /// timm's tag of the weights, `a1_in1k`.
    pub tag: &'static str,
    /// The weights' repository on the Hugging Face Hub, `timm/resnet50.a1_in1k`.
    pub hub_id: &'static str,
    /// The network's shape.
    pub config: ModelConfig,
    /// Side of the images those weights were trained on, px.
    pub input_size: usize,
    /// How those images were normalised.
    pub normalization: Normalization,
    /// How those images were resized.
    pub interpolation: Interpolation,
    /// Side of the centre crop that is judged, over the side of the resized image.
    pub crop_pct: f64,
    /// Outputs of the published classifier; 0 where the weights have none.
    pub num_classes: usize,
    full_name: &'static str,
}

impl ModelInfo {
    const fn new(
        hub_id: &'static str,
        [name, tag, full_name]: [&'static str; 3],
        config: ModelConfig,
        input_size: usize,
        crop_pct: f64,
    ) -> Self {
        Self {
            name,
            tag,
            hub_id,
            config,
            input_size,
            normalization: Normalization::IMAGENET,
            interpolation: Interpolation::Bicubic,
            crop_pct,
            num_classes: 1000,
            full_name,
        }
    }

    /// Where the repository is named otherwise than the network.
    const fn on_hub(self, hub_id: &'static str) -> Self {
        Self { hub_id, ..self }
    }

    const fn bilinear(self) -> Self {
        Self {
            interpolation: Interpolation::Bilinear,
            ..self
        }
    }

    const fn normalized(self, normalization: Normalization) -> Self {
        Self {
            normalization,
            ..self
        }
    }

    const fn classes(self, num_classes: usize) -> Self {
        Self {
            num_classes,
            ..self
        }
    }

    /// Name and tag, `resnet50.a1_in1k`.
    pub fn full_name(&self) -> &'static str {
        self.full_name
    }

    /// Whether these are the weights that timm takes for the bare name.
    pub fn is_default(&self) -> bool {
        let first = MODELS.iter().find(|m| m.name == self.name);
        first.is_some_and(|m| m.tag == self.tag)
    }

    /// Cost of the network at its input size, with the 1000 classes of ImageNet.
    pub fn cost(&self) -> Cost {
        self.config.cost(self.input_size, 3, 1000)
    }
}

/// The network of this name. With a tag (`resnet50.tv_in1k`) it comes with that tag's weights, and
/// without (`resnet50`) with those that timm takes by default. Arguments behind commas decide nothing
/// here. A short name stands for the smallest of the networks that continue it with a patch and a
/// size: `vit_tiny` for `vit_tiny_patch16_224`.
///
/// # Errors
/// If there is none; the error suggests the nearest name.
pub fn find(name: &str) -> Result<&'static ModelInfo> {
    let bare = name.split(',').next().unwrap_or(name);
    let known = |m: &&ModelInfo| m.name == bare || m.full_name() == bare;
    let meant = |m: &&ModelInfo| {
        let rest = m.name.strip_prefix(bare);
        rest.is_some_and(|rest| {
            rest.starts_with("_patch") && rest.ends_with("_224") || rest == "_224"
        })
    };
    let found = MODELS.iter().find(known);
    found
        .or_else(|| MODELS.iter().find(meant))
        .ok_or_else(|| Error::UnknownModel {
            name: name.to_string(),
            nearest: nearest_name(bare),
        })
}

/// The shape that a name and the arguments behind it stand for, and these arguments as they were
/// given, each behind its comma.
///
/// # Errors
/// As [`find`], and if the network takes no such argument.
pub(crate) fn parse(name: &str) -> Result<(ModelConfig, &str)> {
    let mut config = find(name)?.config;
    let arguments = name.find(',').map_or("", |at| &name[at..]);
    for argument in arguments.split(',').skip(1) {
        let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
        config
            .set(key.trim(), value.trim())
            .map_err(|reason| Error::Options {
                name: name.to_string(),
                reason,
            })?;
    }
    Ok((config, arguments))
}

/// With a tag where the name is right and the tag is not.
fn nearest_name(name: &str) -> &'static str {
    let bare = name.split('.').next().unwrap_or(name);
    if MODELS.iter().any(|m| m.name == bare) {
        let tagged = MODELS.iter().filter(|m| m.name == bare);
        nearest(name, tagged.map(ModelInfo::full_name))
    } else {
        nearest(bare, MODELS.iter().map(|m| m.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_with_and_without_tag() -> Result<()> {
        assert_eq!(find("resnet50")?, find("resnet50.a1_in1k")?);
        let other = find("resnet50.tv_in1k")?;
        assert_eq!((other.name, other.tag), ("resnet50", "tv_in1k"));
        assert_eq!(other.hub_id, "timm/resnet50.tv_in1k");
        assert!(!other.is_default() && find("resnet50")?.is_default());
        Ok(())
    }

    #[test]
    fn short_names_mean_the_smallest_patch_and_size() -> Result<()> {
        for (short, name) in [
            ("vit_tiny", "vit_tiny_patch16_224"),
            ("vit_base_patch16", "vit_base_patch16_224"),
            ("swin_small", "swin_small_patch4_window7_224"),
            ("deit_base_distilled", "deit_base_distilled_patch16_224"),
        ] {
            assert_eq!(find(short)?.name, name);
        }
        Ok(())
    }

    #[test]
    fn arguments_behind_a_name_change_its_shape() -> Result<()> {
        let (config, arguments) = parse("vit_large_patch16_224,init_values=1e-5,global_pool=avg")?;
        assert_eq!(arguments, ",init_values=1e-5,global_pool=avg");
        assert_ne!(config, find("vit_large_patch16_224")?.config);
        for (name, wrong) in [
            ("vit_tiny_patch16_224,init_value=1", "init_value=1"),
            ("vit_tiny_patch16_224,reg_tokens=x", "reg_tokens=x"),
            ("resnet18,reg_tokens=4", "reg_tokens=4"),
        ] {
            let text = parse(name).map(|_| ()).unwrap_err().to_string();
            assert!(
                text.contains(&format!("it takes no argument {wrong}")),
                "{text}"
            );
        }
        Ok(())
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        for (name, nearest) in [
            ("resnet51", "resnet50"),
            ("vit_tinypatch16_224", "vit_tiny_patch16_224"),
            ("resnet50.a1_in22k", "resnet50.a1_in1k"),
            // timm has neither: DeiT-Tiny takes 384 px when built for it.
            ("deit_tiny_patch16_384", "deit_tiny_patch16_224"),
            ("deit_small_patch16_384", "deit_small_patch16_224"),
        ] {
            let text = find(name).map(|m| m.name).unwrap_err().to_string();
            assert_eq!(
                text,
                format!("no network is called \"{name}\"; the nearest name is \"{nearest}\"")
            );
        }
    }
}
