//! Files of weights: round trip, other heads and sizes, and everything that can be wrong with one.

use candle_core::{DType, Device, Tensor};
use cass_models::family::{ModelConfig, ResNetConfig, SwinConfig};
use cass_models::weights::NewHead;
use cass_models::{Mode, Model, ModelOptions};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

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
    t.insert(
        "blocks.12.x".into(),
        Tensor::zeros(1, DType::F32, &Device::Cpu)?,
    );
    refused(&fresh, t, "blocks.12.x is not of vit_tiny_patch16_224")?;
    let mut t = whole()?;
    t.insert(
        "blocks.0.ls1.gamma".into(),
        Tensor::zeros(1, DType::F32, &Device::Cpu)?,
    );
    refused(&fresh, t, "; vit_tiny_patch16_224,init_values=1e-5 has it")?;
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

/// The prefix that explains all keys is found, what is of something else left out, and both are said.
#[test]
fn keys_behind_a_prefix_are_found_and_others_left_out_by_name() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let source = model(5, 32, 7)?;
    let zeros = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
    for prefix in ["module.", "backbone.", "visual.trunk.", "model.encoder."] {
        let tensors = source.params().tensors()?.into_iter();
        let mut tensors: HashMap<_, _> = tensors
            .map(|(name, value)| (format!("{prefix}{name}"), value))
            .collect();
        for other in ["mask_token", "decoder.0.weight", "decoder.0.bias"] {
            tensors.insert(other.into(), zeros.clone());
            tensors.insert(format!("{prefix}{other}"), zeros.clone());
        }
        candle_core::safetensors::save(&tensors, &file)?;
        let fresh = model(5, 32, 0)?;
        let report = fresh.load(&file)?;
        assert_eq!(logits(&fresh, 32)?, logits(&source, 32)?);
        assert_eq!((report.prefix.as_str(), report.left_out.len()), (prefix, 6));
        let text = report.to_string();
        assert!(
            text.contains(&format!("; keys under {prefix}; left out decoder (")),
            "{text}"
        );
        assert!(
            text.contains("mask_token") && !text.contains('\n'),
            "{text}"
        );
    }
    // Two networks in one file: the reader has to choose.
    let mut both = HashMap::new();
    for (prefix, seed) in [("teacher.", 1), ("student.", 2)] {
        for (name, value) in model(5, 32, seed)?.params().tensors()? {
            both.insert(format!("{prefix}{name}"), value);
        }
    }
    candle_core::safetensors::save(&both, &file)?;
    let fresh = model(5, 32, 0)?;
    says(
        &fresh,
        &file,
        "under student. and teacher.: choose one by FILE#prefix=TEXT",
    )?;
    let chosen = |options: &str| format!("{}#{options}", file.display());
    fresh.load(Path::new(&chosen("prefix=teacher.")))?;
    assert_eq!(logits(&fresh, 32)?, logits(&model(5, 32, 1)?, 32)?);
    for (options, expected) in [
        (
            "prefix=ema.",
            "no key begins with \"ema.\": it has student.blocks.0.",
        ),
        (
            "prefix",
            "#prefix: expected #prefix=TEXT or #missing=new behind the file",
        ),
    ] {
        says(&fresh, Path::new(&chosen(options)), expected)?;
    }
    // What is missing is new where that is asked for, and the report says so.
    let mut some = source.params().tensors()?;
    some.retain(|name, _| !name.starts_with("norm."));
    candle_core::safetensors::save(&some, &file)?;
    says(
        &fresh,
        &file,
        "norm.weight is missing, norm.bias is missing",
    )?;
    let report = fresh.load(Path::new(&chosen("missing=new")))?;
    assert_eq!(report.new, ["norm.weight", "norm.bias"]);
    assert!(
        report
            .to_string()
            .ends_with("; new, as the file lacks it: norm (2)"),
        "{report}"
    );
    Ok(())
}

