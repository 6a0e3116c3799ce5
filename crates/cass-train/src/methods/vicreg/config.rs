use super::loss::vicreg_loss;
use crate::error::Result;
use crate::methods::siamese::{self, Heads, Objective, Online, Siamese, SiameseStep, Start};
use crate::methods::{MethodConfig, Preset, ProjectorLayer};
use crate::settings::{Arms, Protocol, at_least, check};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use candle_core::Tensor;
use cass_data::augment::Pipeline;
use cass_models::Model;
use cass_ops::{Tracked, compose};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings that only VICReg has (Bardes et al. 2022, section 4.2), under the names of
/// `facebookresearch/vicreg`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VicregConfig {
    /// Outputs of each layer of the expander.
    pub expander_width: usize,
    /// Linear layers of the expander, with batch normalisation and ReLU after all but the last.
    pub expander_layers: usize,
    /// Weight of the embeddings' agreement.
    pub sim_coeff: f64,
    /// Weight of their variance.
    pub std_coeff: f64,
    /// Weight of their covariances.
    pub cov_coeff: f64,
}

impl Default for VicregConfig {
    fn default() -> Self {
        Self {
            expander_width: 8192,
            expander_layers: 3,
            sim_coeff: 25.0,
            std_coeff: 25.0,
            cov_coeff: 1.0,
        }
    }
}

impl VicregConfig {
    /// The expander of `dim` features: linear layers, all but the last with batch normalisation and ReLU.
    fn expander(&self, dim: usize) -> Vec<ProjectorLayer> {
        let widths = vec![self.expander_width; self.expander_layers];
        let layers = ProjectorLayer::mlp(&[&[dim], &widths[..]].concat());
        ProjectorLayer::without_last_bias(layers)
    }

    fn heads(&self, network: &Model, seed: u64) -> Result<Heads> {
        let expander = self.expander(network.feature_dim());
        siamese::heads(&[("projector", expander)], network, seed)
    }
}

impl MethodConfig for VicregConfig {
    fn arms(&self) -> &'static [&'static str] {
        &["net"]
    }

    fn losses(&self) -> Vec<&'static str> {
        vec!["invariance", "variance", "covariance"]
    }

    fn preset(&self, _: Protocol) -> Preset {
        siamese::preset(siamese::adam(3e-4), Pipeline::Byol)
    }

    fn forwards(&self, frozen: bool) -> f64 {
        siamese::forwards(frozen)
    }

    fn memory(&self, copies: u128) -> u128 {
        let [width, layers] = [self.expander_width, self.expander_layers].map(|n| n as u128);
        4 * copies * width * width * layers.saturating_sub(1)
    }

    fn paper_for(&self, arms: &Arms, paper: &mut Arms) {
        siamese::paper_for(arms, paper);
    }

    fn check(&self) -> Result<()> {
        at_least("method.expander_width", self.expander_width, 1)?;
        at_least("method.expander_layers", self.expander_layers, 1)?;
        for (field, value) in [
            ("sim_coeff", self.sim_coeff),
            ("std_coeff", self.std_coeff),
            ("cov_coeff", self.cov_coeff),
        ] {
            let fits = value.is_finite() && value >= 0.0;
            check(&format!("method.{field}"), value, fits, "a weight from 0")?;
        }
        Ok(())
    }

    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        siamese::check_views("vicreg", pipeline)
    }

    fn draws(&self, pipeline: &Pipeline) -> usize {
        siamese::draws(pipeline)
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
        let siamese = Siamese::of("VICReg", arms, networks)?;
        let heads = self.heads(&siamese.network, options.seed)?;
        let step = SiameseStep::new(siamese, heads, |_| Ok(Vicreg(self.clone())), options)?;
        Ok(Box::new(step))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        let start = Start::read(self, replay, folder, recorded)?;
        let widths = start.widths("projector")?;
        let config = Self {
            expander_width: widths.last().copied().unwrap_or(1),
            expander_layers: widths.len().saturating_sub(1),
            ..self.clone()
        };
        let heads = start.load(config.heads(&start.network, 0)?)?;
        let options = StepOptions::default();
        let objective = |_: &Online| Ok(Vicreg(config.clone()));
        let step = SiameseStep::new(start.siamese()?, heads, objective, &options)?;
        siamese::follow(recorded, step)
    }
}

/// What VICReg asks of two views.
struct Vicreg(VicregConfig);

impl Objective for Vicreg {
    fn loss(&self, online: &Online, [first, second]: &[Tensor; 2]) -> Result<Tracked> {
        let ([a], [b]) = (
            online.project(first, false)?,
            online.project(second, false)?,
        );
        Ok(compose(&[&a, &b], |x| vicreg_loss(&x[0], &x[1], &self.0))?)
    }
}
