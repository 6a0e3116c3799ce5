//! DINO's views: a local and a global crop of each of two augmentations of an image.

use crate::error::Result;
use crate::settings::check;
use cass_data::augment::Pipeline;

/// Accepts the four crops.
pub(super) fn check_views(pipeline: &Pipeline) -> Result<()> {
    let fits = *pipeline == Pipeline::Dino;
    check(
        "pipeline",
        pipeline,
        fits,
        "dino (four crops) for method dino",
    )
}