/// As `transformers` saves a `ViTForImageClassification`, and a `Dinov2Model` with registers.
#[test]
fn the_names_of_transformers_are_taken() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    for (name, plain) in [
        ("vit_tiny_patch16_224,depth=2", true),
        (
            "vit_tiny_patch16_224,depth=2,init_values=0.1,reg_tokens=4,no_embed_class=true",
            false,
        ),
    ] {
        let build = |seed| {
            let options = ModelOptions {
                num_classes: 5,
                input_size: 32,
                seed,
                ..Default::default()
            };
            Model::new(name, &options)
        };
        let source = build(3)?;
        let mut theirs = HashMap::new();
        for (key, value) in source.params().tensors()? {
            let block = key
                .strip_prefix("blocks.")
                .and_then(|rest| rest.split_once('.'));
            let renamed = match (block, key.as_str()) {
                (Some((n, rest)), _) => {
                    let rest = rest.replace("attn.proj", "attention.output.dense");
                    let rest = rest.replace("ls1.gamma", "layer_scale1.lambda1");
                    let mut rest = rest.replace("ls2.gamma", "layer_scale2.lambda1");
                    if plain {
                        for (ours, theirs) in [
                            ("norm1", "layernorm_before"),
                            ("norm2", "layernorm_after"),
                            ("mlp.fc1", "intermediate.dense"),
                            ("mlp.fc2", "output.dense"),
                        ] {
                            rest = rest.replace(ours, theirs);
                        }
                    }
                    if let Some(of) = rest.strip_prefix("attn.qkv.") {
                        for (i, part) in ["query", "key", "value"].into_iter().enumerate() {
                            let value = value.narrow(0, i * 192, 192)?.contiguous()?;
                            let layer = format!("encoder.layer.{n}.attention.attention");
                            theirs.insert(format!("{layer}.{part}.{of}"), value);
                        }
                        continue;
                    }
                    format!("encoder.layer.{n}.{rest}")
                }
                (_, "cls_token") => "embeddings.cls_token".into(),
                (_, "reg_token") => "embeddings.register_tokens".into(),
                (_, "pos_embed") => "embeddings.position_embeddings".into(),
                (_, key) => {
                    let key =
                        key.replace("patch_embed.proj", "embeddings.patch_embeddings.projection");
                    let key = key.replace("norm.", "layernorm.");
                    key.replace("head.", "classifier.")
                }
            };
            theirs.insert(renamed, value);
        }
        if !plain {
            // The class token has a position there.
            let token = theirs["embeddings.cls_token"].clone();
            let position = (&token * 0.25)?;
            let positions = [&position, &theirs["embeddings.position_embeddings"]];
            let positions = Tensor::cat(&positions, 1)?;
            theirs.insert("embeddings.position_embeddings".into(), positions);
            theirs.insert("embeddings.cls_token".into(), (&token * 0.75)?);
        }
        let theirs: HashMap<_, _> = theirs
            .into_iter()
            .map(|(key, value)| match key.strip_prefix("classifier.") {
                Some(_) => (key, value),
                None => (format!("vit.{key}"), value),
            })
            .collect();
        candle_core::safetensors::save(&theirs, &file)?;
        let fresh = build(0)?;
        let report = fresh.load(&file)?;
        assert!(
            report
                .to_string()
                .contains("; Hugging Face's names of a Vision"),
            "{report}"
        );
        assert_eq!((report.new_head, report.left_out.len()), (None, 0));
        let off = logits(&fresh, 32)?.into_iter().zip(logits(&source, 32)?);
        assert!(off.into_iter().all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
    Ok(())
}

/// As DINOv3's authors and as `transformers` save it; all networks but one have biases of 0.
#[test]
fn the_names_of_dinov3_are_taken() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let build = |name: &str, seed| {
        let options = ModelOptions {
            num_classes: 5,
            input_size: 32,
            seed,
            ..Default::default()
        };
        Model::new(
            &format!("{name},depth=2,embed_dim=24,num_heads=3"),
            &options,
        )
    };
    let (bare, biased) = ("vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb");
    for (name, bias, transformers) in [
        (bare, 0.0, false),
        (bare, 0.0, true),
        (biased, 0.5, false),
        (biased, 0.5, true),
        (biased, 0.0, false),
    ] {
        let source = build(name, 3)?;
        for (key, var) in source.params().trainable() {
            if key.ends_with("q_bias") || key.ends_with("v_bias") {
                var.set(&(var.ones_like()? * bias)?)?;
            }
        }
        let mut theirs = HashMap::new();
        for (key, value) in source.params().tensors()? {
            let (block, rest) = match key.strip_prefix("blocks.") {
                Some(inner) => inner.split_once('.').unwrap_or((inner, "")),
                None => ("", key.as_str()),
            };
            let third = |i: usize| value.narrow(0, i * 24, 24)?.contiguous();
            let renamed = match (rest, transformers) {
                ("attn.q_bias" | "attn.v_bias" | "head.weight" | "head.bias", _) => continue,
                ("gamma_1", false) => format!("blocks.{block}.ls1.gamma"),
                ("gamma_2", false) => format!("blocks.{block}.ls2.gamma"),
                ("reg_token", false) => "storage_tokens".into(),
                (_, false) => key.clone(),
                ("gamma_1", true) => format!("layer.{block}.layer_scale1.lambda1"),
                ("gamma_2", true) => format!("layer.{block}.layer_scale2.lambda1"),
                ("cls_token", true) => "embeddings.cls_token".into(),
                ("reg_token", true) => "embeddings.register_tokens".into(),
                ("attn.qkv.weight", true) => {
                    for (i, part) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
                        theirs.insert(format!("layer.{block}.attention.{part}.weight"), third(i)?);
                    }
                    continue;
                }
                (rest, true) if block.is_empty() => {
                    rest.replace("patch_embed.proj", "embeddings.patch_embeddings")
                }
                (rest, true) => {
                    let rest = rest.replace("attn.proj", "attention.o_proj");
                    let rest = rest.replace("mlp.fc1", "mlp.up_proj");
                    format!("layer.{block}.{}", rest.replace("mlp.fc2", "mlp.down_proj"))
                }
            };
            theirs.insert(renamed, value);
        }
        let vector = |n: usize, value: f64| -> candle_core::Result<Tensor> {
            Tensor::zeros(n, DType::F32, &Device::Cpu)? + value
        };
        for block in 0..2 {
            if transformers {
                for part in ["q_proj", "v_proj"] {
                    let key = format!("layer.{block}.attention.{part}.bias");
                    theirs.insert(key, vector(24, bias)?);
                }
            } else {
                let parts = [vector(24, bias)?, vector(24, 0.0)?, vector(24, bias)?];
                let key = format!("blocks.{block}.attn.qkv.bias");
                theirs.insert(key.clone(), Tensor::cat(&parts, 0)?);
                theirs.insert(format!("{key}_mask"), vector(72, 1.0)?);
            }
        }
        let (mask, rope) = match transformers {
            true => ("embeddings.mask_token", "rope_embeddings.inv_freq"),
            false => ("mask_token", "rope_embed.periods"),
        };
        theirs.insert(mask.into(), vector(24, 0.5)?.reshape((1, 1, 24))?);
        theirs.insert(rope.into(), vector(4, 1.0)?);
        candle_core::safetensors::save(&theirs, &file)?;
        let fresh = build(name, 0)?;
        let report = fresh.load(&file)?;
        assert!(report.to_string().contains("DINOv3"), "{report}");
        assert_eq!(report.left_out.len(), 2, "{report}");
        let features = |model: &Model| -> Result<Vec<f32>, Box<dyn Error>> {
            let x = Tensor::arange(0f32, 3. * 32. * 32., &Device::Cpu)?
                .sin()?
                .reshape((1, 3, 32, 32))?;
            let features = model.features(&x, cass_models::Mode::Eval)?.into_value();
            Ok(features.flatten_all()?.to_vec1()?)
        };
        let off = features(&fresh)?.into_iter().zip(features(&source)?);
        assert!(off.into_iter().all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
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
        "model.safetensors cannot be loaded: No such file",
    )
}
