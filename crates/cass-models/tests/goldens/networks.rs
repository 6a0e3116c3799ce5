//! Logits, features, running statistics and every parameter's gradient within 1e-4 relative, and the
//! gradients' slopes in f64.
//!
//! What is added to a map that is normalised before anything else sees it, such as the bias behind a
//! mobile network's narrowing convolution, has a gradient of 0 in training: what is there is rounding,
//! and is compared with the largest gradient of the network.

use crate::{golden, model};
use candle_core::{DType, Result, Tensor};
use cass_models::Mode;
use cass_ops::compose;
use cass_testing::assert_close;

fn close(what: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    assert_close(what, a, b, 1e-4)
}

/// Below this share of the largest gradient, what is left of sums that cancel.
fn rounding(largest: f64, epsilon: f64) -> f64 {
    largest * epsilon.sqrt()
}

fn norm(t: &Tensor) -> Result<f64> {
    t.to_dtype(DType::F64)?
        .sqr()?
        .sum_all()?
        .sqrt()?
        .to_scalar()
}

/// On a CPU, and by the kernels of a GPU under emulation.
fn equals_timm(name: &str) -> Result<()> {
    equals_timm_here(name)?;
    cass_ops::gpu::emulated(|| equals_timm_here(name))
}

fn equals_timm_here(name: &str) -> Result<()> {
    let golden = golden(name, "golden")?;
    let model = model(name, &golden, DType::F32)?;
    let forward = |mode| {
        model
            .forward(&golden["input"], mode)
            .map_err(candle_core::Error::wrap)
    };
    let output = forward(Mode::Eval)?;
    close("logits", output.logits.value(), &golden["logits"])?;
    close("features", output.features.value(), &golden["features"])?;

    let output = forward(Mode::Train)?;
    close(
        "train_logits",
        output.logits.value(),
        &golden["train_logits"],
    )?;
    let probe = &golden["probe"];
    let grads = compose(&[&output.logits], |t| (&t[0] * probe)?.mean_all())?.backward()?;
    let theirs = golden.iter().filter(|(key, _)| key.starts_with("grad."));
    let norms = theirs
        .map(|(_, grad)| norm(grad))
        .collect::<Result<Vec<_>>>()?;
    let nothing = rounding(norms.into_iter().fold(0.0, f64::max), f32::EPSILON.into());
    for (key, var) in model.params().trainable() {
        let grad = grads
            .get(&var)
            .unwrap_or_else(|| panic!("{key} has no gradient"));
        let want = &golden[&format!("grad.{key}")];
        if norm(want)? < 1e-3 * nothing {
            let ours = norm(grad)?;
            assert!(
                ours < 1e-3 * nothing,
                "{key}: {ours:.2e}, expected next to 0"
            );
            continue;
        }
        close(&format!("gradient of {key}"), grad, want)?;
    }
    for (key, var) in model.params().buffers() {
        if let Some(want) = golden.get(&format!("buffer.{key}")) {
            close(&key, &var, want)?;
        }
    }
    Ok(())
}

#[test]
fn a_resnet_of_basic_blocks_equals_timm() -> Result<()> {
    equals_timm("resnet_small")
}

#[test]
fn a_resnet_of_bottlenecks_equals_timm() -> Result<()> {
    equals_timm("resnet_bottleneck_small")
}

#[test]
fn a_resnet_d_equals_timm() -> Result<()> {
    equals_timm("resnet_d_small")
}

#[test]
fn a_densenet_equals_timm() -> Result<()> {
    equals_timm("densenet_small")
}

#[test]
fn a_vision_transformer_equals_timm() -> Result<()> {
    equals_timm("vit_small_golden")
}

#[test]
fn a_distilled_deit_equals_timm() -> Result<()> {
    equals_timm("deit_distilled_small")
}

#[test]
fn a_swin_transformer_equals_timm() -> Result<()> {
    equals_timm("swin_small")
}

#[test]
fn a_vision_transformer_with_registers_equals_timm() -> Result<()> {
    equals_timm("vit_registers_small")
}

#[test]
fn a_vision_transformer_with_rotary_positions_equals_timm() -> Result<()> {
    equals_timm("eva_small")
}

#[test]
fn a_vision_transformer_of_mean_patches_equals_timm() -> Result<()> {
    equals_timm("vit_average_small")
}

#[test]
fn a_regnet_equals_timm() -> Result<()> {
    equals_timm("regnet_small")
}

#[test]
fn a_mobilenetv2_equals_timm() -> Result<()> {
    equals_timm("mobilenetv2_small")
}

#[test]
fn a_mobilenetv3_equals_timm() -> Result<()> {
    equals_timm("mobilenetv3_small")
}

