use super::step::ContrastStep;
use super::views;
use crate::error::Result;
use crate::methods::{MethodConfig, Preset, ProjectorLayer, with_arms};
use crate::optim::{AdamConfig, OptimizerConfig};
use crate::schedule::ScheduleConfig;
use crate::settings::{Arm, Arms, Protocol, Weights, at_least, check};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use cass_data::augment::Pipeline;
use cass_models::Model;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings that only a contrast has. It is no method of the paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastConfig {
    /// Divides the cosines of projections.
    pub temperature: f64,
    /// Weight of each network's contrast with itself.
    pub within: f64,
    /// Weight of the contrast between the networks.
    pub across: f64,
    /// Weight of predicting, from each network's features by a linear layer, those that it had in the beginning.
    pub anchor: f64,
    /// Weight of predicting, from each network's features by a linear layer, those that the other network had in
    /// the beginning.
    pub distil: f64,
    /// Linear layers of each projector.
    pub projection_layers: usize,
    /// Width of a projector's hidden layers.
    pub projection_hidden_size: usize,
    /// Outputs of a projector.
    pub projection_size: usize,
    /// Learning rate of the projectors and the linear layers, which the schedule of their arm starts from.
    pub projection_lr: f64,
    /// Projections of past batches that are kept of each network as more keys to tell images from.
    pub queue: usize,
}

impl Default for ContrastConfig {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            within: 1.0,
            across: 1.0,
            anchor: 0.0,
            distil: 0.0,
            projection_layers: 2,
            projection_hidden_size: 512,
            projection_size: 128,
            projection_lr: 1e-3,
            queue: 0,
        }
    }
}

impl ContrastConfig {
    /// The projector of `dim` features.
    pub fn projector(&self, dim: usize) -> Vec<ProjectorLayer> {
        let hidden = (1..self.projection_layers).map(|_| self.projection_hidden_size);
        let widths: Vec<usize> = [dim].into_iter().chain(hidden).collect();
        ProjectorLayer::mlp(&[&widths[..], &[self.projection_size]].concat())
    }
}

impl MethodConfig for ContrastConfig {
    fn arms(&self) -> &'static [&'static str] {
        &["cnn", "vit"]
    }

    fn losses(&self) -> Vec<&'static str> {
        let parts = [
            ("within", self.within),
            ("across", self.across),
            ("anchor", self.anchor),
            ("distil", self.distil),
        ];
        let parts = parts.into_iter().filter(|(_, weight)| *weight > 0.0);
        parts.map(|(name, _)| name).collect()
    }

    /// What a network that has learned before wants: low rates, and its own BatchNorm statistics, which small
    /// batches of other images would move (docs/pretraining.md has what was tried).
    fn preset(&self, _: Protocol) -> Preset {
        let arm = |network, lr| Arm::with_adam(network, lr, ScheduleConfig::Constant);
        let mut cnn = arm("resnet50.a1_in1k", 3e-5);
        cnn.frozen_statistics = true;
        let vit = arm("vit_base_patch16_384.augreg_in21k_ft_in1k", 1e-5);
        Preset {
            arms: [("cnn".into(), cnn), ("vit".into(), vit)].into(),
            pipeline: Pipeline::Crops,
            swa: None,
            zero_grad: true,
        }
    }

    fn for_random(&self, name: &str, arm: &mut Arm) {
        let lr = if name == "cnn" { 1e-3 } else { 3e-4 };
        arm.frozen_statistics = false;
        arm.optimizer = OptimizerConfig::Adam(AdamConfig {
            lr,
            ..AdamConfig::default()
        });
    }

    /// None of this is the paper's: what the weights ask for is no deviation.
    fn paper_for(&self, arms: &Arms, paper: &mut Arms) {
        for (name, arm) in paper {
            if arms
                .get(name)
                .is_some_and(|own| own.weights == Weights::Random)
            {
                self.for_random(name, arm);
            }
        }
    }

    fn check(&self) -> Result<()> {
        for (field, value, least) in [
            ("projection_layers", self.projection_layers, 1),
            ("projection_hidden_size", self.projection_hidden_size, 1),
            ("projection_size", self.projection_size, 1),
        ] {
            at_least(&format!("method.{field}"), value, least)?;
        }
        let temperature = self.temperature;
        let fits = temperature.is_finite() && temperature > 0.0;
        let expected = "a temperature above 0";
        check("method.temperature", temperature, fits, expected)?;
        for (field, value) in [
            ("within", self.within),
            ("across", self.across),
            ("anchor", self.anchor),
            ("distil", self.distil),
            ("projection_lr", self.projection_lr),
        ] {
            let fits = value.is_finite() && value >= 0.0;
            check(&format!("method.{field}"), value, fits, "a number from 0")?;
        }
        let fits = self.within + self.across > 0.0;
        let expected = "above 0 where method.within is 0";
        check("method.across", self.across, fits, expected)
    }

    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        views::check_views(pipeline)
    }

    fn draws(&self, _: &Pipeline) -> usize {
        2
    }

    /// Of each network: the projector's layers that its features do not reach, and the queue.
    fn memory(&self, copies: u128) -> u128 {
        let [hidden, layers, outputs, queue] = [
            self.projection_hidden_size,
            self.projection_layers,
            self.projection_size,
            self.queue,
        ]
        .map(|number| number as u128);
        let trained = match layers {
            0 | 1 => outputs,
            _ => hidden * (hidden * (layers - 2) + outputs),
        };
        2 * 4 * (copies * trained + queue * outputs)
    }

    /// Each network sees two views, there and back, and what it was sees them once more where that is predicted.
    fn forwards(&self, frozen: bool) -> f64 {
        let remembers = self.anchor > 0.0 || self.distil > 0.0;
        (if frozen { 2.0 } else { 6.0 }) + (if remembers { 2.0 } else { 0.0 })
    }

    fn chosen(&self, _: &Arms, _: &Pipeline) -> Vec<String> {
        vec!["method cass-contrast is none of the paper's: its defaults stand where others have the paper's".into()]
    }

    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>> {
        let arms = with_arms("cass-contrast", arms, networks)?;
        Ok(Box::new(ContrastStep::new(arms, self, options)?))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        super::replay::replay(replay, folder, recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;
    use crate::memory::expect_memory;

    #[test]
    fn projectors_and_queues_that_no_computer_holds_are_refused() {
        let usual = ContrastConfig::default();
        let mut recipe = Recipe::paper(usual.clone());
        (recipe.size, recipe.batch) = (32, 2);
        recipe.device = "cpu".into();
        for arm in recipe.arms.values_mut() {
            arm.network = "resnet18".into();
        }
        assert_eq!(expect_memory(&recipe).map_err(|e| e.to_string()), Ok(()));
        for config in [
            ContrastConfig {
                queue: 1 << 31,
                ..usual.clone()
            },
            ContrastConfig {
                projection_layers: 3,
                projection_hidden_size: 1 << 20,
                ..usual.clone()
            },
            ContrastConfig {
                projection_layers: 1 << 31,
                ..usual
            },
        ] {
            recipe.method = config.into();
            let error = expect_memory(&recipe).unwrap_err().to_string();
            assert!(error.contains("of memory"), "{error}");
        }
    }
}
