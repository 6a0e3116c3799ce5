//! The networks by timm's names.

use crate::{
    densenet::DenseNetConfig,
    error::{Error, Result},
    resnet::ResNetConfig,
    swin::SwinConfig,
    vit::VitConfig,
};

/// Shape of a network, by family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelConfig {
    /// Convolutional, residual.
    ResNet(ResNetConfig),
    /// The same with a stem of three convolutions and shortcuts that average: `resnet*d`.
    ResNetD(ResNetConfig),
    /// Convolutional, densely connected.
    DenseNet(DenseNetConfig),
    /// Transformer.
    Vit(VitConfig),
    /// Transformer with a distillation token and a second head: `deit_*_distilled_*`.
    DistilledVit(VitConfig),
    /// Transformer on shifted windows.
    Swin(SwinConfig),
}

/// One network of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelInfo {
    /// timm's name of the architecture, `resnet50`.
    pub name: &'static str,
    /// timm's tag of the ImageNet weights that the paper's protocol means, `a1_in1k`.
    pub tag: &'static str,
    /// Side of the images those weights were trained on, px.
    pub input_size: usize,
    /// Its shape.
    pub config: ModelConfig,
}

const fn entry(
    name: &'static str,
    tag: &'static str,
    input_size: usize,
    config: ModelConfig,
) -> ModelInfo {
    ModelInfo {
        name,
        tag,
        input_size,
        config,
    }
}

const fn resnet(name: &'static str, config: ResNetConfig) -> ModelInfo {
    entry(name, "a1_in1k", 224, ModelConfig::ResNet(config))
}

const fn densenet(name: &'static str, config: DenseNetConfig) -> ModelInfo {
    entry(name, "tv_in1k", 224, ModelConfig::DenseNet(config))
}

const fn vit(name: &'static str, input_size: usize, config: VitConfig) -> ModelInfo {
    let config = ModelConfig::Vit(config);
    entry(name, "augreg_in21k_ft_in1k", input_size, config)
}

const fn deit(name: &'static str, input_size: usize, config: VitConfig) -> ModelInfo {
    entry(name, "fb_in1k", input_size, ModelConfig::Vit(config))
}

const fn distilled(name: &'static str, input_size: usize, config: VitConfig) -> ModelInfo {
    let config = ModelConfig::DistilledVit(config);
    entry(name, "fb_in1k", input_size, config)
}

const fn swin(
    name: &'static str,
    tag: &'static str,
    input_size: usize,
    config: SwinConfig,
) -> ModelInfo {
    entry(name, tag, input_size, ModelConfig::Swin(config))
}

/// Every network, CNNs first.
pub const MODELS: &[ModelInfo] = &[
    resnet("resnet18", ResNetConfig::resnet18()),
    resnet("resnet34", ResNetConfig::resnet34()),
    resnet("resnet50", ResNetConfig::resnet50()),
    resnet("resnet101", ResNetConfig::resnet101()),
    entry(
        "resnet200d",
        "ra2_in1k",
        256,
        ModelConfig::ResNetD(ResNetConfig::resnet200d()),
    ),
    densenet("densenet121", DenseNetConfig::densenet121()),
    densenet("densenet161", DenseNetConfig::densenet161()),
    vit("vit_tiny_patch16_224", 224, VitConfig::vit_tiny_patch16()),
    vit("vit_tiny_patch16_384", 384, VitConfig::vit_tiny_patch16()),
    vit("vit_small_patch16_224", 224, VitConfig::vit_small_patch16()),
    vit("vit_small_patch16_384", 384, VitConfig::vit_small_patch16()),
    vit("vit_base_patch16_224", 224, VitConfig::vit_base_patch16()),
    vit("vit_base_patch16_384", 384, VitConfig::vit_base_patch16()),
    vit("vit_large_patch16_224", 224, VitConfig::vit_large_patch16()),
    vit("vit_large_patch16_384", 384, VitConfig::vit_large_patch16()),
    deit("deit_tiny_patch16_224", 224, VitConfig::vit_tiny_patch16()),
    deit(
        "deit_small_patch16_224",
        224,
        VitConfig::vit_small_patch16(),
    ),
    deit("deit_base_patch16_224", 224, VitConfig::vit_base_patch16()),
    deit("deit_base_patch16_384", 384, VitConfig::vit_base_patch16()),
    distilled(
        "deit_base_distilled_patch16_224",
        224,
        VitConfig::vit_base_patch16(),
    ),
    distilled(
        "deit_base_distilled_patch16_384",
        384,
        VitConfig::vit_base_patch16(),
    ),
    swin(
        "swin_tiny_patch4_window7_224",
        "ms_in1k",
        224,
        SwinConfig::swin_tiny_patch4_window7(),
    ),
    swin(
        "swin_small_patch4_window7_224",
        "ms_in22k_ft_in1k",
        224,
        SwinConfig::swin_small_patch4_window7(),
    ),
    swin(
        "swin_base_patch4_window7_224",
        "ms_in22k_ft_in1k",
        224,
        SwinConfig::swin_base_patch4_window7(),
    ),
    swin(
        "swin_base_patch4_window12_384",
        "ms_in22k_ft_in1k",
        384,
        SwinConfig::swin_base_patch4_window12(),
    ),
    swin(
        "swin_large_patch4_window12_384",
        "ms_in22k_ft_in1k",
        384,
        SwinConfig::swin_large_patch4_window12(),
    ),
];

/// The network of this name, with or without timm's tag (`resnet50`, `resnet50.a1_in1k`).
///
/// # Errors
/// If there is none; the error suggests the nearest name.
pub fn find(name: &str) -> Result<&'static ModelInfo> {
    let full = |m: &ModelInfo| format!("{}.{}", m.name, m.tag);
    MODELS
        .iter()
        .find(|m| m.name == name || full(m) == name)
        .ok_or_else(|| {
            let bare = name.split('.').next().unwrap_or(name);
            let distance = |m: &&ModelInfo| strsim::levenshtein(m.name, bare);
            Error::UnknownModel {
                name: name.to_string(),
                nearest: MODELS.iter().min_by_key(distance).map_or("", |m| m.name),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_with_and_without_tag() -> Result<()> {
        assert_eq!(find("resnet50")?, find("resnet50.a1_in1k")?);
        assert!(find("resnet50.other").is_err());
        Ok(())
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let text = find("resnet51").map(|m| m.name).unwrap_err().to_string();
        assert_eq!(
            text,
            "find network \"resnet51\": no such name, the nearest is \"resnet50\""
        );
        let text = find("vit_tinypatch16_224")
            .map(|m| m.name)
            .unwrap_err()
            .to_string();
        assert!(text.ends_with("\"vit_tiny_patch16_224\""), "{text}");
    }
}
