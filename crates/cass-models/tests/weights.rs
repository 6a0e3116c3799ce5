//! Files of weights: round trip, other heads and sizes, and everything that can be wrong with one.

use candle_core::{DType, Device, Tensor};
use cass_models::{Mode, Model, ModelConfig, ModelOptions, SwinConfig};
use std::{collections::HashMap, error::Error, path::Path};

type Outcome = Result<(), Box<dyn Error>>;

fn model(num_classes: usize, input_size: usize, seed: u64) -> cass_models::Result<Model> {
    let options = ModelOptions {
        num_classes,
        input_size,
        seed,
        ..Default::default()
    };
    Model::new("vit_tiny_patch16_224", &options)
}

fn logits(model: &Model, size: usize) -> Result<Vec<f32>, Box<dyn Error>> {
    let x = Tensor::ones((1, 3, size, size), DType::F32, &Device::Cpu)?;
    Ok(model
        .forward(&x, Mode::Eval)?
        .logits
        .value()
        .flatten_all()?
        .to_vec1()?)
}

#[test]
fn what_is_saved_loads_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let (a, b) = (model(5, 32, 0)?, model(5, 32, 1)?);
    a.save(&file, &[("epoch", "3".into())])?;
    let report = b.load(&file)?;
    assert_eq!(logits(&a, 32)?, logits(&b, 32)?);
    assert_eq!((report.new_head, report.resampled), (None, None));
    assert_eq!(report.parameters, a.params().parameter_count());
    assert!(
        report
            .to_string()
            .starts_with("loaded 152 tensors (5.5 M parameters, sha256 ")
    );
    assert_eq!(
        std::fs::read_dir(folder.path())?.count(),
        1,
        "only the file itself is left"
    );
    Ok(())
}

#[test]
fn another_class_count_keeps_the_head_and_another_size_resamples_positions() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    model(5, 64, 0)?.save(&file, &[])?;
    let other = model(3, 96, 1)?;
    let head = other.params().tensors()?["head.weight"].to_vec2::<f32>()?;
    let report = other.load(&file)?;
    assert_eq!(
        (report.new_head, report.resampled),
        (Some((5, 3)), Some((4, 6)))
    );
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

fn refused(tensors: HashMap<String, Tensor>, expected: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&tensors, &file)?;
    says(&file, expected)
}

/// Loading fails with one line that names the file and says `expected`, and changes nothing.
fn says(file: &Path, expected: &str) -> Outcome {
    let model = model(5, 32, 0)?;
    let before = logits(&model, 32)?;
    let text = model.load(file).err().ok_or("loaded")?.to_string();
    assert!(text.contains(expected), "{text}");
    assert!(
        text.contains("weights.safetensors") && !text.contains('\n'),
        "{text}"
    );
    assert_eq!(logits(&model, 32)?, before);
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_named() -> Outcome {
    let whole = || -> cass_models::Result<_> { Ok(model(5, 32, 0)?.params().tensors()?) };
    let mut t = whole()?;
    t.remove("norm.weight");
    refused(t, "norm.weight is missing")?;
    let mut t = whole()?;
    t.insert("extra".into(), Tensor::zeros(1, DType::F32, &Device::Cpu)?);
    refused(t, "extra is not of vit_tiny_patch16_224")?;
    let mut t = whole()?;
    t.insert(
        "norm.bias".into(),
        Tensor::zeros(7, DType::F32, &Device::Cpu)?,
    );
    refused(t, "norm.bias is [7], expected [192]")?;
    let mut t = whole()?;
    t.insert(
        "norm.bias".into(),
        Tensor::full(f32::NAN, 192, &Device::Cpu)?,
    );
    refused(t, "norm.bias has values that are not finite")?;
    let t = whole()?
        .into_iter()
        .filter(|(k, _)| !k.contains("norm1"))
        .collect();
    refused(t, "and 19 more")
}

#[test]
fn files_that_are_no_weights_are_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    says(&file, "No such file")?;
    let hostile: [&[u8]; 4] = [
        b"",
        b"not safetensors at all",
        &(1u64 << 60).to_le_bytes(), // a header of 2^60 bytes
        b"\x3d\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"F32\",\"shape\":[1073741824],\"data_offsets\":[0,4]}}1234",
    ];
    for bytes in hostile {
        std::fs::write(&file, bytes)?;
        says(&file, "not safetensors")?;
    }
    model(5, 32, 0)?.save(&file, &[])?;
    let bytes = std::fs::read(&file)?;
    std::fs::write(&file, &bytes[..bytes.len() - 100])?;
    says(&file, "not safetensors")
}
