//! Short runs of CASS by PyTorch.

use super::config::CassConfig;
use super::step::CassStep;
use crate::average::{WeightAverage, update_bn};
use crate::error::Result;
use crate::methods::MethodConfig;
use crate::optim::{OptimizerConfig, SgdConfig};
use crate::settings::Arm;
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay, network, of_network, steps};
use cass_models::Model;
use std::path::Path;

/// Replays two networks that were trained together, and their averages.
pub(super) fn replay(
    config: &CassConfig,
    replay: &Replay,
    folder: &Path,
    recorded: &Recorded,
) -> Result<Deviation> {
    let preset = config.preset(replay.protocol);
    let size = recorded.get("batch.0")?.dims4()?.3;
    let lr = recorded.get("lr")?.to_vec1::<f64>()?;
    let arm = |name: &str| -> Result<(Model, Arm)> {
        let mut arm = preset.arms[name].clone();
        if name == "cnn" && replay.cnn_sgd {
            arm.optimizer = OptimizerConfig::Sgd(SgdConfig::default());
        }
        arm.optimizer
            .set_lr(lr.first().copied().unwrap_or(replay.lr));
        Ok((
            network(
                &folder.join(format!("{name}.safetensors")),
                size,
                &replay.device,
            )?,
            arm,
        ))
    };
    let ((cnn, cnn_arm), (vit, vit_arm)) = (arm("cnn")?, arm("vit")?);
    let averages = [WeightAverage::new(&cnn)?, WeightAverage::new(&vit)?];
    let mut averages = Some(averages).filter(|_| preset.swa.is_some());
    let mut step = CassStep::new(
        [("cnn", cnn, &cnn_arm), ("vit", vit, &vit_arm)],
        config,
        &StepOptions {
            zero_grad: preset.zero_grad,
            ..StepOptions::default()
        },
    )?;
    let mut found = steps(recorded, &mut step, &["batch"], |i, step| {
        if let Some(averages) = averages.as_mut().filter(|_| i >= replay.swa_start) {
            for (average, (_, model)) in averages.iter_mut().zip(step.arms()) {
                average.update(model)?;
            }
        }
        Ok(())
    })?;
    for (arm, model) in step.arms() {
        found
            .tensors
            .extend(of_network(recorded, arm, model, true)?);
    }
    let averages = averages.iter().flatten().zip(["swa.cnn", "swa.vit"]);
    for (average, name) in averages {
        let batches = (0..found.losses.len()).map(|i| recorded.get(&format!("batch.{i}")).cloned());
        update_bn(average.model(), batches)?;
        found
            .tensors
            .extend(of_network(recorded, name, average.model(), true)?);
    }
    Ok(found)
}
