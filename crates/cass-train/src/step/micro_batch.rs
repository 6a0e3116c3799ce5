//! A batch in parts (micro-batches), for gradients that are gathered.

use crate::error::Result;
use candle_core::Tensor;

/// A part of a batch: its views, and its share of the images.
pub(crate) struct MicroBatch {
    pub(crate) views: Vec<Tensor>,
    pub(crate) share: f64,
}

impl MicroBatch {
    /// What a mean over the part is of the mean over the batch.
    pub(crate) fn of(&self, mean: Tensor) -> candle_core::Result<Tensor> {
        if self.share == 1.0 {
            Ok(mean)
        } else {
            mean * self.share
        }
    }
}

/// Cuts a batch into parts of at most `most` images, as even as can be. A part of a single image,
/// which BatchNorm cannot normalise, is left in the part before.
pub(crate) fn micro_batches(views: &[Tensor], most: Option<usize>) -> Result<Vec<MicroBatch>> {
    let images = views.first().map_or(Ok(0), |view| view.dim(0))?;
    let count = most
        .map_or(1, |most| images.div_ceil(most.max(1)).min(images / 2))
        .max(1);
    let mut start = 0;
    let parts = (0..count).map(|i| {
        let length = images / count + usize::from(i < images % count);
        let cut = |view: &Tensor| match count {
            1 => Ok(view.clone()),
            _ => view.narrow(0, start, length)?.contiguous(),
        };
        let views = views.iter().map(cut).collect::<candle_core::Result<_>>()?;
        start += length;
        let share = if count == 1 {
            1.0
        } else {
            length as f64 / images as f64
        };
        Ok(MicroBatch { views, share })
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn parts_are_even_and_never_of_one_image() {
        let sizes = |images: usize, most: Option<usize>| {
            let view = Tensor::zeros((images, 3), DType::F32, &Device::Cpu).unwrap();
            let parts = micro_batches(&[view], most).unwrap();
            let shares: f64 = parts.iter().map(|part| part.share).sum();
            assert!((shares - 1.0).abs() < 1e-12);
            parts
                .iter()
                .map(|p| p.views[0].dims()[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(16, None), [16]);
        assert_eq!(sizes(16, Some(4)), [4, 4, 4, 4]);
        assert_eq!(sizes(7, Some(4)), [4, 3]);
        assert_eq!(sizes(5, Some(2)), [3, 2]);
        assert_eq!(sizes(2, Some(4)), [2]);
    }
}
