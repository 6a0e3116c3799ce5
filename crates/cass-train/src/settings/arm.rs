//! One network of a run, and how it is trained.

use super::{Weights, at_least, check};
use crate::error::{Error, Result};
use crate::optim::{AdamConfig, OptimizerConfig};
use crate::schedule::ScheduleConfig;
use cass_models::{Mode, Model};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One network and how it is optimised.
///
/// ```
/// use cass_train::Recipe;
/// use cass_train::methods::CassConfig;
/// let recipe = Recipe::paper(CassConfig::default());
/// let recipe = recipe.set("arms.cnn.frozen=true").unwrap().set("arms.vit.layer_decay=0.75").unwrap();
/// let recipe = recipe.set("arms.vit.train=last:4").unwrap();
/// assert_eq!(recipe.deviations(), [
///     "arms.cnn.frozen = true (paper: false)",
///     "arms.vit.layer_decay = 0.75 (paper: none)",
///     "arms.vit.train = last:4 (paper: all)",
/// ]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// timm's name, weights' tag included or not.
    pub network: String,
    /// Initial weights.
    pub weights: Weights,
    /// Whether the network stays as it is, running statistics included: the other one follows it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frozen: bool,
    /// Which of its parameters are trained.
    #[serde(default, skip_serializing_if = "Portion::is_all")]
    pub train: Portion,
    /// The share of a layer's learning rate that the layer before it has (timm's `layer_decay`); with it, weights
    /// decay in matrices and kernels alone. None for one rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// Whether BatchNorm normalises by the statistics of the initial weights, which then stay as they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frozen_statistics: bool,
    /// The optimiser and its arguments.
    pub optimizer: OptimizerConfig,
    /// How its learning rate changes.
    pub schedule: ScheduleConfig,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The networks of a run, by the names that their method gives them.
pub type Arms = BTreeMap<String, Arm>;

/// How much of a network is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Portion {
    /// `all`: every parameter.
    #[default]
    All,
    /// `last:N`: the last N blocks, and what stands behind them.
    Last(usize),
}

impl Portion {
    /// Whether it is the whole network.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl FromStr for Portion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let blocks = text.strip_prefix("last:").and_then(|n| n.parse().ok());
        let wrong = || format!("`{text}` is no portion of a network; expected all or last:N");
        blocks.map(Self::Last).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Portion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Last(blocks) => write!(f, "last:{blocks}"),
        }
    }
}

impl From<Portion> for String {
    fn from(portion: Portion) -> Self {
        portion.to_string()
    }
}

impl Arm {
    /// Checks how a network is optimised; `place` is where these fields stand, such as `arms.cnn.`.
    ///
    /// # Errors
    /// Naming the first field that no run can have, its value and what was expected.
    pub fn check(&self, place: &str) -> Result<()> {
        self.check_portion(place)?;
        for (field, value, wanted, fits) in self.optimizer.checks() {
            check(&format!("{place}optimizer.{field}"), value, fits, wanted)?;
        }
        if let ScheduleConfig::Cosine(cosine) = &self.schedule {
            let field = |field| format!("{place}schedule.{field}");
            let (lr, low) = (self.optimizer.lr(), cosine.eta_min);
            let fits = cosine.t_max >= 2;
            check(&field("t_max"), cosine.t_max, fits, "at least 2 steps")?;
            let fits = (0.0..=lr).contains(&low);
            let wanted = format!("from 0 to the optimizer's lr, {lr}");
            check(&field("eta_min"), low, fits, &wanted)?;
        }
        if let ScheduleConfig::Anneal(anneal) = &self.schedule {
            let field = |field| format!("{place}schedule.{field}");
            let (lr, low) = (self.optimizer.lr(), anneal.eta_min);
            let fits = (0.0..1.0).contains(&anneal.warmup);
            let expected = "a share of the run from 0 to below 1";
            check(&field("warmup"), anneal.warmup, fits, expected)?;
            let fits = (0.0..=lr).contains(&low);
            let wanted = format!("from 0 to the optimizer's lr, {lr}");
            check(&field("eta_min"), low, fits, &wanted)?;
        }
        Ok(())
    }

    /// A network all of which is trained, at one rate.
    pub fn new(
        network: impl Into<String>,
        weights: Weights,
        optimizer: OptimizerConfig,
        schedule: ScheduleConfig,
    ) -> Self {
        Self {
            network: network.into(),
            weights,
            frozen: false,
            train: Portion::All,
            layer_decay: None,
            frozen_statistics: false,
            optimizer,
            schedule,
        }
    }

    /// A network with ImageNet weights from the Hub, trained by Adam.
    pub(crate) fn with_adam(network: &str, lr: f64, schedule: ScheduleConfig) -> Self {
        let adam = OptimizerConfig::Adam(AdamConfig {
            lr,
            ..AdamConfig::default()
        });
        Self::new(network, Weights::Hub, adam, schedule)
    }

    /// Whether BatchNorm's running statistics stay as they are.
    pub(crate) fn keeps_statistics(&self) -> bool {
        self.frozen || self.frozen_statistics
    }

    /// How BatchNorm computes while the arm is trained.
    pub(crate) fn mode(&self) -> Mode {
        if self.keeps_statistics() {
            Mode::Eval
        } else {
            Mode::Train
        }
    }

    /// The network as the arm trains it.
    pub(crate) fn over(&self, model: Model) -> Result<Model> {
        let layers = match self.train {
            Portion::All if !self.frozen => return Ok(model),
            _ => model.parameter_layers(),
        };
        let head = layers.values().copied().max().unwrap_or(0);
        let first = match self.train {
            _ if self.frozen => usize::MAX,
            Portion::All => 0,
            // The stem is layer 0, the classifier the last.
            Portion::Last(blocks) if blocks < head => head - blocks,
            Portion::Last(blocks) => {
                return Err(Error::Mismatch(format!(
                    "{} has {} blocks, fewer than the {blocks} that are to be trained",
                    model.name(),
                    head.saturating_sub(1)
                )));
            }
        };
        Ok(model.training(|name| layers.get(name).is_some_and(|&layer| layer >= first))?)
    }

    /// Checks what is trained; a recipe's names of the fields begin with `prefix`.
    ///
    /// # Errors
    /// Naming the first field that no arm can have, its value and what was expected.
    pub fn check_portion(&self, prefix: &str) -> Result<()> {
        let field = |field: &str| format!("{prefix}{field}");
        if let Portion::Last(blocks) = self.train {
            at_least(&field("train"), blocks, 1)?;
        }
        if let Some(decay) = self.layer_decay {
            let fits = decay > 0.0 && decay <= 1.0;
            let expected = "a share above 0, at most 1";
            check(&field("layer_decay"), decay, fits, expected)?;
        }
        let rest = self.train.is_all() && self.layer_decay.is_none();
        let expected = "false where train or layer_decay is set";
        check(
            &field("frozen"),
            self.frozen,
            !self.frozen || rest,
            expected,
        )
    }
}
