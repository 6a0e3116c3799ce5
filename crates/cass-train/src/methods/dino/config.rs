use super::step::DinoStep;
use super::views;
use crate::error::Result;
use crate::methods::{MethodConfig, Preset, Projector, ProjectorLayer, paper_for_one, with_arms};
use crate::schedule::ScheduleConfig;
use crate::settings::{Arm, Arms, Protocol, at_least, check};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use cass_data::augment::Pipeline;
use cass_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings that only DINO has: the arguments of vit-pytorch's `Dino`, under its names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinoConfig {
    /// Width of the projector's hidden layers.
    pub projection_hidden_size: usize,
    /// Linear layers of the projector, the last one (to K outputs) included.
    pub projection_layers: usize,
    /// Outputs of the projector.
    pub num_classes_k: usize,
    /// Temperature of the student's softmax.
    pub student_temp: f64,
    /// Temperature of the teacher's softmax.
    pub teacher_temp: f64,
    /// How much of the teacher stays at each step.
    pub moving_average_decay: f64,
    /// How much of the centres stays at each step.
    pub center_moving_average_decay: f64,
}

impl Default for DinoConfig {
    fn default() -> Self {
        Self {
            projection_hidden_size: 256,
            projection_layers: 4,
            num_classes_k: 65_336,
            student_temp: 0.9,
            teacher_temp: 0.04,
            moving_average_decay: 0.9,
            center_moving_average_decay: 0.9,
        }
    }
}

impl DinoConfig {
    /// vit-pytorch's `MLP` of `dim` features: linear layers with GELU after each but the last, whose input is
    /// normalised to length 1.
    pub fn projector(&self, dim: usize) -> Vec<ProjectorLayer> {
        let hidden = self.projection_hidden_size;
        let linear = |inputs, outputs| ProjectorLayer::Linear {
            inputs,
            outputs,
            bias: true,
        };
        let before = (1..self.projection_layers).flat_map(|i| {
            let inputs = if i == 1 { dim } else { hidden };
            [linear(inputs, hidden), ProjectorLayer::Gelu]
        });
        let last = [ProjectorLayer::L2Norm, linear(hidden, self.num_classes_k)];
        before.chain(last).collect()
    }
}

impl MethodConfig for DinoConfig {
    fn arms(&self) -> &'static [&'static str] {
        &["net"]
    }

    fn losses(&self) -> Vec<&'static str> {
        vec!["cross-entropy"]
    }

    fn preset(&self, _: Protocol) -> Preset {
        let arm = Arm::with_adam("resnet50.a1_in1k", 3e-4, ScheduleConfig::Constant);
        Preset {
            arms: [("net".into(), arm)].into(),
            pipeline: Pipeline::Dino,
            swa: None,
            zero_grad: true,
        }
    }

    /// The student sees two crops, there and back, its teacher two others.
    fn forwards(&self, frozen: bool) -> f64 {
        2.0 * (if frozen { 1.0 } else { 3.0 }) + 2.0
    }

    fn memory(&self, copies: u128) -> u128 {
        let [hidden, layers, outputs] = [
            self.projection_hidden_size,
            self.projection_layers,
            self.num_classes_k,
        ]
        .map(|number| number as u128);
        // Of student and teacher, f32.
        4 * (copies + 1) * hidden * (hidden * layers.saturating_sub(2) + outputs)
    }

    fn paper_for(&self, arms: &Arms, paper: &mut Arms) {
        paper_for_one(arms, paper);
    }

    fn check(&self) -> Result<()> {
        for (field, value, least) in [
            ("projection_hidden_size", self.projection_hidden_size, 1),
            ("projection_layers", self.projection_layers, 2),
            ("num_classes_k", self.num_classes_k, 2),
        ] {
            at_least(&format!("method.{field}"), value, least)?;
        }
        for (field, value) in [
            ("student_temp", self.student_temp),
            ("teacher_temp", self.teacher_temp),
        ] {
            let fits = value.is_finite() && value > 0.0;
            let field = format!("method.{field}");
            check(&field, value, fits, "a temperature above 0")?;
        }
        for (field, value) in [
            ("moving_average_decay", self.moving_average_decay),
            (
                "center_moving_average_decay",
                self.center_moving_average_decay,
            ),
        ] {
            let fits = (0.0..=1.0).contains(&value);
            check(
                &format!("method.{field}"),
                value,
                fits,
                "a share from 0 to 1",
            )?;
        }
        Ok(())
    }

    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        views::check_views(pipeline)
    }

    fn chosen(&self, arms: &Arms, _: &Pipeline) -> Vec<String> {
        let lr = arms.get("net").map_or(0.0, |arm| arm.optimizer.lr());
        vec![
            format!(
                "arms.net.optimizer.lr = {lr}, constant: the text defers to vit-pytorch, whose \
                 example uses 3e-4"
            ),
            "the student's weights are kept, as in vit-pytorch's example".into(),
        ]
    }

    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>> {
        let [(name, student, arm)] = with_arms("dino", arms, networks)?;
        let device = &student.options().device;
        let projector = Projector::new(
            &self.projector(student.feature_dim()),
            options.seed,
            0,
            device,
        )?;
        let step = DinoStep::new(name, student, projector, arm, self, options)?;
        Ok(Box::new(step))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        super::replay::replay(self, replay, folder, recorded)
    }
}
