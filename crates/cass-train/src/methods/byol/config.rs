use super::step::Byol;
use crate::error::Result;
use crate::methods::siamese::{self, Heads, Siamese, SiameseStep, Start};
use crate::methods::{MethodConfig, Preset, ProjectorLayer};
use crate::settings::{Arms, Protocol, at_least, check};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use cass_data::augment::Pipeline;
use cass_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings that only BYOL has (Grill et al. 2020, section 3 and appendix).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ByolConfig {
    /// Width of the hidden layer of projector and predictor.
    pub projection_hidden_size: usize,
    /// Outputs of projector and predictor.
    pub projection_size: usize,
    /// How much of the target stays at the first step; it rises to all of it along a cosine over the run.
    pub momentum: f64,
}

impl Default for ByolConfig {
    fn default() -> Self {
        Self {
            projection_hidden_size: 4096,
            projection_size: 256,
            momentum: 0.996,
        }
    }
}

impl ByolConfig {
    /// Two heads of two layers each.
    fn heads(&self, network: &Model, seed: u64) -> Result<Heads> {
        let (hidden, outputs) = (self.projection_hidden_size, self.projection_size);
        let head = |inputs| {
            let layers = ProjectorLayer::mlp(&[inputs, hidden, outputs]);
            ProjectorLayer::without_last_bias(layers)
        };
        let layers = [
            ("projector", head(network.feature_dim())),
            ("predictor", head(outputs)),
        ];
        siamese::heads(&layers, network, seed)
    }
}

impl MethodConfig for ByolConfig {
    fn arms(&self) -> &'static [&'static str] {
        &["net"]
    }

    fn losses(&self) -> Vec<&'static str> {
        vec!["squared distance"]
    }

    fn preset(&self, _: Protocol) -> Preset {
        siamese::preset(siamese::adam(3e-4), Pipeline::Byol)
    }

    fn draws(&self, pipeline: &Pipeline) -> usize {
        siamese::draws(pipeline)
    }

    /// The target sees both views, too, there and not back.
    fn forwards(&self, frozen: bool) -> f64 {
        siamese::forwards(frozen) + 2.0
    }

    fn memory(&self, copies: u128) -> u128 {
        // Two layers of the predictor and one of the projector, which the target has, too.
        let layer = self.projection_hidden_size as u128 * self.projection_size as u128;
        4 * (3 * copies + 1) * layer
    }

    fn paper_for(&self, arms: &Arms, paper: &mut Arms) {
        siamese::paper_for(arms, paper);
    }

    fn check(&self) -> Result<()> {
        for (field, value) in [
            ("projection_hidden_size", self.projection_hidden_size),
            ("projection_size", self.projection_size),
        ] {
            at_least(&format!("method.{field}"), value, 1)?;
        }
        let fits = (0.0..=1.0).contains(&self.momentum);
        let expected = "a share from 0 to 1";
        check("method.momentum", self.momentum, fits, expected)
    }

    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        siamese::check_views("byol", pipeline)
    }

    fn chosen(&self, arms: &Arms, _: &Pipeline) -> Vec<String> {
        siamese::chosen(
            arms,
            "LARS, warmed up and annealed, for batches of thousands of images",
        )
    }

    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>> {
        let siamese = Siamese::of("BYOL", arms, networks)?;
        let heads = self.heads(&siamese.network, options.seed)?;
        let objective = |online: &_| Byol::new(self, online, options.steps);
        let step = SiameseStep::new(siamese, heads, objective, options)?;
        Ok(Box::new(step))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        let start = Start::read(self, replay, folder, recorded)?;
        let widths = start.widths("projector")?;
        let config = Self {
            projection_hidden_size: widths.get(1).copied().unwrap_or(1),
            projection_size: widths.last().copied().unwrap_or(1),
            momentum: recorded.get("momentum")?.to_scalar::<f64>()?,
        };
        let heads = start.load(config.heads(&start.network, 0)?)?;
        let options = StepOptions {
            steps: Some(recorded.get("loss")?.elem_count() as u64),
            ..StepOptions::default()
        };
        let objective = |online: &_| Byol::new(&config, online, options.steps);
        let step = SiameseStep::new(start.siamese()?, heads, objective, &options)?;
        siamese::follow(recorded, step)
    }
}
