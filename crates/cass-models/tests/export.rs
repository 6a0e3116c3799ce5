//! Folders for timm: what they hold, that they load, and where none is written.

use candle_core::{DType, Device, Tensor};
use cass_models::{Error, Mode, Model, ModelOptions};
use cass_testing::{export_of, small_network};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn model(name: &str, folder: &str, input_size: usize, seed: u64) -> cass_models::Result<Model> {
    let options = ModelOptions {
        num_classes: 3,
        input_size,
        seed,
        ..Default::default()
    };
    Model::from_config(name, small_network(folder), &options)
}

fn config(folder: &Path) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(
        folder.join("config.json"),
    )?)?)
}

#[test]
fn an_exported_network_is_the_same_network() -> Outcome {
    for (folder, size) in [
        ("resnet_small", 33),
        ("densenet_small", 33),
        ("vit_small_golden", 32),
        ("deit_distilled_small", 32),
        ("swin_small", 36),
    ] {
        let out = tempfile::tempdir()?;
        let out = out.path().join("new/folder");
        let [ours, other] = [0, 1].map(|seed| model(folder, folder, size, seed));
        let (ours, other) = (ours?, other?);
        ours.export(&out, &export_of(&[]))?;
        let report = other.load(&out.join("model.safetensors"))?;
        assert!(report.new_head.is_none() && report.resampled.is_none());
        let x = Tensor::ones((1, 3, size, size), DType::F32, &Device::Cpu)?;
        let logits = |m: &Model| -> Result<_, Box<dyn std::error::Error>> {
            Ok(m.forward(&x, Mode::Eval)?.logits.value().to_vec2::<f32>()?)
        };
        assert_eq!(logits(&ours)?, logits(&other)?, "{folder}");
        let config = config(&out)?;
        let classifier = &config["pretrained_cfg"]["classifier"];
        let two = json!(["head", "head_dist"]);
        assert_eq!(*classifier == two, folder == "deit_distilled_small");
        assert_eq!(config.get("label_names"), None);
        assert_eq!(fs::read_dir(&out)?.count(), 2);
        let parent = out.parent().ok_or("no parent")?;
        assert_eq!(fs::read_dir(parent)?.count(), 1, "nothing else is left");
    }
    Ok(())
}

/// The keys are those that `timm.models.save_for_hf` writes.
#[test]
fn the_configuration_says_what_the_run_did() -> Outcome {
    let out = tempfile::tempdir()?;
    let name = "vit_tiny_patch16_224";
    model(name, "vit_small_golden", 32, 0)?.export(out.path(), &export_of(&["a", "b, c", "ü"]))?;
    let wanted = json!({
        "architecture": name,
        "num_classes": 3,
        "num_features": 24,
        "global_pool": "token",
        "label_names": ["a", "b, c", "ü"],
        "model_args": {"img_size": 32},
        "pretrained_cfg": {
            "custom_load": false,
            "input_size": [3, 32, 32],
            "fixed_input_size": true,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "num_classes": 3,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
        "cass": {
            "version": env!("CARGO_PKG_VERSION"),
            "method": "linear",
            "arm": "vit",
            // printf 'seed = 1\n' | sha256sum
            "recipe_sha256": "46545c629053298cb8b068758bd6cb0ba83f1533f50a054de71575535afea66b",
        },
    });
    assert_eq!(config(out.path())?, wanted);
    Ok(())
}

#[test]
fn what_would_be_overwritten_or_misnamed_is_refused() -> Outcome {
    let out = tempfile::tempdir()?;
    let model = model("resnet18", "resnet_small", 33, 0)?;
    let refused = |labels: &[&str]| match model.export(out.path(), &export_of(labels)) {
        Err(error @ Error::Export { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = refused(&["a", "b"]);
    assert!(
        text.ends_with("there are 2 label names for 3 outputs"),
        "{text}"
    );
    assert_eq!(fs::read_dir(out.path())?.count(), 0);
    fs::write(out.path().join("mine"), "x")?;
    let text = refused(&[]);
    assert!(
        text.ends_with("it is not empty; expected a new or an empty folder"),
        "{text}"
    );
    assert_eq!(fs::read_dir(out.path())?.count(), 1);
    Ok(())
}

/// A linear probe fits heads on the mean of both tokens; an image shows each head its own.
#[test]
fn heads_fitted_on_features_serve_images() -> Outcome {
    let model = model("deit", "deit_distilled_small", 32, 0)?;
    let values: Vec<f32> = (0..2 * 3 * 32 * 32).map(|i| (i as f32).sin()).collect();
    let x = Tensor::from_vec(values, (2, 3, 32, 32), &Device::Cpu)?;
    let features = model.features(&x, Mode::Eval)?;
    let off = |a: &Tensor, b: &Tensor| -> candle_core::Result<f32> {
        (a - b)?.abs()?.max_all()?.to_scalar()
    };
    let wanted = model.classify(&features)?.into_value();
    let before = off(model.forward(&x, Mode::Eval)?.logits.value(), &wanted)?;
    model.average_heads()?;
    let after = off(model.forward(&x, Mode::Eval)?.logits.value(), &wanted)?;
    assert!(before > 1e-3 && after < 1e-6, "{before} {after}");
    assert!(off(model.classify(&features)?.value(), &wanted)? < 1e-6);
    Ok(())
}
