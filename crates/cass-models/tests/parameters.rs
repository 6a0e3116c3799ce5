//! Every parameter of the full-size networks: it trains, and it begins as timm's does.

use candle_core::DType;
use cass_models::{Mode, Model, ModelOptions};
use cass_ops::compose;
use cass_testing::{normal_images, small_network, stir};
use std::error::Error;

fn model(name: &str, size: usize) -> cass_models::Result<Model> {
    let options = ModelOptions {
        num_classes: 10,
        input_size: size,
        ..Default::default()
    };
    Model::new(name, &options)
}

fn every_parameter_trains(name: &str) -> Result<(), Box<dyn Error>> {
    let model = model(name, 64)?;
    stir(&model)?;
    let output = model.forward(&normal_images(4, 64)?, Mode::Train)?;
    let grads = compose(&[&output.logits], |t| t[0].sqr()?.mean_all())?.backward()?;
    let params = model.params().trainable();
    assert!(!params.is_empty());
    for (key, var) in params {
        let grad = grads.get(&var).ok_or(format!("{key} has no gradient"))?;
        let size = grad.abs()?.sum_all()?.to_scalar::<f32>()?;
        assert!(
            size.is_finite() && size > 0.0,
            "{key}: gradient of size {size}"
        );
    }
    Ok(())
}

#[test]
fn every_parameter_of_resnet18_trains() -> Result<(), Box<dyn Error>> {
    every_parameter_trains("resnet18")
}

#[test]
fn every_parameter_of_resnet50_trains() -> Result<(), Box<dyn Error>> {
    every_parameter_trains("resnet50")
}

#[test]
fn every_parameter_of_vit_tiny_trains() -> Result<(), Box<dyn Error>> {
    every_parameter_trains("vit_tiny_patch16_224")
}

/// With 1000 classes at the size of the published weights, as timm counts them.
#[test]
fn networks_have_as_many_parameters_as_timms() -> Result<(), Box<dyn Error>> {
    for (name, want) in [
        ("resnet18", 11_689_512),
        ("resnet200d", 64_693_064),
        ("densenet121", 7_978_856),
        ("densenet161", 28_681_000),
        ("vit_tiny_patch16_224", 5_717_416),
        ("swin_tiny_patch4_window7_224", 28_288_354),
        ("swin_base_patch4_window12_384", 87_903_584),
        ("deit_base_distilled_patch16_384", 87_630_032),
    ] {
        let options = ModelOptions {
            input_size: cass_models::registry::find(name)?.input_size,
            ..Default::default()
        };
        let count = Model::new(name, &options)?.params().parameter_count();
        assert_eq!(count, want, "{name}");
    }
    Ok(())
}

#[test]
fn a_frozen_network_follows_but_records_nothing() -> Result<(), Box<dyn Error>> {
    let model = model("resnet18", 32)?;
    let frozen = model.frozen()?;
    let x = normal_images(2, 32)?;
    let before = frozen.forward(&x, Mode::Eval)?.logits;
    assert!(!before.is_tracked());
    let before = before.into_value();
    stir(&model)?;
    let (now, want) = (
        frozen.forward(&x, Mode::Eval)?,
        model.forward(&x, Mode::Eval)?,
    );
    assert_eq!(
        now.logits.value().to_vec2::<f32>()?,
        want.logits.value().to_vec2::<f32>()?
    );
    assert_ne!(
        now.logits.value().to_vec2::<f32>()?,
        before.to_vec2::<f32>()?
    );

    let copy = model.deep_copy()?;
    stir(&model)?;
    let kept = copy.forward(&x, Mode::Eval)?.logits;
    assert_eq!(
        kept.value().to_vec2::<f32>()?,
        want.logits.value().to_vec2::<f32>()?
    );
    Ok(())
}

#[test]
fn averaged_statistics_are_the_mean_over_batches() -> Result<(), Box<dyn Error>> {
    let model = model("resnet18", 32)?;
    let (a, b) = (normal_images(2, 32)?, normal_images(3, 32)?);
    let mut means = Vec::new();
    for x in [&a, &b] {
        model.params().reset_statistics()?;
        model.forward(x, Mode::Average)?;
        means.push(model.params().tensors()?["bn1.running_mean"].clone());
    }
    model.params().reset_statistics()?;
    model.forward(&a, Mode::Average)?;
    model.forward(&b, Mode::Average)?;
    let both = model.params().tensors()?["bn1.running_mean"].clone();
    let want = ((&means[0] + &means[1])? * 0.5)?;
    let off = (both - want)?.abs()?.max_all()?.to_scalar::<f32>()?;
    assert!(off < 1e-7, "{off}");
    Ok(())
}

/// Same seed, same values; another head or seed changes what it should and nothing else.
#[test]
fn initial_values_depend_on_seed_and_name_alone() -> Result<(), Box<dyn Error>> {
    let build = |num_classes, seed| {
        let options = ModelOptions {
            num_classes,
            input_size: 32,
            seed,
            ..Default::default()
        };
        Model::new("vit_tiny_patch16_224", &options)
    };
    let value = |m: &Model, key: &str| -> candle_core::Result<Vec<f32>> {
        m.params().tensors()?[key].flatten_all()?.to_vec1()
    };
    let (a, b, c) = (build(10, 0)?, build(4, 0)?, build(10, 1)?);
    let key = "blocks.3.mlp.fc1.weight";
    assert_eq!(value(&a, key)?, value(&b, key)?);
    assert_ne!(value(&a, key)?, value(&c, key)?);
    Ok(())
}

/// Mean and standard deviation of every kind of parameter against timm's over several seeds.
#[test]
fn initial_values_are_distributed_as_timms() -> Result<(), Box<dyn Error>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
    let text = std::fs::read_to_string(format!("{root}/init/golden.json"))?;
    let golden: serde_json::Value = serde_json::from_str(&text)?;
    let small = |folder, input_size| (folder, Some(small_network(folder)), 5, input_size);
    for (name, config, num_classes, input_size) in [
        ("resnet18", None, 1000, 224),
        ("vit_tiny_patch16_224", None, 1000, 224),
        small("resnet_d_small", 33),
        small("densenet_small", 33),
        small("deit_distilled_small", 32),
        small("swin_small", 36),
    ] {
        let options = ModelOptions {
            num_classes,
            input_size,
            ..Default::default()
        };
        let model = match config {
            Some(config) => Model::from_config(name, config, &options)?,
            None => Model::new(name, &options)?,
        };
        let wanted = golden[name].as_object().ok_or("no such network")?;
        assert_eq!(wanted.len(), model.params().trainable().len(), "{name}");
        for (key, var) in model.params().trainable() {
            let want = &wanted[&key];
            let values = var.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            if let Some(constant) = want["constant"].as_f64() {
                assert!(
                    values.iter().all(|&v| v == constant),
                    "{key} is not {constant}"
                );
                continue;
            }
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            let number = |what: &str| want[what].as_f64().ok_or(format!("{key} has no {what}"));
            // Five standard errors of the mean and of the spread of n draws.
            let (want_mean, want_std) = (number("mean")?, number("std")?);
            assert!(
                (mean - want_mean).abs() < 5.0 * 1.5 * want_std / n.sqrt(),
                "{key}: mean {mean}"
            );
            assert!(
                (std / want_std - 1.0).abs() < 5.0 * 1.2 / n.sqrt(),
                "{key}: std {std}"
            );
        }
    }
    Ok(())
}
