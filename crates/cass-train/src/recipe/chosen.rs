//! What the paper's text leaves open.

use super::{Normalize, Recipe, Weights};

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
        for (name, arm) in &self.arms {
            chosen.extend(normalized(
                name,
                &arm.network,
                &arm.weights,
                &self.normalization,
            ));
        }
        chosen.extend(channels(self.data.in_chans));
        chosen.extend(self.method.config().chosen(&self.arms, &self.pipeline));
        chosen.push(
            "the last batch of an epoch is kept when it is smaller, but dropped when it is a single \
             image, which BatchNorm cannot normalise"
                .into(),
        );
        chosen
    }
}

/// What follows from images of other channels than three, none of which the paper has.
pub fn channels(in_chans: usize) -> Option<String> {
    let (images, weights, statistics, contrast) = match in_chans {
        3 => return None,
        1 => (
            "coloured images become grey (ITU-R 601)",
            "summed over the colours",
            "the means of the three colours' statistics",
            "its mean",
        ),
        _ => (
            "an image with another number of channels is refused",
            "repeated over the channels, times 3 over their number",
            "the statistics of red, green and blue in turn",
            "the mean of all channels",
        ),
    };
    Some(format!(
        "data.in_chans = {in_chans}: {images}; the first convolution has the pretrained weights {weights}, as timm's; \
         images are normalised by {statistics}; of the augmentation, saturation, hue and greyscale change nothing, \
         and contrast turns around {contrast}"
    ))
}

/// What to say of a network with published weights that were trained with other statistics than images are now
/// normalised by.
pub fn normalized(
    name: &str,
    network: &str,
    weights: &Weights,
    normalization: &Normalize,
) -> Option<String> {
    let used = normalization.of(network, weights).ok()?;
    let own = Normalize::Weights.of(network, weights).ok()?;
    let published = matches!(weights, Weights::Hub | Weights::HubRepo(_));
    (published && used != own).then(|| {
        format!(
            "normalization of {name}: mean {:?} and deviation {:?}, while its weights were trained with {:?} and {:?}",
            used.mean, used.std, own.mean, own.std
        )
    })
}
