//! Every entry of the registry against timm's `pretrained_cfg`, and every cost against timm's network.

use cass_models::family::ModelConfig;
use cass_models::registry::{MODELS, ModelInfo, find};
use cass_models::{Model, ModelOptions};
use cass_testing::{golden_json, small_network};
use serde_json::{Value, json};
use std::collections::BTreeSet;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn golden() -> Value {
    golden_json("registry/golden.json")
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// In the golden file's form.
fn described(info: &ModelInfo) -> Value {
    let classifier = match info.config.classifier() {
        [one] => json!(one),
        several => json!(several),
    };
    json!({
        "input_size": info.input_size,
        "hf_hub_id": info.hub_id,
        "mean": info.normalization.mean,
        "std": info.normalization.std,
        "interpolation": info.interpolation.to_string(),
        "crop_pct": info.crop_pct,
        "num_classes": info.num_classes,
        "first_conv": info.config.first_conv(),
        "classifier": classifier,
        "fixed_input_size": info.config.fixed_input_size(),
        "license": info.licence(),
    })
}

#[test]
fn the_registry_is_timms() -> Outcome {
    let golden = golden();
    let ours: BTreeSet<_> = MODELS.iter().map(|m| m.full_name().to_string()).collect();
    let theirs: BTreeSet<_> = object(&golden["tags"])
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), MODELS.len(), "an entry is there twice");
    for info in MODELS {
        assert_eq!(
            described(info),
            golden["tags"][info.full_name()],
            "{}",
            info.full_name()
        );
        assert_eq!(find(info.full_name())?, info);
        assert_eq!(info.full_name(), format!("{}.{}", info.name, info.tag));
    }
    Ok(())
}

#[test]
fn bare_names_mean_what_they_mean_to_timm() -> Outcome {
    let golden = golden();
    for (name, model) in object(&golden["models"]) {
        assert_eq!(find(name)?.tag, model["tag"], "{name}");
    }
    for name in golden["missing"].as_array().ok_or("no list")? {
        assert!(find(name.as_str().ok_or("no name")?).is_err(), "{name}");
    }
    Ok(())
}

#[test]
fn costs_are_what_torch_counts() -> Outcome {
    let golden = golden();
    let mut counted = 0;
    for (name, model) in object(&golden["models"]) {
        let cost = find(name)?.cost();
        assert_eq!(json!(cost.parameters), model["parameters"], "{name}");
        assert_eq!(json!(cost.macs), model["macs"], "{name}");
        counted += 1;
    }
    assert!(counted > 20);
    Ok(())
}

/// Where maps have odd sides, windows shrink or reach over the border.
#[test]
fn costs_count_the_parameters_that_are_built() -> Outcome {
    let check = |name: &str, config: ModelConfig, input_size, num_classes| -> Outcome {
        let options = ModelOptions {
            num_classes,
            input_size,
            ..Default::default()
        };
        let model = Model::from_config(name, config, &options)?;
        let cost = config.cost(input_size, 3, num_classes);
        assert_eq!(cost.parameters, model.params().parameter_count(), "{name}");
        let layers = config
            .classifier()
            .iter()
            .flat_map(|c| [format!("{c}.weight"), format!("{c}.bias")]);
        let built: Vec<_> = model
            .classifier_params()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(layers.collect::<BTreeSet<_>>(), built.into_iter().collect());
        let first = model
            .params()
            .get(&format!("{}.weight", config.first_conv()));
        assert_eq!(first.ok_or("no first convolution")?.dim(1)?, 3, "{name}");
        Ok(())
    };
    for (folder, input_size) in [
        ("resnet_small", 33),
        ("resnet_bottleneck_small", 33),
        ("resnet_d_small", 33),
        ("densenet_small", 33),
        ("vit_small_golden", 32),
        ("deit_distilled_small", 32),
        ("swin_small", 36),
        ("vit_registers_small", 28),
        ("eva_small", 28),
        ("vit_average_small", 32),
        ("regnet_small", 33),
        ("mobilenetv2_small", 42),
        ("mobilenetv3_small", 36),
        ("efficientnet_small", 40),
        ("efficientnetv2_tf_small", 38),
        ("convnext_small", 70),
    ] {
        check(folder, small_network(folder), input_size, 5)?;
    }
    for name in [
        "resnet18",
        "densenet121",
        "vit_tiny_patch16_384",
        "deit_tiny_patch16_224",
    ] {
        let info = find(name)?;
        check(name, info.config, info.input_size, 1000)?;
    }
    Ok(())
}
