//! A run's networks as they begin.

use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::weights::{Loaded, load_weights};
use candle_core::{DType, Device};
use cass_models::{Model, ModelOptions};

/// The network of the arm `name` as a run of this recipe begins with it, and where its weights are
/// from.
///
/// # Errors
/// If the recipe has no such arm, or its weights cannot be read or do not fit.
pub fn initial_network(recipe: &Recipe, name: &str, device: &Device) -> Result<(Model, Loaded)> {
    let Some(index) = recipe.arms.keys().position(|arm| arm == name) else {
        let arms: Vec<&str> = recipe.arms.keys().map(String::as_str).collect();
        let arms = arms.join(" or ");
        let text = format!("the recipe has no arm {name}; expected {arms}");
        return Err(Error::Mismatch(text));
    };
    let arm = &recipe.arms[name];
    let seed = recipe.seed.wrapping_add(twins(recipe) * index as u64);
    let options = ModelOptions {
        num_classes: recipe.outputs,
        input_size: recipe.size,
        in_chans: recipe.data.in_chans,
        seed,
        dtype: DType::F32,
        device: device.clone(),
    };
    let mut model = Model::new(&arm.network, &options)?;
    model.set_normalization(recipe.normalization.of(&arm.network, &arm.weights)?)?;
    let origin = load_weights(&model, &arm.network, &arm.weights, seed)?;
    Ok((model, origin))
}

/// 1 where both arms are the same network: from one seed they would start as one, and agree
/// without learning anything.
fn twins(recipe: &Recipe) -> u64 {
    let mut networks = recipe.arms.values().map(|arm| &arm.network);
    u64::from(networks.len() == 2 && networks.next() == networks.next())
}
