use super::loss::simsiam_loss;
use crate::error::Result;
use crate::methods::siamese::{self, Heads, Objective, Online, Siamese, SiameseStep, Start};
use crate::methods::{MethodConfig, Preset, ProjectorLayer};
use crate::optim::{OptimizerConfig, SgdConfig};
use crate::schedule::ScheduleConfig;
use crate::settings::{Arm, Arms, Protocol, Weights, at_least};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use candle_core::Tensor;
use cass_data::augment::Pipeline;
use cass_models::Model;
use cass_ops::{Tracked, compose};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings that only SimSiam has (Chen and He 2021, section 3), under the names of
/// `facebookresearch/simsiam`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimsiamConfig {
    /// Outputs of the projector and of the predictor.
    pub dim: usize,
    /// Width of the predictor's hidden layer.
    pub pred_dim: usize,
}

impl Default for SimsiamConfig {
    fn default() -> Self {
        Self {
            dim: 2048,
            pred_dim: 512,
        }
    }
}

impl SimsiamConfig {
    /// Three layers as wide as the features, each with batch normalisation, the last one's without weights; and a
    /// bottleneck.
    fn heads(&self, network: &Model, seed: u64) -> Result<Heads> {
        let width = network.feature_dim();
        let mut projector = ProjectorLayer::mlp(&[width, width, width, self.dim]);
        projector = ProjectorLayer::without_last_bias(projector);
        projector.push(ProjectorLayer::BatchNorm {
            width: self.dim,
            affine: false,
        });
        let predictor = ProjectorLayer::mlp(&[self.dim, self.pred_dim, self.dim]);
        let layers = [("projector", projector), ("predictor", predictor)];
        siamese::heads(&layers, network, seed)
    }
}

impl MethodConfig for SimsiamConfig {
    fn arms(&self) -> &'static [&'static str] {
        &["net"]
    }

    fn losses(&self) -> Vec<&'static str> {
        vec!["negative cosine"]
    }

    fn preset(&self, _: Protocol) -> Preset {
        let sgd = OptimizerConfig::Sgd(SgdConfig {
            lr: 0.05 * 16.0 / 256.0,
            momentum: 0.9,
            weight_decay: 1e-4,
            ..SgdConfig::default()
        });
        let arm = Arm::new(
            "resnet50.a1_in1k",
            Weights::Hub,
            sgd,
            ScheduleConfig::Constant,
        );
        siamese::preset(arm, Pipeline::Crops)
    }

    fn draws(&self, pipeline: &Pipeline) -> usize {
        siamese::draws(pipeline)
    }

    fn forwards(&self, frozen: bool) -> f64 {
        siamese::forwards(frozen)
    }

    fn memory(&self, copies: u128) -> u128 {
        8 * copies * self.dim as u128 * self.pred_dim as u128
    }

    fn paper_for(&self, arms: &Arms, paper: &mut Arms) {
        siamese::paper_for(arms, paper);
    }

    fn check(&self) -> Result<()> {
        at_least("method.dim", self.dim, 1)?;
        at_least("method.pred_dim", self.pred_dim, 1)
    }

    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        siamese::check_views("simsiam", pipeline)
    }

    fn chosen(&self, arms: &Arms, _: &Pipeline) -> Vec<String> {
        siamese::chosen(
            arms,
            "SGD at 0.05 for 256 images, annealed, the predictor's rate alone constant",
        )
    }

    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>> {
        let siamese = Siamese::of("SimSiam", arms, networks)?;
        let heads = self.heads(&siamese.network, options.seed)?;
        let step = SiameseStep::new(siamese, heads, |_| Ok(Simsiam), options)?;
        Ok(Box::new(step))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        let start = Start::read(self, replay, folder, recorded)?;
        let widths = start.widths("predictor")?;
        let config = Self {
            dim: widths.first().copied().unwrap_or(1),
            pred_dim: widths.get(1).copied().unwrap_or(1),
        };
        let heads = start.load(config.heads(&start.network, 0)?)?;
        let options = StepOptions::default();
        let step = SiameseStep::new(start.siamese()?, heads, |_| Ok(Simsiam), &options)?;
        siamese::follow(recorded, step)
    }
}

/// What SimSiam asks of two views.
struct Simsiam;

impl Objective for Simsiam {
    fn loss(&self, online: &Online, [first, second]: &[Tensor; 2]) -> Result<Tracked> {
        let ([z1, p1], [z2, p2]) = (
            online.project(first, false)?,
            online.project(second, false)?,
        );
        // No gradient reaches what is predicted.
        let (z1, z2) = (z1.value(), z2.value());
        Ok(compose(&[&p1, &p2], |p| {
            (simsiam_loss(&p[0], z2)? + simsiam_loss(&p[1], z1)?)? * 0.5
        })?)
    }
}
