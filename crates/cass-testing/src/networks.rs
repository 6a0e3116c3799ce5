//! The small networks of `fixtures/golden`, in the shapes their `export.py` gives them.

use candle_core::{Device, Result, Tensor};
use cass_models::Model;
use cass_models::export::Export;
use cass_models::family::{
    Block, ConvNextConfig, DenseNetConfig, EfficientNetConfig, EvaConfig, ModelConfig,
    RegNetConfig, ResNetConfig, SwinConfig, Variant, VitConfig, VitPool,
};
use cass_models::registry::{Interpolation, Normalization};
use cass_rng::Rng;

/// The folders of `fixtures/golden` with a small network, each with two input sizes that suit it: every kind of layer of
/// every family.
pub const SMALL_NETWORKS: [(&str, [usize; 2]); 16] = [
    ("resnet_small", [33, 64]),
    ("resnet_bottleneck_small", [33, 64]),
    ("resnet_d_small", [33, 64]),
    ("densenet_small", [33, 64]),
    ("regnet_small", [33, 64]),
    ("mobilenetv2_small", [33, 64]),
    ("mobilenetv3_small", [33, 64]),
    ("efficientnet_small", [33, 64]),
    ("efficientnetv2_tf_small", [33, 64]),
    ("convnext_small", [35, 64]),
    ("vit_small_golden", [32, 64]),
    ("vit_registers_small", [28, 56]),
    ("vit_average_small", [32, 64]),
    ("deit_distilled_small", [32, 64]),
    ("eva_small", [28, 56]),
    ("swin_small", [36, 64]),
];

/// Moves every bias, scale, token and statistic: those of a fresh network begin at 0 or 1, which hides what they do.
/// Matrices stay as they are, since larger ones make a deep network magnify rounding.
///
/// # Errors
/// If the device fails.
pub fn stir(model: &Model) -> Result<()> {
    for (i, (key, var)) in model.params().all().into_iter().enumerate() {
        let is_matrix = var.rank() > 1 && var.dims()[0] > 1;
        if is_matrix || !var.dtype().is_float() {
            continue;
        }
        let mut rng = Rng::new(0, "stir", [i as u64, 0], 0);
        let mut draw = || match 0.1 * rng.normal() {
            draw if key.ends_with("running_var") => draw.abs(),
            draw => draw,
        };
        let noise: Vec<f64> = (0..var.elem_count()).map(|_| draw()).collect();
        let noise = Tensor::from_vec(noise, var.shape(), var.device())?;
        var.set(&(var.as_tensor() + noise.to_dtype(var.dtype())?)?)?;
    }
    Ok(())
}

/// Images `(count, 3, size, size)` of normal values, f32 on the CPU.
///
/// # Errors
/// If they cannot be made.
pub fn normal_images(count: usize, size: usize) -> Result<Tensor> {
    let mut rng = Rng::new(0, "images", [0, 0], 0);
    let values = (0..count * 3 * size * size).map(|_| rng.normal() as f32);
    let values: Vec<f32> = values.collect();
    Tensor::from_vec(values, (count, 3, size, size), &Device::Cpu)
}

/// Description for a folder of a network whose outputs have these names, or none.
pub fn export_of(label_names: &[&str]) -> Export {
    Export {
        label_names: label_names.iter().map(|l| l.to_string()).collect(),
        normalization: Normalization::IMAGENET,
        interpolation: Interpolation::Bilinear,
        method: "linear".into(),
        arm: Some("vit".into()),
        recipe: "seed = 1\n".into(),
    }
}

