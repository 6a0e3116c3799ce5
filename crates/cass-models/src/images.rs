//! What is done to images before a network sees them.

use crate::error::Result;
use crate::options::ModelOptions;
use crate::registry::Normalization;
use candle_core::Tensor;
use std::borrow::Cow;

/// What is done to images before the network sees them.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    pub(crate) normalization: Normalization,
    /// From ImageNet's normal form to the one above: times, and then plus, `(1, 3, 1, 1)` each.
    conversion: Option<[Tensor; 2]>,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            normalization: Normalization::IMAGENET,
            conversion: None,
        }
    }
}

impl Images {
    pub(crate) fn normalized_by(
        normalization: Normalization,
        options: &ModelOptions,
    ) -> Result<Self> {
        let (from, to) = (Normalization::IMAGENET, normalization);
        if to == from {
            return Ok(Self::default());
        }
        let tensor = |value: &dyn Fn(usize) -> f64| {
            let values = Tensor::new(&[0, 1, 2].map(value), &options.device)?;
            values.reshape((1, 3, 1, 1))?.to_dtype(options.dtype)
        };
        Ok(Self {
            normalization,
            conversion: Some([
                tensor(&|c| from.std[c] / to.std[c])?,
                tensor(&|c| (from.mean[c] - to.mean[c]) / to.std[c])?,
            ]),
        })
    }

    /// `(B, 3, S, S)` in the normal form of the network; others stay as they are, for it to refuse.
    pub(crate) fn of<'a>(&self, images: &'a Tensor) -> candle_core::Result<Cow<'a, Tensor>> {
        match &self.conversion {
            Some([scale, shift]) if images.rank() == 4 && images.dim(1)? == 3 => {
                let scaled = images.broadcast_mul(scale)?;
                Ok(Cow::Owned(scaled.broadcast_add(shift)?))
            }
            _ => Ok(Cow::Borrowed(images)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Model};
    use candle_core::{DType, Device};
    use cass_rng::Rng;

    #[test]
    fn images_are_converted_to_the_statistics_that_weights_want() -> Result<()> {
        let options = ModelOptions {
            num_classes: 4,
            input_size: 32,
            dtype: DType::F64,
            ..ModelOptions::default()
        };
        let half = Normalization {
            mean: [0.5; 3],
            std: [0.25, 0.5, 1.0],
        };
        let mut rng = Rng::new(0, "pixels", [0, 0], 0);
        let pixels: Vec<f64> = (0..2 * 3 * 32 * 32).map(|_| rng.uniform()).collect();
        let normalized = |by: Normalization| {
            let values = pixels.iter().enumerate().map(|(i, pixel)| {
                let channel = i / (32 * 32) % 3;
                (pixel - by.mean[channel]) / by.std[channel]
            });
            Tensor::from_vec(values.collect::<Vec<_>>(), (2, 3, 32, 32), &Device::Cpu)
        };
        let plain = Model::new("vit_tiny_patch16_224", &options)?;
        let mut converts = plain.deep_copy()?;
        converts.set_normalization(half)?;
        assert_eq!(converts.frozen()?.deep_copy()?.normalization(), half);
        let wanted = plain.forward(&normalized(half)?, Mode::Eval)?.logits;
        let images = normalized(Normalization::IMAGENET)?;
        let distance = |model: &Model| -> Result<f64> {
            let logits = model.forward(&images, Mode::Eval)?.logits;
            let off = (logits.value() - wanted.value())?.abs()?;
            Ok(off.max_all()?.to_scalar::<f64>()?)
        };
        assert!(distance(&converts)? < 1e-12, "{}", distance(&converts)?);
        assert!(distance(&plain)? > 1e-3);
        let features = converts.features(&images, Mode::Eval)?;
        let wanted = plain.features(&normalized(half)?, Mode::Eval)?;
        let off = (features.value() - wanted.value())?.abs()?;
        assert!(off.max_all()?.to_scalar::<f64>()? < 1e-12);
        Ok(())
    }

    #[test]
    fn statistics_of_colours_are_for_three_channels() -> Result<()> {
        let options = ModelOptions {
            in_chans: 1,
            input_size: 32,
            ..ModelOptions::default()
        };
        let mut model = Model::new("resnet18", &options)?;
        model.set_normalization(Normalization::IMAGENET)?;
        let mut half = Normalization::IMAGENET;
        half.mean = [0.5; 3];
        let error = model.set_normalization(half).unwrap_err().to_string();
        assert!(error.contains("it takes 1 channels"), "{error}");
        Ok(())
    }
}
