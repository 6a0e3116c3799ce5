//! Files whose keys are not timm's: behind a prefix, of `transformers`, of DINOv3.

use super::{Outcome, logits, model, says};
use candle_core::{DType, Device, Tensor};
use cass_models::{Mode, Model, ModelOptions};
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

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
            let features = model.features(&x, Mode::Eval)?.into_value();
            Ok(features.flatten_all()?.to_vec1()?)
        };
        let off = features(&fresh)?.into_iter().zip(features(&source)?);
        assert!(off.into_iter().all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
    Ok(())
}
