//! The small networks of `fixtures/golden`, in the shapes their `export.py` gives them.

use cass_models::{Block, DenseNetConfig, ModelConfig, ResNetConfig, SwinConfig, VitConfig};

/// The shape of the network in a folder of `fixtures/golden`.
///
/// # Panics
/// If the folder has none.
pub fn small_network(folder: &str) -> ModelConfig {
    match folder {
        "resnet_small" => ModelConfig::ResNet(ResNetConfig {
            block: Block::Basic,
            layers: [2, 1, 1, 1],
            channels: [8, 10, 12, 14],
            stem_width: 64,
        }),
        "resnet_bottleneck_small" => ModelConfig::ResNet(ResNetConfig {
            block: Block::Bottleneck,
            layers: [2, 1, 1, 1],
            channels: [4, 5, 6, 7],
            stem_width: 64,
        }),
        "resnet_d_small" => ModelConfig::ResNetD(ResNetConfig {
            block: Block::Bottleneck,
            layers: [2, 1, 1, 1],
            channels: [4, 5, 6, 7],
            stem_width: 8,
        }),
        "densenet_small" => ModelConfig::DenseNet(DenseNetConfig {
            growth_rate: 4,
            block_config: &[2, 3, 2],
        }),
        "vit_small_golden" => ModelConfig::Vit(VitConfig {
            patch_size: 8,
            embed_dim: 24,
            depth: 2,
            num_heads: 3,
        }),
        "deit_distilled_small" => ModelConfig::DistilledVit(VitConfig {
            patch_size: 8,
            embed_dim: 24,
            depth: 2,
            num_heads: 3,
        }),
        "swin_small" => ModelConfig::Swin(SwinConfig {
            patch_size: 4,
            embed_dim: 4,
            depths: [2, 2, 1, 1],
            num_heads: [1, 2, 2, 4],
            window_size: 4,
        }),
        other => panic!("there is no small network {other}"),
    }
}
