//! Files of weights: round trip, other heads and sizes, and everything that can be wrong with one.

use candle_core::{DType, Device, Tensor};
use cass_models::{Mode, Model, ModelConfig, ModelOptions, NewHead, ResNetConfig, SwinConfig};
use sha2::{Digest, Sha256};
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

fn new_head(name: &str, from: usize, to: usize) -> NewHead {
    let name = name.into();
    NewHead { name, from, to }
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

/// On a shared file system others read what one trains.
#[cfg(unix)]
#[test]
fn what_is_saved_is_as_open_as_any_file() -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir()?;
    let [plain, saved] = ["plain", "saved.safetensors"].map(|name| folder.path().join(name));
    std::fs::write(&plain, b"")?;
    model(5, 64, 0)?.save(&saved, &[])?;
    let mode = |file| std::io::Result::Ok(std::fs::metadata(file)?.permissions().mode());
    assert_eq!(mode(saved)?, mode(plain)?);
    Ok(())
}

#[test]
fn what_is_saved_loads_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let (a, b) = (model(5, 32, 0)?, model(5, 32, 1)?);
    a.save(&file, &[("epoch", "3".into())])?;
    let report = b.load(&file)?;
    assert_eq!(logits(&a, 32)?, logits(&b, 32)?);
    assert_eq!((&report.new_head, report.resampled), (&None, None));
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

fn refused(model: &Model, tensors: HashMap<String, Tensor>, expected: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&tensors, &file)?;
    says(model, &file, expected)
}

/// Loading fails with one line that names the file and says `expected`, and changes nothing.
fn says(model: &Model, file: &Path, expected: &str) -> Outcome {
    let before = logits(model, 32)?;
    let text = model.load(file).err().ok_or("loaded")?.to_string();
    assert!(text.contains(expected), "{text}");
    assert!(
        text.contains("weights.safetensors") && !text.contains('\n'),
        "{text}"
    );
    assert_eq!(logits(model, 32)?, before);
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_named() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let whole = || -> cass_models::Result<_> { Ok(fresh.params().tensors()?) };
    let mut t = whole()?;
    t.remove("norm.weight");
    refused(&fresh, t, "norm.weight is missing")?;
    let mut t = whole()?;
    t.insert("extra".into(), Tensor::zeros(1, DType::F32, &Device::Cpu)?);
    refused(&fresh, t, "extra is not of vit_tiny_patch16_224")?;
    let mut t = whole()?;
    t.insert(
        "norm.bias".into(),
        Tensor::zeros(7, DType::F32, &Device::Cpu)?,
    );
    refused(&fresh, t, "norm.bias is [7], expected [192]")?;
    let mut t = whole()?;
    t.insert(
        "norm.bias".into(),
        Tensor::full(f32::NAN, 192, &Device::Cpu)?,
    );
    refused(&fresh, t, "norm.bias has values that are not finite")?;
    let t = whole()?
        .into_iter()
        .filter(|(k, _)| !k.contains("norm1"))
        .collect();
    refused(&fresh, t, "and 19 more")
}

/// A small network with running statistics and a classifier of `num_classes`.
fn convolutional(num_classes: usize, dtype: DType) -> cass_models::Result<Model> {
    let options = ModelOptions {
        num_classes,
        dtype,
        ..Default::default()
    };
    let config = ResNetConfig {
        layers: [1, 1, 1, 1],
        ..ResNetConfig::resnet18()
    };
    Model::from_config("small", ModelConfig::ResNet(config), &options)
}

#[test]
fn a_report_counts_parameters_and_running_statistics_apart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.safetensors");
    let large = convolutional(1000, DType::F32)?;
    large.save(&file, &[])?;
    let report = convolutional(4, DType::F32)?.load(folder.path())?;
    assert_eq!(report.new_head, Some(new_head("fc", 1000, 4)));
    let parameters = large.params().trainable();
    assert_eq!(report.tensors, parameters.len() - 2);
    assert_eq!(report.buffers, large.params().buffers().len());
    assert_eq!(
        report.parameters,
        large.params().parameter_count() - 512 * 1000 - 1000
    );
    let bytes = std::fs::read(&file)?;
    let sha256: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(report.sha256, sha256);
    assert_eq!(
        report.to_string(),
        format!(
            "loaded {} tensors (4.9 M parameters, sha256 {}…) and {} running statistics from {}; \
             new head fc (1000 → 4)",
            report.tensors,
            &sha256[..12],
            report.buffers,
            file.display()
        ),
        "a folder is its model.safetensors"
    );
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

