//! Where a network looks: attention of Transformers, Grad-CAM of whatever has a last map.

use super::subject::values;
use crate::{Error, Result};
use candle_core::{IndexOp as _, Tensor};
use cass_models::family::{LastMap, Readout};
use cass_models::intermediates::Taps;
use cass_models::{Mode, Model};
use std::ops::Range;

/// How to ask a network where it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Attention from the tokens that the classifier sees to the patches, followed through all blocks: of each the mean
    /// over heads, half of it the token itself (Abnar & Zuidema 2020, arXiv 2005.00928). ViT and DeiT.
    Rollout,
    /// Attention from the tokens that the classifier sees to the patches in the last block, mean over heads. ViT and DeiT.
    LastBlock,
    /// Share of the last map that speaks for a class (Selvaraju et al. 2017, arXiv 1610.02391). All
    /// networks but ViT and DeiT, whose classifier sees no map.
    GradCam,
}

/// What a network looks at in one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Cells a row and rows, each as many.
    pub side: usize,
    /// Row-major (side, side), from 0 to 1, the largest, which it is unless all are 0.
    pub values: Vec<f32>,
    /// The output that Grad-CAM asked about.
    pub class: Option<usize>,
}

impl Look {
    /// `rollout`, `last-block` or `grad-cam`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::LastBlock => "last-block",
            Self::GradCam => "grad-cam",
        }
    }

    /// [`Rollout`](Self::Rollout) where the classifier sees a token, else [`GradCam`](Self::GradCam).
    pub fn for_network(model: &Model) -> Self {
        if has_tokens(model) {
            Self::Rollout
        } else {
            Self::GradCam
        }
    }

    /// Looks at images `(B, 3, S, S)` with a [frozen](Model::frozen) network. `class` is the output that
    /// Grad-CAM asks about, that of the largest logit where there is none.
    ///
    /// # Errors
    /// If the network cannot be asked so, has no such output, or gives values that are not finite.
    pub fn at(self, model: &Model, images: &Tensor, class: Option<usize>) -> Result<Vec<Heat>> {
        match (self, has_tokens(model)) {
            (Self::GradCam, false) => grad_cam(model, images, class),
            (Self::Rollout | Self::LastBlock, true) => self.attention(model, images),
            (_, tokens) => Err(Error::Look {
                look: self.name(),
                network: model.name().to_string(),
                expected: if tokens {
                    "rollout or last-block"
                } else {
                    "grad-cam"
                },
            }),
        }
    }

    fn attention(self, model: &Model, images: &Tensor) -> Result<Vec<Heat>> {
        let all = model.intermediate_names().iter();
        let mut names: Vec<&str> = all
            .map(String::as_str)
            .filter(|n| n.ends_with(".attn"))
            .collect();
        if self == Self::LastBlock {
            names.drain(..names.len().saturating_sub(1));
        }
        let taps = Taps::new(names.iter().copied());
        let seen = model.forward_with(images, Mode::Eval, &taps)?.intermediates;
        let batch = images.dim(0)?;
        let mut weights = vec![Vec::with_capacity(names.len()); batch];
        for (_, attention) in seen.iter() {
            for (image, weights) in weights.iter_mut().enumerate() {
                // (heads, N, N) → (N, N)
                weights.push(values(&attention.value().i(image)?.mean(0)?)?);
            }
        }
        let (prefix, looking) = match model.readout() {
            Readout::Prefix { read, prefix } => (prefix, 0..read),
            Readout::Patches { prefix } => (prefix, prefix..usize::MAX),
            Readout::Map(_) => (0, 0..0),
        };
        let heat = |blocks: Vec<Vec<f32>>| match self {
            Self::LastBlock => from_tokens(&blocks.concat(), prefix, &looking),
            _ => from_tokens(&rollout(&blocks), prefix, &looking),
        };
        Ok(weights.into_iter().map(heat).collect())
    }
}

fn has_tokens(model: &Model) -> bool {
    !matches!(model.readout(), Readout::Map(_))
}

/// The product of all blocks' attention `(N, N)`, the last leftmost, each mixed half and half with the
/// identity for the residual connection; rows sum to 1 as theirs do.
fn rollout(blocks: &[Vec<f32>]) -> Vec<f32> {
    let n = blocks.first().map_or(0, |block| block.len().isqrt());
    let mut product: Vec<f64> = (0..n * n)
        .map(|i| f64::from(u8::from(i % (n + 1) == 0)))
        .collect();
    for block in blocks {
        let mut next = vec![0.0; n * n];
        for (token, row) in next.chunks_exact_mut(n).enumerate() {
            for (other, before) in product.chunks_exact(n).enumerate() {
                let itself = f64::from(u8::from(other == token));
                let weight = 0.5 * (f64::from(block[token * n + other]) + itself);
                for (sum, value) in row.iter_mut().zip(before) {
                    *sum += weight * value;
                }
            }
        }
        product = next;
    }
    product.into_iter().map(|v| v as f32).collect()
}

/// What the tokens that the classifier sees, on average, give to the patches behind `prefix` others, on
/// their square: rows of `(N, N)`.
fn from_tokens(weights: &[f32], prefix: usize, looking: &Range<usize>) -> Heat {
    let n = weights.len().isqrt();
    let looking = looking.start.min(n)..looking.end.min(n);
    let rows = || looking.clone().map(|token| &weights[token * n..][..n]);
    let mean = |token: usize| rows().map(|row| row[token]).sum::<f32>() / looking.len() as f32;
    Heat::scaled((prefix..n).map(mean).collect(), None)
}

