//! The table: every network, and under it every set of weights that timm publishes for it.

use super::{ModelInfo, Normalization};
use crate::family::ModelConfig::*;
use crate::family::{
    ConvNextConfig, DenseNetConfig, EfficientNetConfig, EvaConfig, RegNetConfig, ResNetConfig,
    SwinConfig, VitConfig,
};

const HALF: Normalization = Normalization {
    mean: [0.5; 3],
    std: [0.5; 3],
};
const CLIP: Normalization = Normalization {
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
};

/// Satellite images, which one of DINOv3's networks was trained on.
const SATELLITE: Normalization = Normalization {
    mean: [0.430, 0.411, 0.296],
    std: [0.213, 0.156, 0.143],
};

/// 0 to 1 as they are.
const NOTHING: Normalization = Normalization {
    mean: [0.0; 3],
    std: [1.0; 3],
};

/// `network: config { tag(input size, crop), ... }` to one entry a tag.
macro_rules! models {
    ($($name:ident: $family:ident($config:expr) {
        $($tag:ident($size:literal, $crop:literal)$(.$change:ident($($to:expr)?))*,)+
    })+) => {
        &[$($(
            ModelInfo::new(
                concat!("timm/", stringify!($name), ".", stringify!($tag)),
                [
                    stringify!($name),
                    stringify!($tag),
                    concat!(stringify!($name), ".", stringify!($tag)),
                ],
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
    regnety_002: RegNet(RegNetConfig::regnety_002()) {
        pycls_in1k(224, 0.875),
    }
    regnety_008: RegNet(RegNetConfig::regnety_008()) {
        pycls_in1k(224, 0.875),
    }
    regnety_016: RegNet(RegNetConfig::regnety_016()) {
        tv2_in1k(224, 0.965),
        pycls_in1k(224, 0.875),
    }
    regnety_032: RegNet(RegNetConfig::regnety_032()) {
        ra_in1k(224, 0.95),
        pycls_in1k(224, 0.875),
        tv2_in1k(224, 0.965),
    }
    mobilenetv2_100: EfficientNet(EfficientNetConfig::mobilenetv2_100()) {
        ra_in1k(224, 0.875),
    }
    mobilenetv3_large_100: EfficientNet(EfficientNetConfig::mobilenetv3_large_100()) {
        ra_in1k(224, 0.875),
        miil_in21k(224, 0.875).bilinear().normalized(NOTHING).classes(11_221),
        miil_in21k_ft_in1k(224, 0.875).bilinear().normalized(NOTHING),
        ra4_e3600_r224_in1k(224, 0.95).normalized(HALF),
    }
    efficientnet_b0: EfficientNet(EfficientNetConfig::efficientnet_b0()) {
        ra_in1k(224, 0.875),
        ra4_e3600_r224_in1k(224, 0.9).normalized(HALF),
    }
    efficientnetv2_rw_s: EfficientNet(EfficientNetConfig::efficientnetv2_rw_s()) {
        ra2_in1k(288, 1.0),
    }
    tf_efficientnetv2_s: EfficientNet(EfficientNetConfig::tf_efficientnetv2_s()) {
        in21k_ft_in1k(300, 1.0).normalized(HALF),
        in1k(300, 1.0).normalized(HALF),
        in21k(300, 1.0).normalized(HALF).classes(21_843),
    }
    convnext_tiny: ConvNext(ConvNextConfig::convnext_tiny()) {
        in12k_ft_in1k(224, 0.95),
        dinov3_lvd1689m(224, 1.0).classes(0),
        eupe_lvd1689m(256, 1.0).classes(0),
        fb_in1k(224, 0.875),
        fb_in22k(224, 0.875).classes(21_841),
        fb_in22k_ft_in1k(224, 0.875),
        fb_in22k_ft_in1k_384(384, 1.0),
        in12k(224, 0.95).classes(11_821),
        in12k_ft_in1k_384(384, 1.0),
    }
    convnext_small: ConvNext(ConvNextConfig::convnext_small()) {
        in12k_ft_in1k(224, 0.95),
        dinov3_lvd1689m(224, 1.0).classes(0),
        eupe_lvd1689m(256, 1.0).classes(0),
        fb_in1k(224, 0.875),
        fb_in22k(224, 0.875).classes(21_841),
        fb_in22k_ft_in1k(224, 0.875),
        fb_in22k_ft_in1k_384(384, 1.0),
        in12k(224, 0.95).classes(11_821),
        in12k_ft_in1k_384(384, 1.0),
    }
    convnext_base: ConvNext(ConvNextConfig::convnext_base()) {
        fb_in22k_ft_in1k(224, 0.875),
        clip_laion2b(256, 1.0).normalized(CLIP).classes(640),
        clip_laion2b_augreg(256, 1.0).normalized(CLIP).classes(640),
        clip_laion2b_augreg_ft_in12k(256, 1.0).normalized(CLIP).classes(11_821),
        clip_laion2b_augreg_ft_in12k_in1k(256, 1.0).normalized(CLIP),
        clip_laion2b_augreg_ft_in12k_in1k_384(384, 1.0).normalized(CLIP),
        clip_laion2b_augreg_ft_in1k(256, 1.0).normalized(CLIP),
        clip_laiona(256, 1.0).normalized(CLIP).classes(640),
        clip_laiona_320(320, 1.0).normalized(CLIP).classes(640),
        clip_laiona_augreg_320(320, 1.0).normalized(CLIP).classes(640),
        clip_laiona_augreg_ft_in1k_384(384, 1.0).normalized(CLIP),
        dinov3_lvd1689m(224, 1.0).classes(0),
        eupe_lvd1689m(256, 1.0).classes(0),
        fb_in1k(224, 0.875),
        fb_in22k(224, 0.875).classes(21_841),
        fb_in22k_ft_in1k_384(384, 1.0),
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
    vit_small_patch14_dinov2: Vit(VitConfig::vit_small_patch16().dinov2()) {
        lvd142m(518, 1.0).classes(0),
    }
    vit_small_patch14_reg4_dinov2: Vit(VitConfig::vit_small_patch16().reg4_dinov2()) {
        lvd142m(518, 1.0).classes(0),
    }
    vit_base_patch14_dinov2: Vit(VitConfig::vit_base_patch16().dinov2()) {
        lvd142m(518, 1.0).classes(0),
    }
    vit_base_patch14_reg4_dinov2: Vit(VitConfig::vit_base_patch16().reg4_dinov2()) {
        lvd142m(518, 1.0).classes(0),
    }
    vit_large_patch14_dinov2: Vit(VitConfig::vit_large_patch16().dinov2()) {
        lvd142m(518, 1.0).classes(0),
    }
    vit_large_patch14_reg4_dinov2: Vit(VitConfig::vit_large_patch16().reg4_dinov2()) {
        lvd142m(518, 1.0).classes(0),
    }
    vit_small_patch16_dinov3: Eva(EvaConfig::vit_small_patch16_dinov3()) {
        lvd1689m(256, 1.0).classes(0),
    }
    vit_small_patch16_dinov3_qkvb: Eva(EvaConfig::vit_small_patch16_dinov3().qkvb()) {
        lvd1689m(256, 1.0).classes(0),
        eupe_lvd1689m(256, 1.0).classes(0),
    }
    vit_base_patch16_dinov3: Eva(EvaConfig::vit_base_patch16_dinov3()) {
        lvd1689m(256, 1.0).classes(0),
    }
    vit_base_patch16_dinov3_qkvb: Eva(EvaConfig::vit_base_patch16_dinov3().qkvb()) {
        lvd1689m(256, 1.0).classes(0),
        eupe_lvd1689m(256, 1.0).classes(0),
    }
    vit_large_patch16_dinov3: Eva(EvaConfig::vit_large_patch16_dinov3()) {
        lvd1689m(256, 1.0).classes(0),
        sat493m(256, 1.0).classes(0).normalized(SATELLITE),
    }
    vit_large_patch16_dinov3_qkvb: Eva(EvaConfig::vit_large_patch16_dinov3().qkvb()) {
        lvd1689m(256, 1.0).classes(0),
        sat493m(256, 1.0).classes(0).normalized(SATELLITE),
    }
    vit_base_patch16_clip_224: Vit(VitConfig::vit_base_patch16().clip()) {
        laion2b_ft_in12k_in1k(224, 0.95).normalized(CLIP),
        datacompxl(224, 1.0).normalized(CLIP).classes(512),
        dfn2b(224, 1.0).normalized(CLIP).classes(512),
        laion2b(224, 1.0).normalized(CLIP).classes(512),
        laion2b_ft_in12k(224, 0.9).normalized(CLIP).classes(11_821),
        laion2b_ft_in1k(224, 1.0).normalized(CLIP),
        laion400m_e32(224, 1.0).normalized(CLIP).classes(512),
        metaclip_2pt5b(224, 1.0).normalized(CLIP).classes(512),
        metaclip_400m(224, 1.0).normalized(CLIP).classes(512),
        openai(224, 0.9).normalized(CLIP).classes(512),
        openai_ft_in12k(224, 0.9).normalized(CLIP).classes(11_821),
        openai_ft_in12k_in1k(224, 0.95).normalized(CLIP),
        openai_ft_in1k(224, 0.9).normalized(CLIP),
    }
    vit_base_patch16_clip_384: Vit(VitConfig::vit_base_patch16().clip()) {
        laion2b_ft_in12k_in1k(384, 1.0).normalized(CLIP),
        laion2b_ft_in1k(384, 1.0).normalized(CLIP),
        openai_ft_in12k_in1k(384, 0.95).normalized(CLIP),
        openai_ft_in1k(384, 1.0).normalized(CLIP),
    }
    vit_base_patch16_clip_quickgelu_224: Vit(VitConfig::vit_base_patch16().clip_quickgelu()) {
        metaclip_2pt5b(224, 1.0).normalized(CLIP).classes(512).on_hub("timm/vit_base_patch16_clip_224.metaclip_2pt5b"),
        metaclip_400m(224, 1.0).normalized(CLIP).classes(512).on_hub("timm/vit_base_patch16_clip_224.metaclip_400m"),
        openai(224, 0.9).normalized(CLIP).classes(512).on_hub("timm/vit_base_patch16_clip_224.openai"),
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
