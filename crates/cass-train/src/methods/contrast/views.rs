//! The views of a contrast: two draws of one augmentation of each image, which both networks see.

use crate::error::Result;
use crate::settings::check;
use cass_data::augment::Pipeline;

/// Accepts what augments to one view, which is drawn twice.
pub(super) fn check_views(pipeline: &Pipeline) -> Result<()> {
    check(
        "pipeline",
        pipeline,
        pipeline.views() == 1 && *pipeline != Pipeline::Eval,
        "one that augments to one view for method cass-contrast, which draws it twice, such as crops",
    )
}
