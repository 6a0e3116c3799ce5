use super::step::Heads;
use crate::error::{Error, Result};
use crate::methods::{Preset, Projector, ProjectorLayer};
use crate::schedule::ScheduleConfig;
use crate::settings::{Arm, Arms, check};
use cass_data::augment::Pipeline;
use cass_models::Model;

/// The one network of a run, with the name and settings of its arm.
pub(crate) struct Siamese<'a> {
    pub(crate) name: &'a str,
    pub(crate) arm: &'a Arm,
    pub(crate) network: Model,
}

impl<'a> Siamese<'a> {
    /// The only one of `networks`.
    pub(crate) fn of(method: &str, arms: &'a Arms, networks: Vec<Model>) -> Result<Self> {
        let networks = arms.iter().zip(networks);
        let networks = networks.map(|((name, arm), network)| Self { name, arm, network });
        let networks: Vec<_> = networks.collect();
        let [network] = networks.try_into().map_err(|_| {
            Error::Mismatch(format!("{method} trains one network: expected one arm"))
        })?;
        Ok(network)
    }
}

/// A method's own network and views.
pub(crate) fn preset(arm: Arm, pipeline: Pipeline) -> Preset {
    Preset {
        arms: [("net".into(), arm)].into(),
        pipeline,
        swa: None,
        zero_grad: true,
    }
}

/// The network that texts on natural images train, by Adam at a constant rate.
pub(crate) fn adam(lr: f64) -> Arm {
    Arm::with_adam("resnet50.a1_in1k", lr, ScheduleConfig::Constant)
}

/// The paper has two networks, of which one run trains one.
pub(crate) fn paper_for(arms: &Arms, paper: &mut Arms) {
    if let (Some(arm), Some(own)) = (paper.get_mut("net"), arms.get("net"))
        && own.network.contains("vit_base_patch16_384")
    {
        arm.network.clone_from(&own.network);
    }
}

/// What augments to one view is drawn twice.
pub(crate) fn draws(pipeline: &Pipeline) -> usize {
    if pipeline.views() == 1 { 2 } else { 1 }
}

/// Two views, there and back.
pub(crate) fn forwards(frozen: bool) -> f64 {
    2.0 * if frozen { 1.0 } else { 3.0 }
}

/// Accepts two views, of which one is augmented, or one to be drawn twice.
pub(crate) fn check_views(method: &str, pipeline: &Pipeline) -> Result<()> {
    let views = pipeline.transforms();
    let fits = [1, 2].contains(&views.len()) && views.iter().any(|view| !view.is_empty());
    let expected = format!(
        "one that augments to two views for method {method}, such as byol, or to one, which is drawn twice"
    );
    check("pipeline", pipeline, fits, &expected)
}

/// The optimiser that the text has, and is not here.
pub(crate) fn chosen(arms: &Arms, text: &str) -> Vec<String> {
    let lr = arms.get("net").map_or(0.0, |arm| arm.optimizer.lr());
    vec![format!(
        "arms.net.optimizer.lr = {lr}, constant: the text has {text}"
    )]
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