/// The shape of the network in a folder of `fixtures/golden`.
///
/// # Panics
/// If the folder has none.
pub fn small_network(folder: &str) -> ModelConfig {
    match folder {
        "resnet_small" => ModelConfig::ResNet(ResNetConfig {
            variant: Variant::Standard,
            block: Block::Basic,
            layers: [2, 1, 1, 1],
            channels: [8, 10, 12, 14],
            stem_width: 64,
        }),
        "resnet_bottleneck_small" => ModelConfig::ResNet(ResNetConfig {
            variant: Variant::Standard,
            block: Block::Bottleneck,
            layers: [2, 1, 1, 1],
            channels: [4, 5, 6, 7],
            stem_width: 64,
        }),
        "resnet_d_small" => ModelConfig::ResNet(ResNetConfig {
            variant: Variant::D,
            block: Block::Bottleneck,
            layers: [2, 1, 1, 1],
            channels: [4, 5, 6, 7],
            stem_width: 8,
        }),
        "densenet_small" => ModelConfig::DenseNet(DenseNetConfig {
            growth_rate: 4,
            block_config: &[2, 3, 2],
        }),
        "regnet_small" => ModelConfig::RegNet(RegNetConfig {
            stem_width: 8,
            widths: [4, 8, 12, 16],
            depths: [1, 2, 1, 1],
            group_size: 4,
        }),
        "vit_small_golden" => ModelConfig::Vit(VitConfig::plain(8, 24, 2, 3)),
        "deit_distilled_small" => ModelConfig::Vit(VitConfig::plain(8, 24, 2, 3).distilled()),
        "swin_small" => ModelConfig::Swin(SwinConfig {
            patch_size: 4,
            embed_dim: 4,
            depths: [2, 2, 1, 1],
            num_heads: [1, 2, 2, 4],
            window_size: 4,
        }),
        "vit_registers_small" => ModelConfig::Vit(VitConfig {
            reg_tokens: 3,
            no_embed_class: true,
            init_values: Some(0.5),
            ..VitConfig::plain(7, 24, 2, 3)
        }),
        "eva_small" => ModelConfig::Eva(EvaConfig {
            patch_size: 7,
            embed_dim: 24,
            depth: 2,
            num_heads: 3,
            num_reg_tokens: 3,
            init_values: 0.5,
            ..EvaConfig::vit_small_patch16_dinov3().qkvb()
        }),
        "vit_average_small" => ModelConfig::Vit(VitConfig {
            class_token: false,
            global_pool: VitPool::Avg,
            pre_norm: true,
            quick_gelu: true,
            ..VitConfig::plain(8, 24, 2, 3)
        }),
        "mobilenetv2_small" => ModelConfig::EfficientNet(EfficientNetConfig {
            stem: 8,
            stages: &["ds_r1_k3_s1_c8", "ir_r2_k3_s2_e3_c16", "ir_r1_k3_s2_e2_c16"],
            num_features: 24,
            ..EfficientNetConfig::mobilenetv2_100()
        }),
        "mobilenetv3_small" => ModelConfig::EfficientNet(EfficientNetConfig {
            stem: 8,
            stages: &[
                "ds_r1_k3_s1_e1_c8_nre",
                "ir_r1_k5_s2_e3_c16_se0.25_nre ir_r1_k3_s1_e2.5_c16_se0.25",
                "cn_r1_k1_s1_c24",
            ],
            num_features: 32,
            ..EfficientNetConfig::mobilenetv3_large_100()
        }),
        "efficientnet_small" => ModelConfig::EfficientNet(EfficientNetConfig {
            stem: 8,
            stages: &[
                "ds_r1_k3_s1_e1_c8_se0.25",
                "ir_r2_k5_s2_e3_c16_se0.25",
                "er_r2_k3_s2_e2_c16",
            ],
            num_features: 24,
            ..EfficientNetConfig::efficientnet_b0()
        }),
        "efficientnetv2_tf_small" => ModelConfig::EfficientNet(EfficientNetConfig {
            stem: 8,
            stages: &[
                "cn_r2_k3_s1_e1_c8_skip",
                "er_r2_k3_s2_e2_c8",
                "ir_r2_k3_s2_e2_c16_se0.25",
            ],
            num_features: 24,
            ..EfficientNetConfig::tf_efficientnetv2_s()
        }),
        "convnext_small" => ModelConfig::ConvNext(ConvNextConfig {
            depths: [1, 2, 1, 1],
            dims: [8, 12, 16, 20],
            ls_init_value: 0.5,
        }),
        other => panic!("there is no small network {other}"),
    }
}
