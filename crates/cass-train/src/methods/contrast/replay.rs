//! Short runs of a contrast by PyTorch.

use super::config::ContrastConfig;
use super::step::ContrastStep;
use crate::error::Result;
use crate::methods::MethodConfig;
use crate::optim::{AdamConfig, OptimizerConfig};
use crate::settings::Arm;
use crate::step::state::under;
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay, compare, network, of_network, steps};
use candle_core::{DType, Var};
use cass_models::Model;
use std::path::Path;

/// Replays two networks, their projectors and queues.
pub(super) fn replay(replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
    let size = recorded.get("view1.0")?.dims4()?.3;
    let lr = recorded.get("lr")?.to_vec1::<f64>()?;
    let lr = lr.first().copied().unwrap_or(replay.lr);
    let open = |arm: &str| {
        let file = folder.join(format!("{arm}.heads.safetensors"));
        Recorded::open(&file, &replay.device)
    };
    let weights = [open("cnn")?, open("vit")?];
    let projector = under(&weights[0].tensors, "projector.");
    let layers = projector.values().filter(|t| t.rank() == 2).count();
    let number =
        |name: &str| -> Result<f64> { Ok(recorded.get(name)?.to_dtype(DType::F64)?.to_scalar()?) };
    let (kept, outputs) = recorded.get("cnn.queue")?.dims2()?;
    let config = ContrastConfig {
        temperature: number("temperature")?,
        within: number("within")?,
        across: number("across")?,
        projection_layers: layers,
        projection_hidden_size: weights[0].get("projector.net.0.weight")?.dim(0)?,
        projection_size: outputs,
        projection_lr: lr,
        queue: kept,
        anchor: number("anchor")?,
        distil: number("distil")?,
    };
    let preset = config.preset(replay.protocol);
    let arm = |name: &str| -> Result<(Model, Arm)> {
        let mut arm = preset.arms[name].clone();
        // What was recorded moves BatchNorm's statistics.
        config.for_random(name, &mut arm);
        arm.optimizer = OptimizerConfig::Adam(AdamConfig {
            lr,
            eps: number("eps")?,
            ..AdamConfig::default()
        });
        let file = folder.join(format!("{name}.safetensors"));
        Ok((network(&file, size, &replay.device)?, arm))
    };
    let ((cnn, cnn_arm), (vit, vit_arm)) = (arm("cnn")?, arm("vit")?);
    let arms = [("cnn", cnn, &cnn_arm), ("vit", vit, &vit_arm)];
    let mut step = ContrastStep::new(arms, &config, &StepOptions::default())?;
    for (heads, weights) in step.heads().into_iter().zip(&weights) {
        for (name, head) in heads {
            head.load(&under(&weights.tensors, &format!("{name}.")))?;
        }
    }
    let mut found = steps(recorded, &mut step, &["view1", "view2"], |_, _| Ok(()))?;
    let tops = step.heads().into_iter().zip(step.queues());
    for ((arm, model), (heads, queue)) in step.arms().into_iter().zip(tops) {
        let networks = of_network(recorded, arm, model, true)?;
        found.tensors.extend(networks);
        for (name, head) in heads {
            let kind = (format!("{arm} {name}"), format!("{arm}.{name}."));
            let head = compare(recorded, kind, head.trainable(), true)?;
            found.tensors.extend(head);
        }
        if let Some(queue) = queue {
            let queue = vec![("queue".to_string(), Var::from_tensor(queue)?)];
            let kind = (format!("{arm} queue"), format!("{arm}."));
            found.tensors.extend(compare(recorded, kind, queue, true)?);
        }
    }
    Ok(found)
}