/// A head of another class count is one all the same.
#[test]
fn half_a_head_and_crooked_positions_are_named() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let with = |changes: &[(&str, &[usize])]| -> Result<_, Box<dyn Error>> {
        let mut tensors = fresh.params().tensors()?;
        for (name, shape) in changes {
            tensors.insert((*name).into(), zeros(shape)?);
        }
        Ok(tensors)
    };
    let head: [(&[usize], &[usize], &str); 3] = [
        (&[7, 9], &[7], "head.weight is [7, 9], expected [7, 192]"),
        (
            &[5, 192],
            &[7],
            "head.weight is [5, 192], expected [7, 192]",
        ),
        (
            &[7, 192],
            &[5],
            "head.weight is [7, 192], expected [5, 192]",
        ),
    ];
    for (weight, bias, expected) in head {
        refused(
            &fresh,
            with(&[("head.weight", weight), ("head.bias", bias)])?,
            expected,
        )?;
    }
    let mut without = with(&[("head.bias", &[7])])?;
    without.remove("head.weight");
    refused(&fresh, without.clone(), "head.weight is missing")?;
    // None at all is what weights for features alone have.
    without.remove("head.bias");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&without, &file)?;
    let report = model(5, 32, 1)?.load(&file)?;
    assert_eq!(report.new_head, Some(new_head("head", 0, 5)));

    let positions: [&[usize]; 7] = [
        &[1, 6, 192],
        &[1, 1, 192],
        &[2, 10, 192],
        &[1, 10, 7],
        &[5],
        &[1, 5, 192, 1],
        &[],
    ];
    for shape in positions {
        refused(&fresh, with(&[("pos_embed", shape)])?, "pos_embed")?;
    }
    Ok(())
}

#[test]
fn files_that_are_no_weights_are_refused() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    says(&fresh, &file, "No such file")?;
    let with_header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, b'x');
        bytes
    };
    let tensors = |fields: &str| with_header(&format!("{{{fields}}}"), 8);
    let hostile = [
        b"".to_vec(),
        b"not safetensors at all".to_vec(),
        (1u64 << 60).to_le_bytes().to_vec(), // a header of 2^60 bytes
        u64::MAX.to_le_bytes().to_vec(),
        with_header("", 4),
        with_header("\u{0}\u{0}", 4),
        with_header(&"[".repeat(100_000), 4),
        with_header(&"{\"a\":".repeat(100_000), 4),
        // Huge shapes, within and beyond 64 bits.
        tensors(r#""x":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[2305843009213693952],"data_offsets":[0,8]}"#),
        // Overlapping, with a gap, outside, backwards, negative.
        tensors(
            r#""x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
        ),
        tensors(r#""x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}"#),
        tensors(r#""x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}"#),
        tensors(r#""x":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}"#),
        b"PK\x03\x04 and so on".to_vec(),
    ];
    for bytes in hostile {
        std::fs::write(&file, bytes)?;
        says(&fresh, &file, "not safetensors")?;
    }
    fresh.save(&file, &[])?;
    let bytes = std::fs::read(&file)?;
    std::fs::write(&file, &bytes[..bytes.len() - 100])?;
    says(&fresh, &file, "not safetensors")
}

/// Neither is read, whatever it promises.
#[cfg(unix)]
#[test]
fn what_has_no_end_is_not_read() -> Outcome {
    let fresh = model(5, 32, 0)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    // As large as a disk; its holes take no room.
    std::fs::File::create(&file)?.set_len(1 << 40)?;
    says(&fresh, &file, "1099511627776 bytes, expected at most ")?;
    for other in ["/dev/zero", "/dev/null"] {
        std::fs::remove_file(&file)?;
        std::os::unix::fs::symlink(other, &file)?;
        says(&fresh, &file, "not a regular file")?;
    }
    says(
        &fresh,
        &folder.path().join("weights.safetensors.d"),
        "No such file",
    )?;
    std::fs::create_dir(folder.path().join("weights.safetensors.d"))?;
    says(
        &fresh,
        &folder.path().join("weights.safetensors.d"),
        "model.safetensors: No such file",
    )
}
