//! Average pooling.

use crate::cuda::{self, Gpu, Pooling};
use crate::element::{Element, Read, tensor, with_float};
use crate::op::{AvgPool2dConfig, Op};
use crate::parallel::{for_each_chunk, vectorized, write_each};
use crate::pieces::write_chunks;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, bail};
use std::ops::Range;

/// Mean over windows; one that reaches over the border is the mean of what lies inside.
///
/// # Shapes
/// `(B, C, H, W)` → `(B, C, H', W')` with `H' = (H - kernel_size) / stride + 1`, rounded as
/// `ceil_mode` says
///
/// # Errors
/// If the image is smaller than a window (without `ceil_mode`) or empty, or `x` is neither f32 nor
/// f64.
pub fn avg_pool2d(x: &Tracked, config: &AvgPool2dConfig) -> Result<Tracked> {
    let (b, c, h, w) = x.value().dims4()?;
    let (oh, ow) = (config.out_size(h)?, config.out_size(w)?);
    if let Some(gpu) = Gpu::of(x) {
        let pooling = Pooling {
            from: [h, w],
            to: [oh, ow],
            kernel: config.kernel_size,
            stride: config.stride,
            padding: 0,
        };
        return cuda::avg_pool2d(gpu, x, pooling);
    }
    if !x.is_on_cpu() {
        return compose_as("avg_pool2d", &[x], |t| reference::avg_pool2d(&t[0], config));
    }
    let (x, config) = (x.contiguous()?, *config);
    let y = timed("avg_pool2d", Pass::Forward, || {
        let xr = Read::new(x.value())?;
        with_float!(x.value().dtype(), "avg_pool2d", T => {
            tensor(forward(&config, xr.slice::<T>()?, [h, w], [oh, ow]), &[b, c, oh, ow])
        })
    })?;
    let dims = [b, c, h, w];
    Ok(Tracked::record(
        Op::AvgPool2d(config),
        y,
        &[&x],
        move |dy| {
            let dy = dy.contiguous()?;
            let dyr = Read::new(&dy)?;
            with_float!(dy.dtype(), "avg_pool2d", T => {
                let dx = backward(&config, dyr.slice::<T>()?, [h, w], [oh, ow]);
                Ok(vec![Some(Gradient::fresh(tensor(dx, &dims)?))])
            })
        },
    ))
}

impl AvgPool2dConfig {
    fn out_size(&self, size: usize) -> Result<usize> {
        let whole = size >= self.kernel_size;
        if self.kernel_size == 0 || self.stride == 0 || size == 0 || !(whole || self.ceil_mode) {
            bail!("avg_pool2d: {size} pixels do not fit {self:?}");
        }
        let rest = size.saturating_sub(self.kernel_size);
        Ok(if self.ceil_mode {
            // As in PyTorch, no window begins outside the image.
            let count = rest.div_ceil(self.stride) + 1;
            count - usize::from((count - 1) * self.stride >= size)
        } else {
            rest / self.stride + 1
        })
    }

    /// Input rows (or columns) that output row `o` looks at.
    #[inline(always)]
    fn window(&self, o: usize, size: usize) -> Range<usize> {
        let start = o * self.stride;
        start..(start + self.kernel_size).min(size)
    }

    /// Rows and columns of the window of output `i` in a plane.
    #[inline(always)]
    fn area(&self, i: usize, ow: usize, [h, w]: [usize; 2]) -> (Range<usize>, Range<usize>) {
        (self.window(i / ow, h), self.window(i % ow, w))
    }
}

fn forward<T: Element>(
    config: &AvgPool2dConfig,
    x: &[T],
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
) -> Vec<T> {
    let planes = x.len() / (h * w);
    write_chunks(planes * oh * ow, oh * ow, |place, y| {
        let x = &x[place.start / (oh * ow) * h * w..][..h * w];
        vectorized(
            #[inline(always)]
            || {
                write_each(y, |i| {
                    let (rows, columns) = config.area(i, ow, [h, w]);
                    let count = rows.len() * columns.len();
                    let mut sum = T::ZERO;
                    for row in rows {
                        x[row * w..][columns.clone()].iter().for_each(|&v| sum += v);
                    }
                    sum / T::of(count as f64)
                })
            },
        )
    })
}

