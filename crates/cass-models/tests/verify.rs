//! `verify` notices one flipped bit in any kind of tensor of the reference, and tells what is no
//! mistake.

use candle_core::{DType, Device, Tensor, safetensors};
use cass_models::verify::{LikelyCause, Verification, verify};
use cass_models::{Mode, Model, ModelOptions};
use cass_ops::compose;
use cass_rng::Rng;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

type Tensors = HashMap<String, Tensor>;
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const RTOL: f64 = 1e-4;
/// The highest of an f32's exponent: a value below 2 becomes one above 10³⁸, or infinite.
const BIT: u32 = 1 << 30;

fn normal(name: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
    let mut rng = Rng::new(0, name, [0, 0], 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// The weights of a small fresh network in a file, and its reference.
fn saved(name: &str, folder: &Path) -> Outcome<(PathBuf, Tensors)> {
    let weights = folder.join("weights.safetensors");
    let options = ModelOptions {
        num_classes: 3,
        input_size: 32,
        ..Default::default()
    };
    let model = Model::new(name, &options)?;
    model.save(&weights, &[])?;
    Ok((weights, reference(&model)?))
}

/// A reference in the form that timm's values are kept in, but of our own values.
fn reference(model: &Model) -> Outcome<Tensors> {
    let (size, classes) = (model.options().input_size, model.num_classes());
    let (input, probe) = (
        normal("input", &[2, 3, size, size])?,
        normal("probe", &[2, classes])?,
    );
    let eval = model.forward(&input, Mode::Eval)?;
    let train = model.forward(&input, Mode::Train)?;
    let grads = compose(&[&train.logits], |t| (&t[0] * &probe)?.mean_all())?.backward()?;
    let mut tensors = HashMap::from([
        ("input".to_string(), input),
        ("probe".into(), probe),
        ("logits".into(), eval.logits.into_value()),
        ("features".into(), eval.features.into_value()),
        ("train_logits".into(), train.logits.into_value()),
    ]);
    for (key, var) in model.params().trainable() {
        let grad = grads.get(&var).ok_or("no gradient")?;
        tensors.insert(format!("grad.{key}"), grad.clone());
    }
    for (key, var) in model.params().buffers() {
        if var.dtype() == DType::F32 {
            tensors.insert(format!("buffer.{key}"), var.as_tensor().copy()?);
        }
    }
    Ok(tensors)
}

fn flipped(tensor: &Tensor) -> candle_core::Result<Tensor> {
    let mut values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let middle = values.len() / 2;
    values[middle] = f32::from_bits(values[middle].to_bits() ^ BIT);
    Tensor::from_vec(values, tensor.dims(), &Device::Cpu)
}

fn judged(name: &str, weights: &Path, tensors: &Tensors) -> Outcome<Verification> {
    let file = weights.with_file_name("reference.safetensors");
    safetensors::save(tensors, &file)?;
    Ok(verify(name, weights, &file, &candle_core::Device::Cpu)?)
}

/// What a program does that is not wrong, and what only a mistake does.
#[test]
fn a_likely_cause_is_told_where_the_errors_point_to_one() -> Outcome {
    for (name, off, cause) in [
        (
            "resnet18",
            &["grad.conv1.weight"][..],
            Some(LikelyCause::ReluRounding),
        ),
        (
            "resnet18",
            &["grad.conv1.weight", "buffer.bn1.running_mean"],
            None,
        ),
        ("resnet18", &["train_logits"], None),
        (
            "vit_tiny_patch16_224",
            &["train_logits", "grad.pos_embed"],
            Some(LikelyCause::DropRates),
        ),
        ("vit_tiny_patch16_224", &["logits"], None),
        ("vit_tiny_patch16_224", &["grad.pos_embed"], None),
    ] {
        let folder = tempfile::tempdir()?;
        let (weights, mut damaged) = saved(name, folder.path())?;
        for &key in off {
            damaged.insert(key.into(), (&damaged[key] * 1.01)?);
        }
        let found = judged(name, &weights, &damaged)?;
        assert_eq!(found.likely_cause(RTOL), cause, "{name}: {off:?}");
    }
    Ok(())
}

#[test]
fn a_flipped_bit_of_the_reference_fails() -> Outcome {
    for (name, flip) in [
        (
            "resnet18",
            &[
                "input",
                "probe",
                "logits",
                "features",
                "train_logits",
                "grad.conv1.weight",
                "grad.layer4.1.bn2.bias",
                "buffer.bn1.running_mean",
                "buffer.layer4.1.bn2.running_var",
            ][..],
        ),
        (
            "vit_tiny_patch16_224",
            &[
                "logits",
                "train_logits",
                "grad.pos_embed",
                "grad.head.weight",
            ],
        ),
    ] {
        let folder = tempfile::tempdir()?;
        let (weights, whole) = saved(name, folder.path())?;
        assert!(judged(name, &weights, &whole)?.passed(RTOL), "{name}");
        for &key in flip {
            let mut damaged = whole.clone();
            damaged.insert(key.into(), flipped(&whole[key])?);
            let found = judged(name, &weights, &damaged)?;
            assert!(!found.passed(RTOL), "{name}: {key}: {found:?}");
            if let Some(key) = key.strip_prefix("grad.") {
                assert_eq!(found.worst_gradient.map(|t| t.name).as_deref(), Some(key));
            } else if let Some(key) = key.strip_prefix("buffer.") {
                assert_eq!(found.worst_buffer.map(|t| t.name).as_deref(), Some(key));
            }
        }
    }
    Ok(())
}
