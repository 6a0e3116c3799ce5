//! What networks give on the way: values and gradients within 1e-5 relative of what hooks on timm's
//! modules see, and a result that does not depend on who looks.

use crate::{golden, model};
use candle_core::{DType, Result, Tensor};
use cass_models::intermediates::Taps;
use cass_models::{Error, Mode, Model, ModelOptions, Output};
use cass_ops::Gradients;
use cass_testing::{Tensors, relative_error};
use std::collections::BTreeSet;

const FOLDERS: [&str; 16] = [
    "resnet_small",
    "resnet_bottleneck_small",
    "resnet_d_small",
    "densenet_small",
    "vit_small_golden",
    "deit_distilled_small",
    "swin_small",
    "vit_registers_small",
    "eva_small",
    "vit_average_small",
    "regnet_small",
    "mobilenetv2_small",
    "mobilenetv3_small",
    "efficientnet_small",
    "efficientnetv2_tf_small",
    "convnext_small",
];

fn forward(model: &Model, golden: &Tensors, mode: Mode, taps: &Taps) -> Result<Output> {
    let output = model.forward_with(&golden["input"], mode, taps);
    output.map_err(candle_core::Error::wrap)
}

/// Of mean(logits · probe).
fn backward(output: Output, golden: &Tensors) -> Result<Gradients> {
    let probe = &golden["probe"];
    let share = 1.0 / probe.elem_count() as f64;
    output.logits.backward_from(&(probe * share)?)
}

fn everything(model: &Model) -> Taps {
    Taps::new(model.intermediate_names())
}

#[test]
fn names_and_values_are_those_of_timms_modules() -> Result<()> {
    for folder in FOLDERS {
        let (golden, theirs) = (golden(folder, "golden")?, golden(folder, "intermediates")?);
        let model = model(folder, &golden, DType::F32)?;
        let timms = theirs.keys().filter_map(|key| key.strip_prefix("out."));
        let ours = model.intermediate_names().iter().map(String::as_str);
        assert_eq!(
            ours.collect::<BTreeSet<_>>(),
            timms.collect::<BTreeSet<_>>(),
            "{folder}"
        );
        for network in [&model, &model.frozen().map_err(candle_core::Error::wrap)?] {
            let output = forward(network, &golden, Mode::Eval, &everything(network))?;
            let given: Vec<_> = output.intermediates.iter().map(|(name, _)| name).collect();
            assert_eq!(given, model.intermediate_names(), "{folder}");
            for (name, ours) in output.intermediates.iter() {
                let theirs = &theirs[&format!("out.{name}")];
                assert_eq!(ours.dims(), theirs.dims(), "{folder}: {name}");
                let off = relative_error(ours.value(), theirs)?;
                assert!(off <= 1e-5, "{folder}: {name} is off by {off:.2e}");
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_are_timms_with_and_without_those_of_the_weights() -> Result<()> {
    for folder in FOLDERS {
        let (golden, theirs) = (golden(folder, "golden")?, golden(folder, "intermediates")?);
        let model = model(folder, &golden, DType::F32)?;
        let frozen = model.frozen().map_err(candle_core::Error::wrap)?;
        for (network, of_weights) in [(&model, true), (&frozen, false)] {
            let taps = everything(network).with_gradients();
            let output = forward(network, &golden, Mode::Eval, &taps)?;
            let seen = output.intermediates.clone();
            let grads = backward(output, &golden)?;
            for (name, map) in seen.iter() {
                let beside = name.ends_with(".attn") || (name == "norm" && map.dims().len() == 3);
                let Some(ours) = grads.of(map) else {
                    assert!(beside, "{folder}: {name} has no gradient");
                    continue;
                };
                let off = relative_error(ours, &theirs[&format!("grad.{name}")])?;
                assert!(off <= 1e-5, "{folder}: gradient of {name} off by {off:.2e}");
            }
            for (name, var) in network.params().trainable() {
                assert_eq!(grads.get(&var).is_some(), of_weights, "{folder}: {name}");
            }
        }
    }
    Ok(())
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

#[test]
fn asking_changes_no_bit_of_the_result_or_of_a_gradient() -> Result<()> {
    for folder in FOLDERS {
        let golden = golden(folder, "golden")?;
        let model = model(folder, &golden, DType::F32)?;
        for mode in [Mode::Eval, Mode::Train] {
            let result = |taps: &Taps| -> Result<Vec<Vec<u32>>> {
                let output = forward(&model, &golden, mode, taps)?;
                let mut all = vec![bits(output.logits.value())?, bits(output.features.value())?];
                let grads = backward(output, &golden)?;
                for (_, var) in model.params().trainable() {
                    all.extend(grads.get(&var).map(bits).transpose()?);
                }
                Ok(all)
            };
            let unasked = model.forward(&golden["input"], mode);
            let unasked = unasked.map_err(candle_core::Error::wrap)?;
            assert!(unasked.intermediates.iter().next().is_none());
            let nothing = result(&Taps::default())?;
            assert_eq!(nothing[0], bits(unasked.logits.value())?, "{folder}");
            for taps in [everything(&model), everything(&model).with_gradients()] {
                assert!(result(&taps)? == nothing, "{folder}, {mode:?}, {taps:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn names_are_listed_in_the_order_of_computation() -> std::result::Result<(), Error> {
    let options = ModelOptions {
        input_size: 32,
        ..Default::default()
    };
    let names = |name: &str| -> std::result::Result<Vec<String>, Error> {
        Ok(Model::new(name, &options)?.intermediate_names().to_vec())
    };
    let resnet = names("resnet18")?;
    assert_eq!(resnet[..4], ["stem", "layer1.0", "layer1.1", "layer1"]);
    assert_eq!(resnet[12], "layer4");
    let vit = names("vit_tiny_patch16_224")?;
    assert_eq!(vit[..3], ["patch_embed", "blocks.0.attn", "blocks.0"]);
    assert_eq!(vit[24..], ["blocks.11", "norm"]);
    Ok(())
}

#[test]
fn an_unknown_name_is_an_error_that_suggests_the_nearest() -> Result<()> {
    for (folder, name, nearest) in [
        ("resnet_small", "layer5", "layer4"),
        ("resnet_small", "layer.4", "layer4"),
        ("vit_small_golden", "block.1", "blocks.1"),
        ("vit_small_golden", "blocks.1.attn.softmax", "blocks.1.attn"),
        ("swin_small", "layer.3", "layers.3"),
    ] {
        let golden = golden(folder, "golden")?;
        let model = model(folder, &golden, DType::F32)?;
        let taps = Taps::new(["patch_embed", "stem", name].into_iter().rev());
        let error = model.forward_with(&golden["input"], Mode::Eval, &taps);
        assert_eq!(
            error.map(|_| ()).unwrap_err().to_string(),
            format!("{folder} has no output \"{name}\"; the nearest is \"{nearest}\"")
        );
    }
    Ok(())
}
