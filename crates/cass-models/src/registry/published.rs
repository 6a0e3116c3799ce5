//! What is published of the weights: under which licence, and how well they do on ImageNet.

use super::ModelInfo;

/// Accuracy on ImageNet-1k's validation images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Top1 {
    /// Share of the images whose most probable class is right, in percent.
    pub percent: f64,
    /// Side of the images it was measured on, px, which may be larger than those of training.
    pub input_size: usize,
}

impl ModelInfo {
    /// Licence of the weights, as timm names it; `None` where timm names none.
    pub fn licence(&self) -> Option<&'static str> {
        let of = |(_, names): &&(&str, &[&str])| names.contains(&self.full_name);
        if UNKNOWN.contains(&self.full_name) {
            return None;
        }
        let other = OTHERS.iter().find(of).map(|(licence, _)| *licence);
        Some(other.unwrap_or("apache-2.0"))
    }

    /// Accuracy that timm measured; `None` where it lists none, as of weights without ImageNet's classifier.
    pub fn top1(&self) -> Option<Top1> {
        let found = TOP1.iter().find(|(name, ..)| *name == self.full_name)?;
        let &(_, percent, input_size) = found;
        Some(Top1 {
            percent,
            input_size,
        })
    }
}

/// Weights of which timm names no licence.
const UNKNOWN: [&str; 2] = ["resnet50.bamboo", "vit_base_patch16_224.bamboo"];

/// Weights under another licence than Apache 2.0; a test compares all with timm's `pretrained_cfg`.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "bsd-3-clause",
        &[
            "resnet18.tv_in1k",
            "resnet34.tv_in1k",
            "resnet50.tv2_in1k",
            "resnet50.tv_in1k",
            "resnet101.tv2_in1k",
            "resnet101.tv_in1k",
            "regnety_016.tv2_in1k",
            "regnety_032.tv2_in1k",
        ],
    ),
    (
        "cc-by-nc-4.0",
        &[
            "resnet18.fb_ssl_yfcc100m_ft_in1k",
            "resnet18.fb_swsl_ig1b_ft_in1k",
            "resnet50.fb_ssl_yfcc100m_ft_in1k",
            "resnet50.fb_swsl_ig1b_ft_in1k",
            "vit_base_patch16_224.mae",
            "vit_large_patch16_224.mae",
            "vit_base_patch16_clip_224.metaclip_2pt5b",
            "vit_base_patch16_clip_224.metaclip_400m",
            "vit_base_patch16_clip_quickgelu_224.metaclip_2pt5b",
            "vit_base_patch16_clip_quickgelu_224.metaclip_400m",
        ],
    ),
    (
        "dinov3-license",
        &[
            "vit_small_patch16_dinov3.lvd1689m",
            "vit_small_patch16_dinov3_qkvb.lvd1689m",
            "vit_base_patch16_dinov3.lvd1689m",
            "vit_base_patch16_dinov3_qkvb.lvd1689m",
            "vit_large_patch16_dinov3.lvd1689m",
            "vit_large_patch16_dinov3.sat493m",
            "vit_large_patch16_dinov3_qkvb.lvd1689m",
            "vit_large_patch16_dinov3_qkvb.sat493m",
            "convnext_tiny.dinov3_lvd1689m",
            "convnext_small.dinov3_lvd1689m",
            "convnext_base.dinov3_lvd1689m",
        ],
    ),
    (
        "fair-noncommercial-research-license",
        &[
            "vit_small_patch16_dinov3_qkvb.eupe_lvd1689m",
            "vit_base_patch16_dinov3_qkvb.eupe_lvd1689m",
            "convnext_tiny.eupe_lvd1689m",
            "convnext_small.eupe_lvd1689m",
            "convnext_base.eupe_lvd1689m",
        ],
    ),
    ("apple-ascl", &["vit_base_patch16_clip_224.dfn2b"]),
    (
        "mit",
        &[
            "regnety_002.pycls_in1k",
            "regnety_008.pycls_in1k",
            "regnety_016.pycls_in1k",
            "regnety_032.pycls_in1k",
            "vit_base_patch16_clip_224.laion400m_e32",
            "swin_tiny_patch4_window7_224.ms_in1k",
            "swin_tiny_patch4_window7_224.ms_in22k",
            "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",
            "swin_small_patch4_window7_224.ms_in1k",
            "swin_small_patch4_window7_224.ms_in22k",
            "swin_small_patch4_window7_224.ms_in22k_ft_in1k",
            "swin_base_patch4_window7_224.ms_in1k",
            "swin_base_patch4_window7_224.ms_in22k",
            "swin_base_patch4_window7_224.ms_in22k_ft_in1k",
            "swin_base_patch4_window12_384.ms_in1k",
            "swin_base_patch4_window12_384.ms_in22k",
            "swin_base_patch4_window12_384.ms_in22k_ft_in1k",
            "swin_large_patch4_window12_384.ms_in22k",
            "swin_large_patch4_window12_384.ms_in22k_ft_in1k",
        ],
    ),
];

