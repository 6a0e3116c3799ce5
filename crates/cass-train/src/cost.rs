//! What a recipe costs to compute, counted from the shapes of its networks.

use crate::error::Result;
use crate::recipe::Recipe;
use cass_models::registry::find;

/// Operations of one training step on a whole batch, in 10⁹, two a multiply-add.
///
/// ```
/// use cass_train::{Recipe, cost::step_gflops, methods::CassConfig};
/// let paper = Recipe::paper(CassConfig::default());
/// let gflops = step_gflops(&paper).unwrap();
/// assert!((5000.0..7000.0).contains(&gflops), "{gflops}");
/// ```
///
/// # Errors
/// If a network is unknown.
pub fn step_gflops(recipe: &Recipe) -> Result<f64> {
    let mut gflops = 0.0;
    for arm in recipe.arms.values() {
        let config = &find(&arm.network)?.config;
        let forward = config
            .cost(recipe.size, recipe.data.in_chans, recipe.outputs)
            .gflops();
        gflops += recipe.method.forwards(arm.frozen) * forward;
    }
    Ok(recipe.batch as f64 * gflops)
}
