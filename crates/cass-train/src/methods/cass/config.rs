use super::step::CassStep;
use super::views;
use crate::error::Result;
use crate::methods::{MethodConfig, Preset, with_arms};
use crate::schedule::{CosineConfig, ScheduleConfig};
use crate::settings::{Arm, Arms, Protocol, Swa};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use cass_data::augment::Pipeline;
use cass_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings that only CASS has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CassConfig {
    /// What keeps the networks from collapsing, beyond the paper; none for the paper's loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// What keeps CASS from collapsing. Not in the paper: from random weights its loss is met by two
/// networks that give every image the same logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// The loss is added [VICReg's penalty](crate::methods::variance_penalty) of each arm's logits: outputs are
    /// to differ between images, and from each other.
    Variance,
}

impl Guard {
    /// The name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Variance => "variance",
        }
    }
}

impl MethodConfig for CassConfig {
    fn arms(&self) -> &'static [&'static str] {
        &["cnn", "vit"]
    }

    fn losses(&self) -> Vec<&'static str> {
        let guard = self.guard.map(Guard::name);
        ["agreement"].into_iter().chain(guard).collect()
    }

    fn preset(&self, protocol: Protocol) -> Preset {
        let adam = |network| {
            let cosine = ScheduleConfig::Cosine(CosineConfig::default());
            Arm::with_adam(network, 1e-3, cosine)
        };
        let arms = [
            ("cnn".into(), adam("resnet50.a1_in1k")),
            (
                "vit".into(),
                adam("vit_base_patch16_384.augreg_in21k_ft_in1k"),
            ),
        ]
        .into();
        let paper = protocol == Protocol::Paper;
        Preset {
            arms,
            pipeline: Pipeline::Paper,
            swa: paper.then_some(Swa { start: 0.75 }),
            zero_grad: paper,
        }
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        views::check_views(pipeline)
    }

    fn chosen(&self, _: &Arms, pipeline: &Pipeline) -> Vec<String> {
        views::chosen(pipeline).collect()
    }

    fn remedy(&self) -> Option<&'static str> {
        self.guard.is_none().then_some(
            "against that, from random weights, are `--guard variance` and a lower rate for a Transformer \
             (beyond the paper; see --guard in --help)",
        )
    }

    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>> {
        let arms = with_arms("cass", arms, networks)?;
        Ok(Box::new(CassStep::new(arms, self, options)?))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        super::replay::replay(self, replay, folder, recorded)
    }
}