/// Percent and image size, from `results/results-imagenet.csv` of huggingface/pytorch-image-models at 0173a139.
const TOP1: &[(&str, f64, usize)] = &[
    ("resnet18.a1_in1k", 73.158, 288),
    ("resnet18.a2_in1k", 72.372, 288),
    ("resnet18.a3_in1k", 68.254, 224),
    ("resnet18.fb_ssl_yfcc100m_ft_in1k", 72.594, 224),
    ("resnet18.fb_swsl_ig1b_ft_in1k", 73.282, 224),
    ("resnet18.gluon_in1k", 70.838, 224),
    ("resnet18.tv_in1k", 69.760, 224),
    ("resnet34.a1_in1k", 77.918, 288),
    ("resnet34.a2_in1k", 77.158, 288),
    ("resnet34.a3_in1k", 72.970, 224),
    ("resnet34.bt_in1k", 76.480, 288),
    ("resnet34.gluon_in1k", 74.578, 224),
    ("resnet50.a1_in1k", 81.214, 288),
    ("resnet50.a1h_in1k", 80.676, 224),
    ("resnet50.a2_in1k", 80.772, 288),
    ("resnet50.a3_in1k", 78.048, 224),
    ("resnet50.am_in1k", 78.998, 224),
    ("resnet50.b1k_in1k", 80.706, 288),
    ("resnet50.b2k_in1k", 80.454, 288),
    ("resnet50.bt_in1k", 79.640, 288),
    ("resnet50.c1_in1k", 80.912, 288),
    ("resnet50.c2_in1k", 80.870, 288),
    ("resnet50.d_in1k", 80.972, 288),
    ("resnet50.fb_ssl_yfcc100m_ft_in1k", 79.234, 224),
    ("resnet50.fb_swsl_ig1b_ft_in1k", 81.182, 224),
    ("resnet50.gluon_in1k", 77.580, 224),
    ("resnet50.ra_in1k", 79.836, 288),
    ("resnet50.ram_in1k", 79.976, 288),
    ("resnet50.tv2_in1k", 80.850, 224),
    ("resnet50.tv_in1k", 76.130, 224),
    ("resnet101.a1h_in1k", 82.778, 288),
    ("resnet101.a1_in1k", 82.322, 288),
    ("resnet101.a2_in1k", 82.236, 288),
    ("resnet101.a3_in1k", 79.814, 224),
    ("resnet101.gluon_in1k", 79.310, 224),
    ("resnet101.tv2_in1k", 81.890, 224),
    ("resnet101.tv_in1k", 77.376, 224),
    ("resnet200d.ra2_in1k", 83.964, 320),
    ("densenet121.ra_in1k", 76.500, 288),
    ("densenet121.tv_in1k", 74.764, 224),
    ("densenet161.tv_in1k", 77.358, 224),
    ("regnety_002.pycls_in1k", 70.278, 224),
    ("regnety_008.pycls_in1k", 76.302, 224),
    ("regnety_016.tv2_in1k", 80.668, 224),
    ("regnety_016.pycls_in1k", 77.862, 224),
    ("regnety_032.ra_in1k", 82.728, 288),
    ("regnety_032.pycls_in1k", 78.876, 224),
    ("regnety_032.tv2_in1k", 81.756, 224),
    ("mobilenetv2_100.ra_in1k", 72.976, 224),
    ("mobilenetv3_large_100.ra_in1k", 75.766, 224),
    ("mobilenetv3_large_100.miil_in21k_ft_in1k", 77.918, 224),
    ("efficientnet_b0.ra_in1k", 77.694, 224),
    ("efficientnetv2_rw_s.ra2_in1k", 83.808, 384),
    ("tf_efficientnetv2_s.in21k_ft_in1k", 84.288, 384),
    ("tf_efficientnetv2_s.in1k", 83.900, 384),
    ("convnext_tiny.in12k_ft_in1k", 84.450, 288),
    ("convnext_tiny.fb_in1k", 82.698, 288),
    ("convnext_tiny.fb_in22k_ft_in1k", 78.898, 288),
    ("convnext_tiny.fb_in22k_ft_in1k_384", 84.088, 384),
    ("convnext_tiny.in12k_ft_in1k_384", 85.122, 384),
    ("convnext_small.in12k_ft_in1k", 85.330, 288),
    ("convnext_small.fb_in1k", 83.700, 288),
    ("convnext_small.fb_in22k_ft_in1k", 85.262, 288),
    ("convnext_small.fb_in22k_ft_in1k_384", 85.778, 384),
    ("convnext_small.in12k_ft_in1k_384", 86.182, 384),
    ("convnext_base.fb_in22k_ft_in1k", 86.274, 288),
    (
        "convnext_base.clip_laion2b_augreg_ft_in12k_in1k",
        86.370,
        256,
    ),
    (
        "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384",
        87.134,
        384,
    ),
    ("convnext_base.clip_laion2b_augreg_ft_in1k", 86.158, 256),
    ("convnext_base.clip_laiona_augreg_ft_in1k_384", 86.502, 384),
    ("convnext_base.fb_in1k", 84.428, 288),
    ("convnext_base.fb_in22k_ft_in1k_384", 86.796, 384),
    ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 75.454, 224),
    ("vit_tiny_patch16_384.augreg_in21k_ft_in1k", 78.424, 384),
    ("vit_small_patch16_224.augreg_in21k_ft_in1k", 81.384, 224),
    ("vit_small_patch16_224.augreg_in1k", 78.846, 224),
    ("vit_small_patch16_384.augreg_in21k_ft_in1k", 83.802, 384),
    ("vit_small_patch16_384.augreg_in1k", 81.116, 384),
    ("vit_base_patch16_224.augreg2_in21k_ft_in1k", 85.096, 224),
    ("vit_base_patch16_224.augreg_in1k", 79.154, 224),
    ("vit_base_patch16_224.augreg_in21k_ft_in1k", 84.532, 224),
    ("vit_base_patch16_224.orig_in21k_ft_in1k", 81.786, 224),
    ("vit_base_patch16_224.sam_in1k", 80.244, 224),
    ("vit_base_patch16_384.augreg_in21k_ft_in1k", 85.996, 384),
    ("vit_base_patch16_384.augreg_in1k", 81.102, 384),
    ("vit_base_patch16_384.orig_in21k_ft_in1k", 84.200, 384),
    ("vit_large_patch16_224.augreg_in21k_ft_in1k", 85.834, 224),
    ("vit_large_patch16_384.augreg_in21k_ft_in1k", 87.084, 384),
    (
        "vit_base_patch16_clip_224.laion2b_ft_in12k_in1k",
        86.174,
        224,
    ),
    ("vit_base_patch16_clip_224.laion2b_ft_in1k", 85.466, 224),
    (
        "vit_base_patch16_clip_224.openai_ft_in12k_in1k",
        85.940,
        224,
    ),
    ("vit_base_patch16_clip_224.openai_ft_in1k", 85.292, 224),
    (
        "vit_base_patch16_clip_384.laion2b_ft_in12k_in1k",
        87.208,
        384,
    ),
    ("vit_base_patch16_clip_384.laion2b_ft_in1k", 86.620, 384),
    (
        "vit_base_patch16_clip_384.openai_ft_in12k_in1k",
        87.024,
        384,
    ),
    ("vit_base_patch16_clip_384.openai_ft_in1k", 86.204, 384),
    ("deit_tiny_patch16_224.fb_in1k", 72.172, 224),
    ("deit_small_patch16_224.fb_in1k", 79.844, 224),
    ("deit_base_patch16_224.fb_in1k", 81.992, 224),
    ("deit_base_patch16_384.fb_in1k", 83.106, 384),
    ("deit_base_distilled_patch16_224.fb_in1k", 83.386, 224),
    ("deit_base_distilled_patch16_384.fb_in1k", 85.426, 384),
    ("swin_tiny_patch4_window7_224.ms_in1k", 81.376, 224),
    ("swin_tiny_patch4_window7_224.ms_in22k_ft_in1k", 80.968, 224),
    (
        "swin_small_patch4_window7_224.ms_in22k_ft_in1k",
        83.298,
        224,
    ),
    ("swin_small_patch4_window7_224.ms_in1k", 83.208, 224),
    ("swin_base_patch4_window7_224.ms_in22k_ft_in1k", 85.272, 224),
    ("swin_base_patch4_window7_224.ms_in1k", 83.606, 224),
    (
        "swin_base_patch4_window12_384.ms_in22k_ft_in1k",
        86.438,
        384,
    ),
    ("swin_base_patch4_window12_384.ms_in1k", 84.476, 384),
    (
        "swin_large_patch4_window12_384.ms_in22k_ft_in1k",
        87.132,
        384,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::MODELS;

    #[test]
    fn every_name_is_one_of_the_registry_and_stands_once() {
        let named = OTHERS.iter().flat_map(|(_, names)| *names).chain(&UNKNOWN);
        let measured = TOP1.iter().map(|(name, ..)| name);
        for mut names in [named.collect::<Vec<_>>(), measured.collect()] {
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
            for name in names {
                assert!(MODELS.iter().any(|m| m.full_name() == *name), "{name}");
            }
        }
    }

    /// Nothing without ImageNet's 1,000 classes has an accuracy on them.
    #[test]
    fn accuracies_are_of_classifiers_for_imagenet() {
        for model in MODELS {
            let Some(top1) = model.top1() else { continue };
            assert_eq!(model.num_classes, 1000, "{}", model.full_name());
            assert!(
                (60.0..95.0).contains(&top1.percent),
                "{}",
                model.full_name()
            );
            assert!(top1.input_size >= model.input_size, "{}", model.full_name());
        }
    }
}
