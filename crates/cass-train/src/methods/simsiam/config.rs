use super::loss::simsiam_loss;
use crate::error::Result;
use crate::methods::ProjectorLayer;
use crate::methods::siamese::{self, Heads, Objective, Online, SiameseConfig, Start};
use crate::optim::{OptimizerConfig, SgdConfig};
use crate::settings::{Arm, at_least};
use crate::trajectory::Recorded;
use candle_core::Tensor;
use cass_data::augment::Pipeline;
use cass_models::Model;
use cass_ops::{Tracked, compose};
use serde::{Deserialize, Serialize};

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

impl SiameseConfig for SimsiamConfig {
    type Objective = Simsiam;

    const NAME: &'static str = "simsiam";
    const TEXT: &'static str = "0.05 for 256 images, and does not anneal the predictor's";

    fn losses(&self) -> Vec<&'static str> {
        vec!["negative cosine"]
    }

    fn arm(&self) -> Arm {
        let sgd = SgdConfig {
            lr: 0.05 * 16.0 / 256.0,
            momentum: 0.9,
            weight_decay: 1e-4,
            ..SgdConfig::default()
        };
        Arm {
            optimizer: OptimizerConfig::Sgd(sgd),
            ..siamese::adam(0.0, 0.0)
        }
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::Crops
    }

    fn check(&self) -> Result<()> {
        at_least("method.dim", self.dim, 1)?;
        at_least("method.pred_dim", self.pred_dim, 1)
    }

    fn weights(&self) -> [usize; 2] {
        [self.dim.saturating_mul(self.pred_dim).saturating_mul(2), 0]
    }

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

    fn objective(&self, _: &Online, _: Option<u64>) -> Result<Simsiam> {
        Ok(Simsiam)
    }

    fn recorded(&self, start: &Start, _: &Recorded) -> Result<Self> {
        let widths = start.widths("predictor")?;
        Ok(Self {
            dim: widths.first().copied().unwrap_or(1),
            pred_dim: widths.get(1).copied().unwrap_or(1),
        })
    }
}

/// What SimSiam asks of two views.
pub(crate) struct Simsiam;

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
