//! Other projects' names for the same networks.

use candle_core::{DType, Result, Tensor};
use std::collections::HashMap;

type Tensors = HashMap<String, Tensor>;

/// Names of a project, and how they become timm's.
pub(crate) struct Layout {
    /// For people.
    pub(crate) name: &'static str,
    /// Ends of keys, one of which tells the layout, and what stands before it is a prefix.
    marks: &'static [&'static str],
    rename: fn(&str) -> Option<String>,
    /// What names alone do not do.
    finish: fn(Tensors, &[String]) -> Result<Tensors>,
}

/// What is not timm's own.
pub(crate) const LAYOUTS: [Layout; 4] = [
    Layout {
        name: "Hugging Face's names of a Vision Transformer",
        marks: &["embeddings.patch_embeddings.projection.weight"],
        rename: transformer,
        finish: |tensors, _| join_qkv(tensors),
    },
    Layout {
        name: "Hugging Face's names of a ResNet",
        marks: &["embedder.embedder.convolution.weight"],
        rename: resnet,
        finish: |tensors, _| Ok(tensors),
    },
    Layout {
        name: "DINOv3's own names",
        marks: &["storage_tokens"],
        rename: dinov3,
        finish: split_biases,
    },
    Layout {
        name: "Hugging Face's names of DINOv3",
        marks: &["layer.0.attention.q_proj.weight"],
        rename: dinov3_transformer,
        finish: |tensors, wanted| split_biases(join_qkv(tensors)?, wanted),
    },
];

impl Layout {
    /// What stands before the layout's names in these keys; nothing where they are none of it.
    pub(crate) fn prefix<'a>(&self, mut keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        keys.find_map(|key| self.marks.iter().find_map(|mark| key.strip_suffix(mark)))
    }

    /// The tensors under timm's names, of which a network has those that are `wanted`. What the layout does not know
    /// keeps its own.
    ///
    /// # Errors
    /// If queries, keys and values do not stand on each other.
    pub(crate) fn convert(
        &self,
        tensors: Tensors,
        prefix: &str,
        wanted: &[String],
    ) -> Result<Tensors> {
        let mut converted = Tensors::new();
        for (key, tensor) in tensors {
            // A classifier stands outside of what has the prefix.
            let inner = key.strip_prefix(prefix).unwrap_or(&key);
            let renamed = (self.rename)(inner);
            converted.insert(renamed.unwrap_or_else(|| key.clone()), tensor);
        }
        (self.finish)(converted, wanted)
    }
}

/// `transformers`' ViT, DINOv2, and DINOv2 with registers.
fn transformer(key: &str) -> Option<String> {
    if let Some(rest) = key.strip_prefix("embeddings.") {
        let name = match rest {
            "position_embeddings" => "pos_embed",
            "register_tokens" => "reg_token",
            "cls_token" | "mask_token" => rest,
            _ => {
                let of = rest.strip_prefix("patch_embeddings.projection.")?;
                return Some(format!("patch_embed.proj.{of}"));
            }
        };
        return Some(name.into());
    }
    if let Some(rest) = key.strip_prefix("layernorm.") {
        return Some(format!("norm.{rest}"));
    }
    if let Some(rest) = key.strip_prefix("classifier.") {
        return Some(format!("head.{rest}"));
    }
    let rest = key.strip_prefix("encoder.layer.")?;
    let (number, rest) = rest.split_once('.')?;
    const PARTS: [(&str, &str); 14] = [
        ("attention.attention.query.", "attn.q."),
        ("attention.attention.key.", "attn.k."),
        ("attention.attention.value.", "attn.v."),
        ("attention.output.dense.", "attn.proj."),
        ("layernorm_before.", "norm1."),
        ("layernorm_after.", "norm2."),
        ("norm1.", "norm1."),
        ("norm2.", "norm2."),
        ("intermediate.dense.", "mlp.fc1."),
        ("output.dense.", "mlp.fc2."),
        ("mlp.fc1.", "mlp.fc1."),
        ("mlp.fc2.", "mlp.fc2."),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
    ];
    PARTS.iter().find_map(|(theirs, ours)| {
        let value = rest.strip_prefix(theirs)?;
        Some(format!("blocks.{number}.{ours}{value}"))
    })
}

/// DINOv3 as its authors publish it.
fn dinov3(key: &str) -> Option<String> {
    if key == "storage_tokens" {
        return Some("reg_token".into());
    }
    let block = |theirs: &str, ours: &str| {
        let inner = key.strip_prefix("blocks.")?.strip_suffix(theirs)?;
        Some(format!("blocks.{inner}{ours}"))
    };
    block("ls1.gamma", "gamma_1").or_else(|| block("ls2.gamma", "gamma_2"))
}

