//! The table: every network, and under it every set of weights that timm publishes for it.

use super::{ModelInfo, Normalization};
use crate::family::{
    ModelConfig::*, densenet::DenseNetConfig, resnet::ResNetConfig, swin::SwinConfig,
    vit::VitConfig,
};

const HALF: Normalization = Normalization {
    mean: [0.5; 3],
    std: [0.5; 3],
};
const CLIP: Normalization = Normalization {
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
};

/// `network: config { tag(input size, crop), ... }` to one entry a tag.
macro_rules! models {
    ($($name:ident: $family:ident($config:expr) {
        $($tag:ident($size:literal, $crop:literal)$(.$change:ident($($to:expr)?))*,)+
    })+) => {
        &[$($(
            ModelInfo::new(
                concat!("timm/", stringify!($name), ".", stringify!($tag)),
                [stringify!($name), stringify!($tag)],
                $family($config),
                $size,
                $crop,
            )$(.$change($($to)?))*,
        )+)+]
    };
}

/// Every network with each of its published weights, CNNs first; under each name the weights that
/// timm takes for the bare name come first.
pub const MODELS: &[ModelInfo] = models! {
    resnet18: ResNet(ResNetConfig::resnet18()) {
        a1_in1k(224, 0.95),
        a2_in1k(224, 0.95),
        a3_in1k(160, 0.95),
        fb_ssl_yfcc100m_ft_in1k(224, 0.875).bilinear(),
        fb_swsl_ig1b_ft_in1k(224, 0.875).bilinear(),
        gluon_in1k(224, 0.875),
        tv_in1k(224, 0.875).bilinear(),
    }
    resnet34: ResNet(ResNetConfig::resnet34()) {
        a1_in1k(224, 0.95),
        a2_in1k(224, 0.95),
        a3_in1k(160, 0.95),
        bt_in1k(224, 0.875),
        gluon_in1k(224, 0.875),
        ra4_e3600_r224_in1k(224, 0.9).normalized(HALF),
        tv_in1k(224, 0.875).bilinear(),
    }
    resnet50: ResNet(ResNetConfig::resnet50()) {
        a1_in1k(224, 0.95),
        a1h_in1k(176, 0.9),
        a2_in1k(224, 0.95),
        a3_in1k(160, 0.95),
        am_in1k(224, 0.875),
        b1k_in1k(224, 0.95),
        b2k_in1k(224, 0.95),
        bamboo(224, 1.0).classes(0),
        bt_in1k(224, 0.875),
        c1_in1k(224, 0.95),
        c2_in1k(224, 0.95),
        d_in1k(224, 0.95),
        fb_ssl_yfcc100m_ft_in1k(224, 0.875).bilinear(),
        fb_swsl_ig1b_ft_in1k(224, 0.875).bilinear(),
        gluon_in1k(224, 0.875),
        ra_in1k(224, 0.875),
        ram_in1k(224, 0.875),
        tv2_in1k(176, 0.875).bilinear(),
        tv_in1k(224, 0.875).bilinear(),
    }
    resnet101: ResNet(ResNetConfig::resnet101()) {
        a1h_in1k(224, 0.95),
        a1_in1k(224, 0.95),
        a2_in1k(224, 0.95),
        a3_in1k(160, 0.95),
        gluon_in1k(224, 0.875),
        tv2_in1k(176, 0.875).bilinear(),
        tv_in1k(224, 0.875).bilinear(),
    }
    resnet200d: ResNet(ResNetConfig::resnet200d()) {
        ra2_in1k(256, 0.95),
    }
    densenet121: DenseNet(DenseNetConfig::densenet121()) {
        ra_in1k(224, 0.875),
        tv_in1k(224, 0.875),
    }
    densenet161: DenseNet(DenseNetConfig::densenet161()) {
        tv_in1k(224, 0.875),
    }
    vit_tiny_patch16_224: Vit(VitConfig::vit_tiny_patch16()) {
        augreg_in21k_ft_in1k(224, 0.9).normalized(HALF),
        augreg_in21k(224, 0.9).normalized(HALF).classes(21_843),
    }
    vit_tiny_patch16_384: Vit(VitConfig::vit_tiny_patch16()) {
        augreg_in21k_ft_in1k(384, 1.0).normalized(HALF),
    }
    vit_small_patch16_224: Vit(VitConfig::vit_small_patch16()) {
        augreg_in21k_ft_in1k(224, 0.9).normalized(HALF),
        augreg_in1k(224, 0.9).normalized(HALF),
        augreg_in21k(224, 0.9).normalized(HALF).classes(21_843),
        dino(224, 0.9).classes(0),
    }
    vit_small_patch16_384: Vit(VitConfig::vit_small_patch16()) {
        augreg_in21k_ft_in1k(384, 1.0).normalized(HALF),
        augreg_in1k(384, 1.0).normalized(HALF),
    }
    vit_base_patch16_224: Vit(VitConfig::vit_base_patch16()) {
        augreg2_in21k_ft_in1k(224, 0.9).normalized(HALF),
        augreg_in1k(224, 0.9).normalized(HALF),
        augreg_in21k(224, 0.9).normalized(HALF).classes(21_843),
        augreg_in21k_ft_in1k(224, 0.9).normalized(HALF),
        bamboo(224, 1.0).normalized(CLIP).classes(115_217),
        dino(224, 0.9).classes(0),
        mae(224, 0.9).classes(0),
        orig_in21k(224, 0.9).normalized(HALF).classes(0),
        orig_in21k_ft_in1k(224, 0.9).normalized(HALF),
        sam_in1k(224, 0.9).normalized(HALF),
    }
    vit_base_patch16_384: Vit(VitConfig::vit_base_patch16()) {
        augreg_in21k_ft_in1k(384, 1.0).normalized(HALF),
        augreg_in1k(384, 1.0).normalized(HALF),
        orig_in21k_ft_in1k(384, 1.0).normalized(HALF),
    }
    vit_large_patch16_224: Vit(VitConfig::vit_large_patch16()) {
        augreg_in21k_ft_in1k(224, 0.9).normalized(HALF),
        augreg_in21k(224, 0.9).normalized(HALF).classes(21_843),
        mae(224, 0.9).classes(0),
        orig_in21k(224, 0.9).normalized(HALF).classes(0),
    }
    vit_large_patch16_384: Vit(VitConfig::vit_large_patch16()) {
        augreg_in21k_ft_in1k(384, 1.0).normalized(HALF),
    }
    deit_tiny_patch16_224: Vit(VitConfig::vit_tiny_patch16()) {
        fb_in1k(224, 0.9),
    }
    deit_small_patch16_224: Vit(VitConfig::vit_small_patch16()) {
        fb_in1k(224, 0.9),
    }
    deit_base_patch16_224: Vit(VitConfig::vit_base_patch16()) {
        fb_in1k(224, 0.9),
    }
    deit_base_patch16_384: Vit(VitConfig::vit_base_patch16()) {
        fb_in1k(384, 1.0),
    }
    deit_base_distilled_patch16_224: Vit(VitConfig::vit_base_patch16().distilled()) {
        fb_in1k(224, 0.9),
    }
    deit_base_distilled_patch16_384: Vit(VitConfig::vit_base_patch16().distilled()) {
        fb_in1k(384, 1.0),
    }
    swin_tiny_patch4_window7_224: Swin(SwinConfig::swin_tiny_patch4_window7()) {
        ms_in1k(224, 0.9),
        ms_in22k(224, 0.9).classes(21_841),
        ms_in22k_ft_in1k(224, 0.9),
    }
    swin_small_patch4_window7_224: Swin(SwinConfig::swin_small_patch4_window7()) {
        ms_in22k_ft_in1k(224, 0.9),
        ms_in1k(224, 0.9),
        ms_in22k(224, 0.9).classes(21_841),
    }
    swin_base_patch4_window7_224: Swin(SwinConfig::swin_base_patch4_window7()) {
        ms_in22k_ft_in1k(224, 0.9),
        ms_in1k(224, 0.9),
        ms_in22k(224, 0.9).classes(21_841),
    }
    swin_base_patch4_window12_384: Swin(SwinConfig::swin_base_patch4_window12()) {
        ms_in22k_ft_in1k(384, 1.0),
        ms_in1k(384, 1.0),
        ms_in22k(384, 1.0).classes(21_841),
    }
    swin_large_patch4_window12_384: Swin(SwinConfig::swin_large_patch4_window12()) {
        ms_in22k_ft_in1k(384, 1.0),
        ms_in22k(384, 1.0).classes(21_841),
    }
};
