//! What a probe has that the paper has otherwise, or leaves open.

use super::{ClassWeights, ProbeMode, ProbeRecipe};
use cass_train::Protocol;
use cass_train::recipe::{channels, normalized};

impl ProbeRecipe {
    /// What differs from the paper's settings, as `field = value (paper: value)`. Left out: what
    /// every probe chooses or what decides no result.
    pub fn deviations(&self) -> Vec<String> {
        const OWN: [&str; 12] = [
            "arm",
            "data.fraction",
            "data.name",
            "data.root",
            "data.skip_bad",
            "device",
            "keep_network",
            "multi_label",
            "network",
            "protocol",
            "seed",
            "threads",
        ];
        let mut paper = Self::preset(Protocol::Paper, self.mode);
        if self.multi_label {
            paper = paper.for_multi_label();
        }
        if self.arm.is_some() {
            // Weights of a pretraining are what the paper probes.
            paper.weights = self.weights.clone();
        }
        // A commit is a state of what the paper means, not another thing.
        let recipe = Self {
            weights: self.weights.without_commit(&self.network),
            ..self.clone()
        };
        cass_run::deviations(&recipe, &paper, &OWN)
    }

    /// What the paper's text leaves open and was chosen here, one sentence each.
    pub fn chosen(&self) -> Vec<String> {
        let mut chosen = vec![
            "headline F1 is macro; micro and weighted stand beside it".to_string(),
            "label fractions are stratified, nested, at least one image a class".to_string(),
        ];
        let (network, weights) = (&self.network, &self.weights);
        chosen.extend(normalized(
            "the network",
            network,
            weights,
            &self.normalization,
        ));
        chosen.extend(channels(self.data.in_chans));
        if self.mode != ProbeMode::Knn {
            chosen.push(
                match self.class_weights {
                    ClassWeights::Paper => {
                        "class weights run from 0.2 (rarest) to 1 (most frequent), as in the published code"
                    }
                    ClassWeights::None => "class weights: none, all images weigh the same",
                    ClassWeights::Balanced => "class weights: every class weighs the same",
                }
                .to_string(),
            );
        }
        if self.multi_label {
            chosen.push(
                "several labels an image: focal loss of each class' sigmoid, decided at 0.5 (thresholds \
                 that suit the validation images stand beside it, under `tuned`)"
                    .into(),
            );
        }
        match self.mode {
            ProbeMode::Linear if self.augment => {
                chosen.push("linear: features of newly augmented images in every epoch".into());
            }
            ProbeMode::Linear => {
                chosen.push("linear: features of the images as they are, without augmentation".into());
            }
            ProbeMode::Knn => chosen.push(
                "knn: cosine, votes weighted by exp(cosine / 0.07), neighbours chosen by leaving one out"
                    .into(),
            ),
            ProbeMode::Logistic => {
                let logistic = self.logistic.clone().unwrap_or_default();
                let refit = if logistic.refit { ", then fitted to both" } else { "" };
                chosen.push(format!(
                    "logistic: L2 penalty on standardised features, C from {:?} by the validation images{refit}",
                    logistic.grid
                ));
            }
            ProbeMode::Finetune => {}
        }
        chosen
    }
}