#[test]
fn an_efficientnet_equals_timm() -> Result<()> {
    equals_timm("efficientnet_small")
}

#[test]
fn an_efficientnetv2_of_tensorflow_equals_timm() -> Result<()> {
    equals_timm("efficientnetv2_tf_small")
}

#[test]
fn a_convnext_equals_timm() -> Result<()> {
    equals_timm("convnext_small")
}

/// In f64 the slope of the loss along each parameter's gradient equals the gradient's square norm.
fn finite_differences(name: &str) -> Result<()> {
    let golden = golden(name, "golden")?;
    let model = model(name, &golden, DType::F64)?;
    let (input, probe) = (
        golden["input"].to_dtype(DType::F64)?,
        golden["probe"].to_dtype(DType::F64)?,
    );
    let loss = || {
        let output = model
            .forward(&input, Mode::Train)
            .map_err(candle_core::Error::wrap)?;
        compose(&[&output.logits], |t| (&t[0] * &probe)?.mean_all())
    };
    let grads = loss()?.backward()?;
    let all = model.params().trainable();
    let norms = all.iter().filter_map(|(_, var)| grads.get(var)).map(norm);
    let largest = norms
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .fold(0.0, f64::max);
    for (key, var) in all {
        let grad = grads
            .get(&var)
            .unwrap_or_else(|| panic!("{key} has no gradient"));
        let norm = norm(grad)?;
        if norm < rounding(largest, f64::EPSILON) * 1e-3 {
            continue;
        }
        let step = 1e-5;
        let start = var.as_tensor().copy()?;
        let at = |by: f64| -> Result<f64> {
            var.set(&(&start + (grad * (by / norm))?)?)?;
            loss()?.value().to_scalar::<f64>()
        };
        let slope = (at(step)? - at(-step)?) / (2.0 * step);
        var.set(&start)?;
        let off = (slope - norm).abs() / norm;
        assert!(off < 1e-4, "{key}: gradient {norm:.3e}, slope {slope:.3e}");
    }
    Ok(())
}

#[test]
fn resnet_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("resnet_small")
}

#[test]
fn bottleneck_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("resnet_bottleneck_small")
}

#[test]
fn resnet_d_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("resnet_d_small")
}

#[test]
fn densenet_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("densenet_small")
}

#[test]
fn vit_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("vit_small_golden")
}

#[test]
fn deit_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("deit_distilled_small")
}

#[test]
fn swin_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("swin_small")
}

#[test]
fn vit_with_registers_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("vit_registers_small")
}

#[test]
fn vit_with_rotary_positions_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("eva_small")
}

#[test]
fn vit_of_mean_patches_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("vit_average_small")
}

#[test]
fn regnet_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("regnet_small")
}

#[test]
fn mobilenetv2_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("mobilenetv2_small")
}

#[test]
fn mobilenetv3_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("mobilenetv3_small")
}

#[test]
fn efficientnet_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("efficientnet_small")
}

#[test]
fn efficientnetv2_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("efficientnetv2_tf_small")
}

#[test]
fn convnext_gradients_equal_finite_differences() -> Result<()> {
    finite_differences("convnext_small")
}

#[test]
fn the_classifier_is_known_and_nothing_else_belongs_to_it() -> Result<()> {
    for (name, want) in [
        ("resnet_small", &["fc.weight", "fc.bias"][..]),
        ("densenet_small", &["classifier.weight", "classifier.bias"]),
        ("swin_small", &["head.fc.weight", "head.fc.bias"]),
        ("regnet_small", &["head.fc.weight", "head.fc.bias"]),
        ("vit_small_golden", &["head.weight", "head.bias"]),
        ("vit_average_small", &["head.weight", "head.bias"]),
        ("eva_small", &["head.weight", "head.bias"]),
        (
            "mobilenetv3_small",
            &["classifier.weight", "classifier.bias"],
        ),
        ("convnext_small", &["head.fc.weight", "head.fc.bias"]),
        (
            "deit_distilled_small",
            &[
                "head.weight",
                "head.bias",
                "head_dist.weight",
                "head_dist.bias",
            ],
        ),
    ] {
        let model = model(name, &golden(name, "golden")?, DType::F32)?;
        let classifier = model.classifier_params();
        let names: Vec<_> = classifier.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, want, "{name}");
        let all = model.params().trainable().len();
        assert_eq!(model.backbone_params().len() + names.len(), all, "{name}");
        assert_eq!(
            classifier[0].1.dims(),
            [model.num_classes(), model.feature_dim()],
            "{name}"
        );
    }
    Ok(())
}
