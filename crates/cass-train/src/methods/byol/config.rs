use super::step::Byol;
use crate::error::Result;
use crate::methods::ProjectorLayer;
use crate::methods::siamese::{self, Heads, Online, SiameseConfig, Start};
use crate::settings::{Arm, at_least, check};
use crate::trajectory::Recorded;
use cass_data::augment::Pipeline;
use cass_models::Model;
use serde::{Deserialize, Serialize};

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

impl SiameseConfig for ByolConfig {
    type Objective = Byol;

    const NAME: &'static str = "byol";
    const TEXT: &'static str = "LARS, for batches of thousands of images";
    const FOLLOWED: f64 = 2.0;

    fn losses(&self) -> Vec<&'static str> {
        vec!["squared distance"]
    }

    fn arm(&self) -> Arm {
        siamese::adam(3e-4, 0.1)
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::Byol
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

    /// Two layers of the predictor and one of the projector, which the target has, too.
    fn weights(&self) -> [usize; 2] {
        let layer = self
            .projection_hidden_size
            .saturating_mul(self.projection_size);
        [layer.saturating_mul(3), layer]
    }

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

    fn objective(&self, online: &Online, steps: Option<u64>) -> Result<Byol> {
        Byol::new(self.momentum, online, steps)
    }

    fn recorded(&self, start: &Start, recorded: &Recorded) -> Result<Self> {
        let widths = start.widths("projector")?;
        Ok(Self {
            projection_hidden_size: widths.get(1).copied().unwrap_or(1),
            projection_size: widths.last().copied().unwrap_or(1),
            momentum: recorded.get("momentum")?.to_scalar::<f64>()?,
        })
    }
}
