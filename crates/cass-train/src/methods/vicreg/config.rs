use super::loss::vicreg_loss;
use crate::error::Result;
use crate::methods::ProjectorLayer;
use crate::methods::siamese::{self, Heads, Objective, Online, SiameseConfig, Start};
use crate::settings::{Arm, at_least, check};
use crate::trajectory::Recorded;
use candle_core::Tensor;
use cass_data::augment::Pipeline;
use cass_models::Model;
use cass_ops::{Tracked, compose};
use serde::{Deserialize, Serialize};

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

impl SiameseConfig for VicregConfig {
    type Objective = Vicreg;

    const NAME: &'static str = "vicreg";
    const TEXT: &'static str = "LARS, for batches of thousands of images";

    fn losses(&self) -> Vec<&'static str> {
        vec!["invariance", "variance", "covariance"]
    }

    fn arm(&self) -> Arm {
        siamese::adam(3e-4, 0.1)
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::Byol
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

    fn weights(&self) -> [usize; 2] {
        let layer = self.expander_width.saturating_mul(self.expander_width);
        [
            layer.saturating_mul(self.expander_layers.saturating_sub(1)),
            0,
        ]
    }

    /// The expander: linear layers, all but the last with batch normalisation and ReLU.
    fn heads(&self, network: &Model, seed: u64) -> Result<Heads> {
        let widths = vec![self.expander_width; self.expander_layers];
        let layers = ProjectorLayer::mlp(&[&[network.feature_dim()], &widths[..]].concat());
        let expander = ProjectorLayer::without_last_bias(layers);
        siamese::heads(&[("projector", expander)], network, seed)
    }

    fn objective(&self, _: &Online, _: Option<u64>) -> Result<Vicreg> {
        Ok(Vicreg(self.clone()))
    }

    fn recorded(&self, start: &Start, _: &Recorded) -> Result<Self> {
        let widths = start.widths("projector")?;
        Ok(Self {
            expander_width: widths.last().copied().unwrap_or(1),
            expander_layers: widths.len().saturating_sub(1).max(1),
            ..self.clone()
        })
    }
}

/// What VICReg asks of two views.
pub(crate) struct Vicreg(VicregConfig);

impl Objective for Vicreg {
    fn loss(&self, online: &Online, [first, second]: &[Tensor; 2]) -> Result<Tracked> {
        let ([a], [b]) = (
            online.project(first, false)?,
            online.project(second, false)?,
        );
        Ok(compose(&[&a, &b], |x| vicreg_loss(&x[0], &x[1], &self.0))?)
    }
}
