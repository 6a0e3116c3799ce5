//! Blocks computed again in the backward pass, against blocks that kept what it needs.

use crate::{golden, model};
use candle_core::{DType, Result, Tensor};
use cass_models::{Mode, Model};

/// Logits, every parameter's gradient and every buffer after one step in training mode.
fn step(model: &Model, x: &Tensor) -> Result<Vec<(String, Vec<f32>)>> {
    let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
    let output = model
        .forward(x, Mode::Train)
        .map_err(candle_core::Error::wrap)?;
    let mut found = vec![("logits".to_string(), flat(output.logits.value())?)];
    let dy = (output.logits.value() * 0.5)?;
    let grads = output.logits.backward_from(&dy)?;
    for (name, var) in model.params().trainable() {
        let grad = grads.get(&var);
        let grad = grad.ok_or_else(|| candle_core::Error::msg(format!("{name}: no gradient")))?;
        found.push((format!("d{name}"), flat(grad)?));
    }
    for (name, var) in model.params().all() {
        found.push((name, flat(&var)?));
    }
    Ok(found)
}

#[test]
fn changes_no_bit_of_results_gradients_and_statistics() -> Result<()> {
    for folder in [
        "resnet_small",
        "resnet_d_small",
        "densenet_small",
        "vit_small_golden",
        "deit_distilled_small",
        "swin_small",
    ] {
        let golden = golden(folder, "golden")?;
        let x = golden["input"].to_dtype(DType::F32)?;
        let kept = step(&model(folder, &golden, DType::F32)?, &x)?;
        let mut again = model(folder, &golden, DType::F32)?;
        again.set_recompute(true);
        for ((name, kept), (_, again)) in kept.iter().zip(step(&again, &x)?) {
            assert_eq!(*kept, again, "{folder}: {name}");
        }
    }
    Ok(())
}
