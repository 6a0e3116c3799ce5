//! Weights of another class count, size, channel count or precision, which are made to fit.

use super::{Outcome, convolutional, logits, model, new_head, refused};
use candle_core::{DType, Device, Tensor};
use cass_models::family::{ModelConfig, SwinConfig};
use cass_models::{Mode, Model, ModelOptions};
use std::collections::HashMap;
use std::error::Error;

#[test]
fn another_class_count_keeps_the_head_and_another_size_resamples_positions() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    model(5, 64, 0)?.save(&file, &[])?;
    let other = model(3, 96, 1)?;
    let head = other.params().tensors()?["head.weight"].to_vec2::<f32>()?;
    let report = other.load(&file)?;
    assert_eq!(
        (report.new_head.as_ref(), report.resampled),
        (Some(&new_head("head", 5, 3)), Some((4, 6)))
    );
    assert_eq!(report.buffers, 0);
    let text = report.to_string();
    assert!(
        text.starts_with("loaded 150 tensors (5.5 M parameters, sha256 "),
        "{text}"
    );
    let says = format!(
        "from {}; new head head (5 → 3); positions 4x4 → 6x6",
        file.display()
    );
    assert!(text.ends_with(&says), "{text}");
    assert_eq!(
        other.params().tensors()?["head.weight"].to_vec2::<f32>()?,
        head
    );
    Ok(())
}

/// Maps of 8, 4, 2 and 1 tokens become 4, 2, 1 and 1: windows of 4, 4, 2 and 1 become 4, 2, 1 and 1.
#[test]
fn another_size_resamples_relative_positions_of_windows_that_shrink() -> Outcome {
    let swin = |input_size, seed| {
        let options = ModelOptions {
            num_classes: 3,
            input_size,
            seed,
            ..Default::default()
        };
        let config = ModelConfig::Swin(SwinConfig {
            patch_size: 4,
            embed_dim: 4,
            depths: [2, 1, 1, 1],
            num_heads: [1, 1, 2, 2],
            window_size: 4,
        });
        Model::from_config("swin", config, &options)
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let mut tensors = swin(32, 0)?.params().tensors()?;
    // Older files of timm hold what follows from the shape.
    for derived in ["attn_mask", "attn.relative_position_index"] {
        let value = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
        tensors.insert(format!("layers.0.blocks.1.{derived}"), value);
    }
    candle_core::safetensors::save(&tensors, &file)?;
    let (same, smaller) = (swin(32, 1)?, swin(16, 1)?);
    assert_eq!(same.load(&file)?.resampled, None);
    assert_eq!(smaller.load(&file)?.resampled, Some((7, 3)));
    let table = |m: &Model, layer| -> Result<_, Box<dyn Error>> {
        let name = format!("layers.{layer}.blocks.0.attn.relative_position_bias_table");
        Ok(m.params().tensors()?[&name].clone())
    };
    let kept = table(&smaller, 0)?;
    assert_eq!(kept.to_vec2::<f32>()?, table(&same, 0)?.to_vec2::<f32>()?);
    // The middle, a token to itself, stays what it was.
    let middle = |t: Tensor| -> candle_core::Result<Vec<f32>> { t.get(t.dim(0)? / 2)?.to_vec1() };
    assert_eq!(middle(table(&smaller, 1)?)?, middle(table(&same, 1)?)?);
    logits(&smaller, 16)?;
    Ok(())
}

/// timm's `adapt_input_conv`.
#[test]
fn a_first_convolution_for_colours_becomes_one_for_any_channels() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let source = convolutional(4, DType::F32)?;
    source.save(&file, &[])?;
    let colours = source.params().tensors()?["conv1.weight"].clone();
    for (channels, expected) in [
        (1, colours.sum_keepdim(1)?),
        (2, (colours.narrow(1, 0, 2)? * 1.5)?),
        (
            4,
            (Tensor::cat(&[&colours, &colours.narrow(1, 0, 1)?], 1)? * 0.75)?,
        ),
    ] {
        let options = ModelOptions {
            num_classes: 4,
            in_chans: channels,
            ..Default::default()
        };
        let other = Model::from_config("small", *source.config(), &options)?;
        let report = other.load(&file)?;
        assert_eq!(report.channels, Some((3, channels)));
        assert!(
            report
                .to_string()
                .ends_with(&format!("; channels 3 → {channels}"))
        );
        let ours = other.params().tensors()?["conv1.weight"].clone();
        let off = (ours - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(off < 1e-6, "{channels}: {off}");
        let x = Tensor::ones((1, channels, 32, 32), DType::F32, &Device::Cpu)?;
        assert_eq!(other.forward(&x, Mode::Eval)?.logits.dims(), [1, 4]);
    }
    Ok(())
}

#[test]
fn halves_and_doubles_are_cast() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let source = model(5, 32, 3)?.params().tensors()?;
    // Rounding, relative and (where numbers get too small) absolute.
    for (dtype, relative, absolute) in [
        (DType::F16, 2f32.powi(-11), 2f32.powi(-25)),
        (DType::BF16, 2f32.powi(-8), 0.0),
        (DType::F64, 0.0, 0.0),
    ] {
        let cast: HashMap<_, _> = source
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.to_dtype(dtype)?)))
            .collect::<candle_core::Result<_>>()?;
        candle_core::safetensors::save(&cast, &file)?;
        let model = model(5, 32, 0)?;
        model.load(&file)?;
        for (name, value) in model.params().tensors()? {
            assert_eq!(value.dtype(), DType::F32);
            let expected = cast[&name].to_dtype(DType::F32)?;
            assert_eq!(
                value.flatten_all()?.to_vec1::<f32>()?,
                expected.flatten_all()?.to_vec1::<f32>()?
            );
            let largest = source[&name]
                .abs()?
                .flatten_all()?
                .max(0)?
                .to_scalar::<f32>()?;
            let error = (value - &source[&name])?.abs()?.flatten_all()?.max(0)?;
            let error = error.to_scalar::<f32>()?;
            assert!(
                error <= relative * largest + absolute,
                "{name} as {dtype:?}: {error:e}"
            );
        }
    }
    let mut whole = source;
    let bias = whole["norm.bias"].to_dtype(DType::I64)?;
    whole.insert("norm.bias".into(), bias);
    refused(&fresh, whole, "norm.bias is i64, expected floating point")
}
