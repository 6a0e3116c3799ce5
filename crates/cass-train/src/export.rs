//! Networks of finished runs, as folders for other programs.

use crate::error::{Error, Result};
use crate::recipe::Recipe;
use cass_models::export::{Export, Format};
use cass_models::registry::{Interpolation, Normalization};
use cass_models::{Model, ModelOptions};
use cass_run::Finished;
use cass_run::names::checkpoint;
use std::path::Path;

/// One network of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<'a> {
    /// timm's name.
    pub name: &'a str,
    /// The network's weights, a file of the run's folder.
    pub checkpoint: &'a str,
    /// Outputs of its classifier.
    pub outputs: usize,
    /// Height and width of its input, in pixels.
    pub size: usize,
    /// Channels of its input.
    pub in_chans: usize,
    /// Names of its outputs; empty where they have none.
    pub label_names: Vec<String>,
    /// Whether the classifier was fitted on features, as [`Model::classify`] sees them, and not on
    /// images: the two heads of a distilled DeiT differ in that.
    pub on_features: bool,
    /// What its images were normalised by.
    pub normalization: Normalization,
    /// How it was trained.
    pub method: &'a str,
    /// What the run calls it.
    pub arm: Option<&'a str>,
}

/// Writes a network of a finished pretraining as a folder that timm loads, or what it computes its features by as ONNX.
///
/// # Errors
/// If the run is not a pretraining, has no such arm (or several and none is named), or as
/// [`export_network`].
pub fn export(run: &Finished, arm: Option<&str>, format: Format, out: &Path) -> Result<Model> {
    let recipe = Recipe::from_toml(&run.recipe).map_err(|error| wrong(run, error))?;
    let arms: Vec<&str> = recipe.arms.keys().map(String::as_str).collect();
    let (arm, settings) = match (arm, recipe.arms.len()) {
        (None, 1) => recipe.arms.iter().next(),
        (None, _) => None,
        (Some(arm), _) => recipe.arms.get_key_value(arm),
    }
    .ok_or_else(|| match arm {
        None => wrong(
            run,
            format_args!(
                "it has several networks, choose --arm {}",
                arms.join(" or --arm ")
            ),
        ),
        Some(arm) => wrong(
            run,
            format_args!("it has no arm {arm}: expected {}", arms.join(" or ")),
        ),
    })?;
    export_network(
        run,
        Network {
            name: &settings.network,
            checkpoint: &checkpoint(arm),
            outputs: recipe.outputs,
            size: recipe.size,
            in_chans: recipe.data.in_chans,
            label_names: Vec::new(),
            on_features: false,
            normalization: recipe
                .normalization
                .of(&settings.network, &settings.weights)?,
            method: recipe.method.name(),
            arm: Some(arm),
        },
        format,
        out,
    )
}

/// Writes the network of one of the run's checkpoints as a folder. Images were resized to a square with PIL's bilinear
/// filter. A network in ONNX has its classifier only where its outputs have names.
///
/// # Errors
/// If the checkpoint does not fit the network, or the folder cannot be made.
pub fn export_network(
    run: &Finished,
    network: Network<'_>,
    format: Format,
    out: &Path,
) -> Result<Model> {
    let options = ModelOptions {
        num_classes: network.outputs,
        input_size: network.size,
        in_chans: network.in_chans,
        ..ModelOptions::default()
    };
    let model = Model::new(network.name, &options)?;
    let checkpoint = run.intact(network.checkpoint)?;
    let report = model.load(&checkpoint)?;
    if report.new_head.is_some() || report.resampled.is_some() {
        return Err(wrong(
            run,
            format_args!("its recipe is of another network: {report}"),
        ));
    }
    if network.on_features {
        model.average_heads()?;
    }
    let export = Export {
        label_names: network.label_names,
        normalization: network.normalization,
        interpolation: Interpolation::Bilinear,
        method: network.method.into(),
        arm: network.arm.map(String::from),
        recipe: run.recipe.clone(),
    };
    match format {
        Format::Timm => model.export(out, &export)?,
        Format::Onnx => model.export_onnx(out, &export, !export.label_names.is_empty())?,
    }
    Ok(model)
}

fn wrong(run: &Finished, why: impl std::fmt::Display) -> Error {
    Error::Mismatch(format!("{} cannot be exported: {why}", run.path.display()))
}
