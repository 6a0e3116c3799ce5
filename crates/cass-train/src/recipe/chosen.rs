//! What the paper's text leaves open.

use super::{Method, Recipe};
use cass_data::augment::Pipeline;

impl Recipe {
    /// What the paper's text leaves open and was chosen here, one sentence each.
    pub fn chosen(&self) -> Vec<String> {
        let mut chosen = vec![format!(
            "data.val_fraction = {}: cut from the training split, stratified by class, by the run's seed",
            self.data.val_fraction
        )];
        if self.data.fraction < 1.0 {
            chosen.push(format!(
                "data.fraction = {}: stratified, at least one image a class",
                self.data.fraction
            ));
        }
        if let Some(swa) = &self.swa {
            chosen.push(format!(
                "swa.start = {}: the text names no start; weights are averaged once an epoch from \
                 there on and BatchNorm statistics re-estimated by one pass over the training images",
                swa.start
            ));
        }
        match self.method {
            Method::Cass => chosen.extend(self.chosen_pipeline()),
            Method::Dino => chosen.extend([
                format!(
                    "arms.net.optimizer.lr = {}, constant: the text defers to vit-pytorch, whose \
                     example uses 3e-4",
                    self.arms.get("net").map_or(0.0, |arm| arm.optimizer.lr())
                ),
                "the student's weights are kept, as in vit-pytorch's example".into(),
            ]),
        }
        chosen.push(
            "the last batch of an epoch is kept when it is smaller, but dropped when it is a single \
             image, which BatchNorm cannot normalise"
                .into(),
        );
        chosen
    }

    fn chosen_pipeline(&self) -> Vec<String> {
        let hue = "colour jitter without hue, as in the authors' code (the text adds hue)";
        let (blur, solarize) = (
            "a Gaussian blur of 23 pixels, sigma 0.1 to 2, of every second image, as SimCLR's",
            "solarisation of every fifth image at 128, as BYOL's and DINO's",
        );
        let chosen = match self.pipeline {
            Pipeline::Paper => vec![hue],
            Pipeline::PaperHue => vec!["a hue of 0.2 (the text gives one number for all four)"],
            Pipeline::PaperSolarize => vec![hue, solarize],
            Pipeline::PaperBlur => vec![hue, blur],
            Pipeline::PaperBlurSolarize => vec![hue, blur, solarize],
            Pipeline::Eval | Pipeline::Dino | Pipeline::Stages(_) => vec![],
        };
        let name = &self.pipeline;
        let sentence = |what: &str| format!("pipeline = {name}: {what}");
        chosen.into_iter().map(sentence).collect()
    }
}