/// `relu(Σ_c α_c A_c)` of the last map, α the mean over pixels of the class's gradient.
fn grad_cam(model: &Model, images: &Tensor, class: Option<usize>) -> Result<Vec<Heat>> {
    let Readout::Map(LastMap {
        name,
        channels_last,
    }) = model.readout()
    else {
        return Err(Error::Look {
            look: Look::GradCam.name(),
            network: model.name().to_string(),
            expected: "rollout or last-block",
        });
    };
    if let Some(class) = class.filter(|&class| class >= model.num_classes()) {
        return Err(Error::NoOutput {
            network: model.name().to_string(),
            class,
            classes: model.num_classes(),
        });
    }
    let output = model.forward_with(images, Mode::Eval, &Taps::new([name]).with_gradients())?;
    let logits = output.logits.value();
    let (batch, classes) = logits.dims2()?;
    let largest = logits.argmax(1)?.to_vec1::<u32>()?;
    let asked = largest
        .iter()
        .map(|&largest| class.unwrap_or(largest as usize));
    let asked: Vec<usize> = asked.collect();
    let score =
        (0..batch * classes).map(|i| f32::from(u8::from(asked[i / classes] == i % classes)));
    let score = Tensor::from_iter(score, logits.device())?.reshape((batch, classes))?;
    let score = score.to_dtype(logits.dtype())?;
    let missing = || Error::Tensor(candle_core::Error::Msg(format!("no gradient of {name}")));
    let map = output.intermediates.get(name).ok_or_else(missing)?;
    let gradients = output.logits.backward_from(&score)?;
    let slopes = gradients.of(map).ok_or_else(missing)?;
    // (B, pixels, C) either way
    let rows = |t: &Tensor| -> Result<Tensor> {
        if channels_last {
            Ok(t.flatten(1, 2)?)
        } else {
            Ok(t.flatten(2, 3)?.transpose(1, 2)?)
        }
    };
    let (map, slopes) = (rows(map.value())?, rows(slopes)?);
    let weights = slopes.mean_keepdim(1)?; // (B, 1, C)
    let heat = map.broadcast_mul(&weights)?.sum(2)?; // (B, pixels)
    let of = |(image, class): (usize, usize)| -> Result<Heat> {
        let positive = values(&heat.i(image)?)?.into_iter().map(|v| v.max(0.0));
        Ok(Heat::scaled(positive.collect(), Some(class)))
    };
    asked.into_iter().enumerate().map(of).collect()
}

impl Heat {
    /// A map of a square of values from 0 up.
    fn scaled(mut values: Vec<f32>, class: Option<usize>) -> Self {
        let largest = values.iter().copied().fold(0.0, f32::max);
        if largest > 0.0 {
            values.iter_mut().for_each(|v| *v /= largest);
        }
        Self {
            side: values.len().isqrt(),
            values,
            class,
        }
    }

    /// The value at each pixel of a picture of `size`, row-major: between the middles of the four
    /// nearest cells (`torch.nn.functional.interpolate`, bilinear, `align_corners=False`).
    pub fn resized(&self, size: usize) -> Vec<f32> {
        let side = self.side;
        let near = |pixel: usize| {
            let at = (pixel as f64 + 0.5) * side as f64 / size as f64 - 0.5;
            let at = at.clamp(0.0, side.saturating_sub(1) as f64);
            let low = at as usize;
            (
                low,
                (low + 1).min(side.saturating_sub(1)),
                (at - low as f64) as f32,
            )
        };
        let columns: Vec<_> = (0..size).map(near).collect();
        let mut picture = Vec::with_capacity(size * size);
        for (top, bottom, down) in (0..size).map(near) {
            for &(left, right, across) in &columns {
                let row = |y: usize| {
                    let (a, b) = (self.values[y * side + left], self.values[y * side + right]);
                    a + (b - a) * across
                };
                picture.push(row(top) + (row(bottom) - row(top)) * down);
            }
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_followed_through_the_residuals() {
        // Token 0 attends to 1 alone in the second block, 1 to 2 alone in the first.
        let first = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0].to_vec();
        let second = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].to_vec();
        let rolled = rollout(&[first, second]);
        assert_eq!(rolled[..3], [0.5, 0.25, 0.25]);
        assert_eq!(rolled[3..6], [0.0, 0.5, 0.5]);
    }

    #[test]
    fn the_largest_is_one_unless_all_are_zero() {
        let heat = Heat::scaled(vec![0.0, 0.5, 0.25, 0.0], Some(3));
        assert_eq!((heat.side, heat.class), (2, Some(3)));
        assert_eq!(heat.values, [0.0, 1.0, 0.5, 0.0]);
        assert_eq!(Heat::scaled(vec![0.0; 4], None).values, [0.0; 4]);
    }

    #[test]
    fn pictures_interpolate_between_the_middles_of_cells() {
        let heat = Heat::scaled(vec![0.0, 1.0, 0.0, 1.0], None);
        let picture = heat.resized(4);
        assert_eq!(picture[..4], [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(picture[..4], picture[12..]);
        assert_eq!(Heat::scaled(vec![2.0], None).resized(2), [1.0; 4]);
    }
}
