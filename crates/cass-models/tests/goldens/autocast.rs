//! A small CNN and a small Transformer with products in bf16, against PyTorch's autocast
//! (`fixtures/golden/autocast`).
//!
//! Two passes that round at the same places part where a sum falls on the other side of a tie, and
//! every later rounding carries that on: a whole network is compared with its rounding error, the
//! distance of PyTorch's bf16 from its f32.

use crate::{golden, model};
use candle_core::{DType, Result};
use cass_models::Mode;
use cass_ops::compose;
use cass_ops::scope::autocast;
use cass_testing::{Tensors, relative_error as error};

/// Logits, gradients and running statistics of one step, by their names in the golden files.
fn step(folder: &str, golden: &Tensors, low: bool) -> Result<Tensors> {
    let model = model(folder, golden, DType::F32)?;
    let output = autocast(low, || model.forward(&golden["input"], Mode::Train));
    let logits = output.map_err(candle_core::Error::wrap)?.logits;
    let mut found = Tensors::from([("train_logits".to_string(), logits.value().clone())]);
    let grads = compose(&[&logits], |t| (&t[0] * &golden["probe"])?.mean_all())?.backward()?;
    for (key, var) in model.params().trainable() {
        let grad = grads.get(&var).unwrap_or_else(|| panic!("no {key}"));
        found.insert(format!("grad.{key}"), grad.clone());
        assert_eq!(var.dtype(), DType::F32);
    }
    for (key, var) in model.params().buffers() {
        found.insert(format!("buffer.{key}"), var.as_detached_tensor());
    }
    Ok(found)
}

fn equals_torch(folder: &str) -> Result<()> {
    let (golden, torch) = (
        golden(folder, "golden")?,
        crate::golden("autocast", folder)?,
    );
    let (low, full) = (step(folder, &golden, true)?, step(folder, &golden, false)?);
    let mut away = 0;
    for (name, want) in torch.iter().filter(|(name, _)| !name.starts_with("plain.")) {
        let (found, plain) = (&low[name], &torch[&format!("plain.{name}")]);
        assert_eq!(found.dtype(), DType::F32, "{name}");
        let rounding = error(want, &golden[name])?;
        let off = error(found, want)?;
        assert!(
            off <= 0.1 * rounding + 1e-6,
            "{name}: {off:.1e} of {rounding:.1e}"
        );
        // Rounded at more places, and at the bias.
        let off = error(found, plain)?;
        assert!(
            off <= 2.0 * rounding + 0.004,
            "{name}: {off:.1e} of {rounding:.1e}"
        );
        away += usize::from(error(&full[name], want)? > 1e-3);
    }
    assert!(
        away * 2 > low.len(),
        "{away} of {} differ from f32",
        low.len()
    );
    Ok(())
}

#[test]
fn a_cnn_in_bf16_equals_torchs_autocast() -> Result<()> {
    equals_torch("resnet_small")
}

#[test]
fn a_transformer_in_bf16_equals_torchs_autocast() -> Result<()> {
    equals_torch("vit_small_golden")
}