fn backward<T: Element>(
    config: &AvgPool2dConfig,
    dy: &[T],
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
) -> Vec<T> {
    let planes = dy.len() / (oh * ow);
    let mut dx = vec![T::ZERO; planes * h * w];
    for_each_chunk(&mut dx, h * w, |i, dx| {
        let dy = &dy[i * oh * ow..][..oh * ow];
        vectorized(
            #[inline(always)]
            || {
                for (i, &dy) in dy.iter().enumerate() {
                    let (rows, columns) = config.area(i, ow, [h, w]);
                    let count = rows.len() * columns.len();
                    let share = dy / T::of(count as f64);
                    for row in rows {
                        dx[row * w..][columns.clone()]
                            .iter_mut()
                            .for_each(|v| *v += share);
                    }
                }
            },
        );
    });
    dx
}

/// The plain twin, and the path on other devices.
mod reference {
    use super::AvgPool2dConfig;
    use candle_core::{Result, Tensor};

    /// Two products with the matrices that average along one direction.
    pub(super) fn avg_pool2d(x: &Tensor, config: &AvgPool2dConfig) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        let averages = |size: usize| {
            let count = config.out_size(size)?;
            let mut matrix = vec![0f64; count * size];
            for (o, row) in matrix.chunks_exact_mut(size).enumerate() {
                let window = config.window(o, size);
                let share = 1.0 / window.len() as f64;
                row[window].fill(share);
            }
            Tensor::from_vec(matrix, (count, size), x.device())?.to_dtype(x.dtype())
        };
        let columns = x.broadcast_matmul(&averages(w)?.t()?)?; // (B, C, H, W')
        averages(h)?.broadcast_matmul(&columns) // (B, C, H', W')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};
    use candle_core::Tensor;

    fn config(kernel_size: usize, stride: usize, ceil_mode: bool) -> AvgPool2dConfig {
        AvgPool2dConfig {
            kernel_size,
            stride,
            ceil_mode,
        }
    }

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (shape, c) in [
            ([2, 3, 8, 6], config(2, 2, false)),
            ([2, 3, 9, 7], config(2, 2, false)), // the last row and column are dropped
            ([2, 3, 9, 7], config(2, 2, true)),  // they are averaged alone
            ([1, 2, 1, 5], config(2, 2, true)),
            ([1, 2, 6, 7], config(3, 1, false)), // windows overlap
            ([1, 2, 7, 8], config(2, 3, true)),  // the last window would begin outside
        ] {
            Case::new(&format!("{c:?}"), &[&shape]).run(
                |t| avg_pool2d(&t[0], &c),
                |t| reference::avg_pool2d(&t[0], &c),
            )?;
        }
        Ok(())
    }

    /// What `torch.nn.AvgPool2d(2, 2, ceil_mode=True)` gives for the numbers 1 to 9.
    #[test]
    fn pixels_left_over_are_averaged_among_themselves() -> Result<()> {
        let x = Tensor::arange(1f64, 10., &candle_core::Device::Cpu)?.reshape((1, 1, 3, 3))?;
        let x = Tracked::constant(&x);
        let y = avg_pool2d(&x, &config(2, 2, true))?
            .into_value()
            .flatten_all()?;
        assert_eq!(y.to_vec1::<f64>()?, [3., 4.5, 7.5, 9.]);
        let y = avg_pool2d(&x, &config(2, 2, false))?
            .into_value()
            .flatten_all()?;
        assert_eq!(y.to_vec1::<f64>()?, [3.]);
        Ok(())
    }

    #[test]
    fn sizes_are_torchs() -> Result<()> {
        for (size, c, want) in [
            (5, config(2, 2, true), 3),
            (5, config(2, 2, false), 2),
            (7, config(2, 3, true), 3),
            (6, config(2, 3, true), 2),
            (1, config(2, 2, true), 1),
        ] {
            assert_eq!(c.out_size(size)?, want, "{size} pixels, {c:?}");
        }
        Ok(())
    }

    #[test]
    fn wrong_sizes_are_errors() -> Result<()> {
        let x = check::constant(0, &[1, 1, 2, 2])?;
        assert!(avg_pool2d(&x, &config(3, 1, false)).is_err());
        assert!(avg_pool2d(&x, &config(0, 1, true)).is_err());
        assert!(avg_pool2d(&x, &config(2, 0, true)).is_err());
        Ok(())
    }
}
