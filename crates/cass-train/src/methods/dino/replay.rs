//! Short runs of vit-pytorch's `Dino`.

use super::config::DinoConfig;
use super::step::DinoStep;
use crate::error::Result;
use crate::methods::{MethodConfig, Projector};
use crate::step::StepOptions;
use crate::trajectory::{Deviation, Recorded, Replay, compare, network, of_network, steps};
use candle_core::Var;
use std::path::Path;

/// Replays a student, its projector, their teacher and the centres.
pub(super) fn replay(
    settings: &DinoConfig,
    replay: &Replay,
    folder: &Path,
    recorded: &Recorded,
) -> Result<Deviation> {
    let size = recorded.get("local1.0")?.dims4()?.3;
    let student = network(&folder.join("net.safetensors"), size, &replay.device)?;
    let weights = Recorded::open(&folder.join("projector.safetensors"), &replay.device)?;
    let centers = recorded.get("centers")?;
    let config = DinoConfig {
        projection_hidden_size: weights.get("net.0.weight")?.dims2()?.0,
        projection_layers: weights.count(".weight"),
        num_classes_k: centers.elem_count(),
        ..settings.clone()
    };
    let projector = Projector::new(
        &config.projector(student.feature_dim()),
        0,
        0,
        &replay.device,
    )?;
    let projector = projector.to_dtype(student.options().dtype)?;
    projector.load(&weights.tensors)?;
    let mut arm = config.preset(replay.protocol).arms["net"].clone();
    arm.optimizer.set_lr(replay.lr);
    let options = StepOptions::default();
    let mut step = DinoStep::new("net", student, projector, &arm, &config, &options)?;
    // What vit-pytorch's teacher remembers of its mock batch, where it was recorded.
    let mut known = true;
    for (name, var) in step.teacher().0.params().buffers() {
        match recorded.tensors.get(&format!("teacher0.{name}")) {
            Some(value) if value.dims() == var.dims() => var.set(&value.to_dtype(var.dtype())?)?,
            _ => known = false,
        }
    }
    let views = ["local1", "local2", "global1", "global2"];
    let mut found = steps(recorded, &mut step, &views, |_, _| Ok(()))?;
    let (student, projector) = step.student();
    let (teacher, teacher_projector) = step.teacher();
    for (who, model, projector, known) in [
        ("student", student, projector, true),
        ("teacher", teacher, teacher_projector, known),
    ] {
        found
            .tensors
            .extend(of_network(recorded, who, model, known)?);
        let kind = (format!("{who} projector"), format!("{who}.projector."));
        found
            .tensors
            .extend(compare(recorded, kind, projector.trainable(), true)?);
    }
    let ours = Var::from_tensor(&step.centers().reshape(centers.shape())?)?;
    let kind = ("centers".to_string(), String::new());
    found.tensors.extend(compare(
        recorded,
        kind,
        vec![("centers".into(), ours)],
        true,
    )?);
    Ok(found)
}
