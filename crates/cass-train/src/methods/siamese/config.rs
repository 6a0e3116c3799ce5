use super::replay::{Start, follow};
use super::step::{Heads, Objective, Online, SiameseStep};
use crate::error::Result;
use crate::methods::{MethodConfig, Preset, Projector, ProjectorLayer, paper_for_one, with_arms};
use crate::schedule::{AnnealConfig, ScheduleConfig};
use crate::settings::{Arm, Arms, Protocol, check};
use crate::step::{Step, StepOptions};
use crate::trajectory::{Deviation, Recorded, Replay};
use cass_data::augment::Pipeline;
use cass_models::Model;
use std::path::Path;

/// What a method decides that shows one network two views of each image. Its fields are the settings that only it has.
pub(crate) trait SiameseConfig: Sized {
    /// What it asks of two views.
    type Objective: Objective + 'static;

    /// The name in a recipe.
    const NAME: &'static str;
    /// The optimiser of its text, which the preset does not have.
    const TEXT: &'static str;
    /// Passes of each image through a network that follows.
    const FOLLOWED: f64 = 0.0;

    /// The name of what its loss is the sum of.
    fn losses(&self) -> Vec<&'static str>;

    /// Its network and optimiser.
    fn arm(&self) -> Arm;

    /// Its text's views.
    fn pipeline(&self) -> Pipeline;

    /// Checks the settings.
    fn check(&self) -> Result<()>;

    /// Weights of its heads, at the least, that are trained, and that follow.
    fn weights(&self) -> [usize; 2];

    /// Fresh heads behind a network's features.
    fn heads(&self, network: &Model, seed: u64) -> Result<Heads>;

    /// What it asks of two views, in a run of so many steps where they are known.
    fn objective(&self, online: &Online, steps: Option<u64>) -> Result<Self::Objective>;

    /// The settings of a recorded run.
    fn recorded(&self, start: &Start, recorded: &Recorded) -> Result<Self>;
}

impl<T: SiameseConfig> MethodConfig for T {
    fn arms(&self) -> &'static [&'static str] {
        &["net"]
    }

    fn losses(&self) -> Vec<&'static str> {
        SiameseConfig::losses(self)
    }

    fn preset(&self, _: Protocol) -> Preset {
        Preset {
            arms: [("net".into(), self.arm())].into(),
            pipeline: self.pipeline(),
            swa: None,
            zero_grad: true,
        }
    }

    fn paper_for(&self, arms: &Arms, paper: &mut Arms) {
        paper_for_one(arms, paper);
    }

    fn check(&self) -> Result<()> {
        SiameseConfig::check(self)
    }

    /// Accepts two views, of which one is augmented, or one to be drawn twice.
    fn check_views(&self, pipeline: &Pipeline) -> Result<()> {
        let views = pipeline.transforms();
        let fits = [1, 2].contains(&views.len()) && views.iter().any(|view| !view.is_empty());
        let expected = format!(
            "one that augments to two views for method {}, such as byol, or to one, which is drawn twice",
            T::NAME
        );
        check("pipeline", pipeline, fits, &expected)
    }

    fn draws(&self, pipeline: &Pipeline) -> usize {
        if pipeline.views() == 1 { 2 } else { 1 }
    }

    /// Two views, there and back.
    fn forwards(&self, frozen: bool) -> f64 {
        2.0 * (if frozen { 1.0 } else { 3.0 }) + T::FOLLOWED
    }

    fn memory(&self, copies: u128) -> u128 {
        let [trained, followed] = self.weights().map(|weights| weights as u128);
        4 * (copies * trained + followed)
    }

    fn chosen(&self, arms: &Arms, _: &Pipeline) -> Vec<String> {
        let lr = arms.get("net").map_or(0.0, |arm| arm.optimizer.lr());
        let text = T::TEXT;
        vec![format!("arms.net.optimizer.lr = {lr}: the text has {text}")]
    }

    fn step(
        &self,
        arms: &Arms,
        options: &StepOptions,
        networks: Vec<Model>,
    ) -> Result<Box<dyn Step>> {
        let [(name, network, arm)] = with_arms(T::NAME, arms, networks)?;
        let heads = self.heads(&network, options.seed)?;
        let objective = |online: &_| self.objective(online, options.steps);
        let step = SiameseStep::new((name, arm), network, heads, objective, options)?;
        Ok(Box::new(step))
    }

    fn replay(&self, replay: &Replay, folder: &Path, recorded: &Recorded) -> Result<Deviation> {
        let start = Start::read(self.arm(), replay, folder, recorded)?;
        let config = self.recorded(&start, recorded)?;
        let heads = start.load(config.heads(&start.network, 0)?)?;
        let options = StepOptions {
            steps: Some(recorded.get("loss")?.elem_count() as u64),
            ..StepOptions::default()
        };
        let network = start.network.deep_copy()?;
        let objective = |online: &_| config.objective(online, options.steps);
        let step = SiameseStep::new(("net", &start.arm), network, heads, objective, &options)?;
        follow(recorded, step)
    }
}

/// The network that texts on natural images train, by Adam at a rate that anneals, warmed up for so much of the run.
pub(crate) fn adam(lr: f64, warmup: f64) -> Arm {
    let anneal = AnnealConfig {
        warmup,
        eta_min: 0.0,
    };
    Arm::with_adam("resnet50.a1_in1k", lr, ScheduleConfig::Anneal(anneal))
}

/// Fresh heads by their names and layers, in the network's precision.
pub(crate) fn heads(
    layers: &[(&'static str, Vec<ProjectorLayer>)],
    network: &Model,
    seed: u64,
) -> Result<Heads> {
    let options = network.options();
    let heads = layers.iter().zip(0..).map(|((name, layers), which)| {
        let head = Projector::new(layers, seed, which, &options.device)?;
        Ok((*name, head.to_dtype(options.dtype)?))
    });
    heads.collect()
}
