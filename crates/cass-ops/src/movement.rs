//! Operations that move values, or are linear in them, over Candle's own: each names the way back.

use crate::op::Op;
use crate::tracked::{Gradient, Tracked};
use candle_core::{Result, Shape, Tensor, bail};

impl Tracked {
    /// A linear operation of one input whose gradient is `back` of the result's.
    fn linear_in(
        &self,
        op: Op,
        value: Tensor,
        back: impl FnOnce(&Tensor) -> Result<Tensor> + Send + 'static,
    ) -> Self {
        Self::record(op, value, &[self], move |dy| {
            Ok(vec![Some(Gradient::shared(back(dy)?))])
        })
    }

    /// The same values in another shape, as `torch.reshape`.
    ///
    /// # Errors
    /// If the shape holds another number of values.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let before = self.value().shape().clone();
        let value = self.value().reshape(shape.into())?;
        Ok(self.linear_in(Op::Reshape, value, move |dy| dy.reshape(before)))
    }

    /// Dimensions in another order, as `torch.permute`.
    ///
    /// # Errors
    /// If `dims` is no permutation of the dimensions.
    pub fn permute(&self, dims: &[usize]) -> Result<Self> {
        let value = self.value().permute(dims)?;
        let mut inverse = vec![0; dims.len()];
        for (to, &from) in dims.iter().enumerate() {
            inverse[from] = to;
        }
        let op = Op::Permute(dims.to_vec());
        Ok(self.linear_in(op, value, move |dy| dy.permute(inverse.as_slice())))
    }

    /// `len` places from `start` on, as `torch.narrow`.
    ///
    /// # Errors
    /// If they are not all there.
    pub fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Self> {
        let value = self.value().narrow(dim, start, len)?;
        let behind = self.value().dim(dim)? - start - len;
        let op = Op::Narrow { dim, start, len };
        Ok(self.linear_in(op, value, move |dy| dy.pad_with_zeros(dim, start, behind)))
    }

    /// Zeros in front of and behind a dimension.
    ///
    /// # Errors
    /// If there is no such dimension.
    pub fn pad_with_zeros(&self, dim: usize, front: usize, behind: usize) -> Result<Self> {
        let len = self.value().dim(dim)?;
        let value = self.value().pad_with_zeros(dim, front, behind)?;
        let op = Op::Pad { dim, front, behind };
        Ok(self.linear_in(op, value, move |dy| dy.narrow(dim, front, len)))
    }

    /// Moves values in a circle along a dimension, as `torch.roll`.
    ///
    /// # Errors
    /// If there is no such dimension.
    pub fn roll(&self, by: i32, dim: usize) -> Result<Self> {
        let value = self.value().roll(by, dim)?;
        let op = Op::Roll { dim, by };
        Ok(self.linear_in(op, value, move |dy| dy.contiguous()?.roll(-by, dim)))
    }

    /// Rows of these numbers (u32), as `torch.index_select` along dimension 0; a row may be taken
    /// several times.
    ///
    /// # Errors
    /// If there are no such rows.
    pub fn rows(&self, numbers: &Tensor) -> Result<Self> {
        let value = self.value().index_select(numbers, 0)?;
        let (numbers, before) = (numbers.clone(), self.value().clone());
        Ok(self.linear_in(Op::Rows(numbers.clone()), value, move |dy| {
            before
                .zeros_like()?
                .index_add(&numbers, &dy.contiguous()?, 0)
        }))
    }

    /// Tensors behind each other along a dimension, as `torch.cat`.
    ///
    /// # Errors
    /// If there are none or they differ in another dimension.
    pub fn cat(parts: &[&Self], dim: usize) -> Result<Self> {
        let values: Vec<&Tensor> = parts.iter().map(|part| part.value()).collect();
        let value = Tensor::cat(&values, dim)?;
        let lengths = values.iter().map(|v| v.dim(dim));
        let lengths = lengths.collect::<Result<Vec<_>>>()?;
        Ok(Self::record(Op::Cat(dim), value, parts, move |dy| {
            let mut start = 0;
            let of = |len| {
                let part = dy.narrow(dim, start, len)?;
                start += len;
                Ok(Some(Gradient::shared(part)))
            };
            lengths.into_iter().map(of).collect()
        }))
    }

    /// `self + other`, where `other` is repeated along dimensions it lacks or has one value in.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn broadcast_add(&self, other: &Self) -> Result<Self> {
        let value = self.value().broadcast_add(other.value())?;
        if value.dims() != self.dims() {
            bail!("{:?} does not repeat to {:?}", other.dims(), self.dims());
        }
        let shape = other.value().shape().clone();
        let lacks = self.dims().len() - shape.rank();
        let repeated = self.dims().iter().enumerate();
        let repeated: Vec<usize> = repeated
            .filter(|&(i, &n)| i < lacks || (shape.dims()[i - lacks] == 1 && n != 1))
            .map(|(i, _)| i)
            .collect();
        Ok(Self::record(Op::Add, value, &[self, other], move |dy| {
            let sum = dy.sum_keepdim(repeated)?.reshape(shape)?;
            Ok(vec![
                Some(Gradient::shared(dy.clone())),
                Some(Gradient::shared(sum)),
            ])
        }))
    }

    /// The one entry of the first dimension `count` times.
    ///
    /// # Errors
    /// If there are several.
    pub fn repeat_first(&self, count: usize) -> Result<Self> {
        let mut shape = self.dims().to_vec();
        match shape.first_mut() {
            Some(first) if *first == 1 => *first = count,
            _ => bail!("{:?} has not one entry to repeat", self.dims()),
        }
        let value = self.value().broadcast_as(shape)?.contiguous()?;
        Ok(self.linear_in(Op::RepeatFirst, value, move |dy| dy.sum_keepdim(0)))
    }

    /// `factor` times every value.
    ///
    /// # Errors
    /// If the dtype is not a float.
    pub fn scale(&self, factor: f64) -> Result<Self> {
        let value = (self.value() * factor)?;
        Ok(self.linear_in(Op::Scale(factor), value, move |dy| dy * factor))
    }

    /// The mean along a dimension, which the result lacks.
    ///
    /// # Errors
    /// If there is no such dimension.
    pub fn mean(&self, dim: usize) -> Result<Self> {
        let value = self.value().mean(dim)?;
        let (shape, share) = (
            self.value().shape().clone(),
            1.0 / self.value().dim(dim)? as f64,
        );
        Ok(self.linear_in(Op::Mean(dim), value, move |dy| {
            (dy * share)?.unsqueeze(dim)?.broadcast_as(shape)
        }))
    }

    /// The mean over all pixels: `(B, C, H, W)` → `(B, C)`.
    ///
    /// # Errors
    /// If it is no batch of images.
    pub fn mean_pixels(&self) -> Result<Self> {
        let (b, c, h, w) = self.value().dims4()?;
        self.reshape((b, c, h * w))?.mean(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Case;
    use candle_core::Device;

    #[test]
    fn gradients_equal_candles_and_finite_differences() -> Result<()> {
        let shape: &[usize] = &[2, 3, 4, 5];
        let case = |name: &str| Case::new(name, &[shape]);
        case("reshape").run(|t| t[0].reshape((6, 20)), |t| t[0].reshape((6, 20)))?;
        case("permute").run(
            |t| t[0].permute(&[2, 0, 3, 1]),
            |t| t[0].permute((2, 0, 3, 1)),
        )?;
        case("narrow").run(|t| t[0].narrow(2, 1, 2), |t| t[0].narrow(2, 1, 2))?;
        case("pad").run(
            |t| t[0].pad_with_zeros(1, 2, 1),
            |t| t[0].pad_with_zeros(1, 2, 1),
        )?;
        case("roll").run(|t| t[0].roll(-2, 3), |t| t[0].roll(-2, 3))?;
        case("scale").run(|t| t[0].scale(-0.7), |t| &t[0] * -0.7)?;
        Case::new("repeat_first", &[&[1, 2, 3]]).run(
            |t| t[0].repeat_first(4),
            |t| t[0].broadcast_as((4, 2, 3))?.contiguous(),
        )?;
        case("mean").run(|t| t[0].mean(1), |t| t[0].mean(1))?;
        case("mean_pixels").run(|t| t[0].mean_pixels(), |t| t[0].mean((2, 3)))?;
        let numbers = Tensor::new(&[1u32, 0, 1, 1], &Device::Cpu)?;
        case("rows").run(|t| t[0].rows(&numbers), |t| t[0].index_select(&numbers, 0))?;
        Case::new("cat", &[shape, &[2, 1, 4, 5]]).run(
            |t| Tracked::cat(&[&t[0], &t[1]], 1),
            |t| Tensor::cat(&[&t[0], &t[1]], 1),
        )?;
        for other in [&[4, 5][..], &[1, 3, 1, 1], &[5], &[2, 3, 4, 5]] {
            Case::new("broadcast_add", &[shape, other])
                .run(|t| t[0].broadcast_add(&t[1]), |t| t[0].broadcast_add(&t[1]))?;
        }
        Ok(())
    }

    #[test]
    fn a_sum_that_would_grow_is_an_error() -> Result<()> {
        let zeros = |shape: &[usize]| {
            Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu)
                .map(|t| Tracked::constant(&t))
        };
        assert!(zeros(&[1, 3])?.broadcast_add(&zeros(&[2, 3])?).is_err());
        assert!(zeros(&[2, 3])?.repeat_first(2).is_err());
        Ok(())
    }
}
