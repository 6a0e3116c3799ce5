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
    /// From ImageNet's normal form to the one above: times, and then plus, `(1, C, 1, 1)` each.
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
        let channels = options.in_chans;
        let [[from_mean, from_std], [to_mean, to_std]] =
            [from, to].map(|n| n.of_channels(channels));
        let tensor = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f64> = (0..channels).map(value).collect();
            let values = Tensor::from_vec(values, (1, channels, 1, 1), &options.device)?;
            values.to_dtype(options.dtype)
        };
        Ok(Self {
            normalization,
            conversion: Some([
                tensor(&|c| from_std[c] / to_std[c])?,
                tensor(&|c| (from_mean[c] - to_mean[c]) / to_std[c])?,
            ]),
        })
    }

    /// `(B, C, S, S)` in the normal form of the network; others stay as they are, for it to refuse.
    pub(crate) fn of<'a>(&self, images: &'a Tensor) -> candle_core::Result<Cow<'a, Tensor>> {
        match &self.conversion {
            Some([scale, shift]) if images.rank() == 4 && images.dim(1)? == scale.dim(1)? => {
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
    fn channels_that_are_no_colours_have_the_statistics_of_the_colours_in_turn() -> Result<()> {
        let half = Normalization {
            mean: [0.5, 0.25, 0.75],
            std: [0.5, 0.25, 0.75],
        };
        for (channels, mean, std) in [
            (1, vec![0.5], vec![0.5]),
            (
                5,
                vec![0.5, 0.25, 0.75, 0.5, 0.25],
                vec![0.5, 0.25, 0.75, 0.5, 0.25],
            ),
        ] {
            assert_eq!(half.of_channels(channels), [mean.clone(), std.clone()]);
            let options = ModelOptions {
                in_chans: channels,
                input_size: 32,
                dtype: DType::F64,
                ..ModelOptions::default()
            };
            // A pixel of 0.6 in every channel, normalised as ImageNet's are.
            let [from_mean, from_std] = Normalization::IMAGENET.of_channels(channels);
            let pixel: Vec<f64> = (0..channels)
                .map(|c| (0.6 - from_mean[c]) / from_std[c])
                .collect();
            let image = Tensor::from_vec(pixel, (1, channels, 1, 1), &Device::Cpu)?;
            let converted = Images::normalized_by(half, &options)?
                .of(&image)?
                .flatten_all()?
                .to_vec1::<f64>()?;
            for c in 0..channels {
                let wanted = (0.6 - mean[c]) / std[c];
                assert!((converted[c] - wanted).abs() < 1e-12, "{converted:?}");
            }
        }
        Ok(())
    }
}