/// `transformers`' DINOv3.
fn dinov3_transformer(key: &str) -> Option<String> {
    if let Some(rest) = key.strip_prefix("embeddings.") {
        let of = |rest| format!("patch_embed.proj.{rest}");
        return match rest {
            "register_tokens" => Some("reg_token".into()),
            "cls_token" | "mask_token" => Some(rest.into()),
            _ => rest.strip_prefix("patch_embeddings.").map(of),
        };
    }
    let (number, rest) = key.strip_prefix("layer.")?.split_once('.')?;
    const PARTS: [(&str, &str); 11] = [
        ("attention.q_proj.bias", "attn.q_bias"),
        ("attention.v_proj.bias", "attn.v_bias"),
        ("attention.q_proj.", "attn.q."),
        ("attention.k_proj.", "attn.k."),
        ("attention.v_proj.", "attn.v."),
        ("attention.o_proj.", "attn.proj."),
        ("mlp.up_proj.", "mlp.fc1."),
        ("mlp.down_proj.", "mlp.fc2."),
        ("layer_scale1.lambda1", "gamma_1"),
        ("layer_scale2.lambda1", "gamma_2"),
        ("norm", "norm"),
    ];
    PARTS.iter().find_map(|(theirs, ours)| {
        let value = rest.strip_prefix(theirs)?;
        Some(format!("blocks.{number}.{ours}{value}"))
    })
}

/// `transformers`' ResNet.
fn resnet(key: &str) -> Option<String> {
    if let Some(rest) = key.strip_prefix("classifier.1.") {
        return Some(format!("fc.{rest}"));
    }
    let part = |rest: &str, conv: &str, norm: &str| {
        let of = |prefix: &str, to: &str| Some(format!("{to}.{}", rest.strip_prefix(prefix)?));
        of("convolution.", conv).or_else(|| of("normalization.", norm))
    };
    if let Some(rest) = key.strip_prefix("embedder.embedder.") {
        return part(rest, "conv1", "bn1");
    }
    let rest = key.strip_prefix("encoder.stages.")?;
    let (stage, rest) = rest.split_once(".layers.")?;
    let (block, rest) = rest.split_once('.')?;
    let block = format!("layer{}.{block}", stage.parse::<usize>().ok()? + 1);
    let inner = if let Some(rest) = rest.strip_prefix("shortcut.") {
        part(rest, "downsample.0", "downsample.1")?
    } else {
        let (number, rest) = rest.strip_prefix("layer.")?.split_once('.')?;
        let number = number.parse::<usize>().ok()? + 1;
        part(rest, &format!("conv{number}"), &format!("bn{number}"))?
    };
    Some(format!("{block}.{inner}"))
}

/// Queries, keys and values to one tensor each, as timm has them.
fn join_qkv(mut tensors: Tensors) -> Result<Tensors> {
    let queries: Vec<String> = tensors
        .keys()
        .filter(|key| key.contains(".attn.q."))
        .cloned()
        .collect();
    for query in queries {
        let of = |part: &str| query.replacen(".attn.q.", &format!(".attn.{part}."), 1);
        let parts = [query.clone(), of("k"), of("v")];
        let found: Vec<&Tensor> = parts.iter().filter_map(|key| tensors.get(key)).collect();
        if found.len() == parts.len() {
            let joined = Tensor::cat(&found, 0)?;
            parts.iter().for_each(|key| drop(tensors.remove(key)));
            tensors.insert(of("qkv"), joined);
        }
    }
    Ok(tensors)
}

/// The biases of queries and values apart, as timm has them; that of keys is 0 and has no name. Biases that are all 0,
/// as most of DINOv3's networks have them, change nothing and are left away where a network has none.
fn split_biases(mut tensors: Tensors, wanted: &[String]) -> Result<Tensors> {
    tensors.retain(|key, _| !key.ends_with(".attn.qkv.bias_mask"));
    let joined: Vec<String> = tensors
        .keys()
        .filter(|key| key.ends_with(".attn.qkv.bias"))
        .cloned()
        .collect();
    for key in joined {
        let Some(bias) = tensors.remove(&key) else {
            continue;
        };
        let width = bias.dims1()? / 3;
        let block = key.trim_end_matches("qkv.bias");
        for (place, name) in [(0, "q_bias"), (2, "v_bias")] {
            let part = bias.narrow(0, place * width, width)?.contiguous()?;
            tensors.insert(format!("{block}{name}"), part);
        }
    }
    let is_bias = |key: &str| key.ends_with(".attn.q_bias") || key.ends_with(".attn.v_bias");
    let mut all_zero = true;
    for (_, bias) in tensors.iter().filter(|(key, _)| is_bias(key)) {
        let values = bias.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        all_zero &= values.iter().all(|v| *v == 0.0);
    }
    if all_zero {
        tensors.retain(|key, _| !is_bias(key) || wanted.contains(key));
    }
    Ok(tensors)
}

/// DINOv2's own names of a network with registers: its class token has a position, timm's has it added.
///
/// # Errors
/// If the positions are none.
pub(crate) fn registers(tensors: &mut Tensors) -> Result<()> {
    if let Some(registers) = tensors.remove("register_tokens") {
        tensors.insert("reg_token".into(), registers);
    }
    let (Some(token), Some(positions)) = (tensors.get("cls_token"), tensors.get("pos_embed"))
    else {
        return Ok(());
    };
    let (_, count, _) = positions.dims3()?;
    // timm's own are a square of patches, without the class token.
    if count.isqrt().pow(2) == count || (count - 1).isqrt().pow(2) != count - 1 {
        return Ok(());
    }
    let token = (token + positions.narrow(1, 0, 1)?)?;
    let positions = positions.narrow(1, 1, count - 1)?.contiguous()?;
    tensors.insert("cls_token".into(), token);
    tensors.insert("pos_embed".into(), positions);
    Ok(())
}
