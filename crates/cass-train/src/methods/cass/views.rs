//! CASS' views: one of each image, which both networks see.

use crate::error::Result;
use crate::settings::check;
use cass_data::augment::Pipeline;

/// Accepts what augments to one view.
pub(super) fn check_views(pipeline: &Pipeline) -> Result<()> {
    check(
        "pipeline",
        pipeline,
        pipeline.views() == 1 && *pipeline != Pipeline::Eval,
        "one that augments to one view for method cass, such as paper",
    )
}

/// What of a pipeline the paper leaves open.
pub(super) fn chosen(pipeline: &Pipeline) -> impl Iterator<Item = String> {
    let hue = "colour jitter without hue, as in the authors' code (the text adds hue)";
    let (blur, solarize) = (
        "a Gaussian blur of 23 pixels, sigma 0.1 to 2, of every second image, as SimCLR's",
        "solarisation of every fifth image at 128, as BYOL's and DINO's",
    );
    let chosen = match pipeline {
        Pipeline::Paper => vec![hue],
        Pipeline::PaperHue => vec!["a hue of 0.2 (the text gives one number for all four)"],
        Pipeline::PaperSolarize => vec![hue, solarize],
        Pipeline::PaperBlur => vec![hue, blur],
        Pipeline::PaperBlurSolarize => vec![hue, blur, solarize],
        _ => vec![],
    };
    chosen
        .into_iter()
        .map(move |what| format!("pipeline = {pipeline}: {what}"))
}
