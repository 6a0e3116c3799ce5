//! Max pooling.

use crate::cuda::{self, Gpu, Pooling};
use crate::element::{Element, Read, tensor, with_float};
use crate::matrix::{steps, write_tiles};
use crate::op::{MaxPool2dConfig, Op};
use crate::parallel::{share_with, vectorized, write_each};
use crate::phases::{Phases, Windows};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, bail};

/// Maximum over windows; the gradient goes to the first of equal maxima, as in PyTorch.
///
/// # Shapes
/// `(B, C, H, W)` → `(B, C, H', W')` with `H' = (H + 2 padding - kernel_size) / stride + 1`
///
/// # Errors
/// If the window is larger than the padded image, or the padding than half the window, or `x` is
/// neither f32 nor f64.
pub fn max_pool2d(x: &Tracked, config: &MaxPool2dConfig) -> Result<Tracked> {
    let (b, c, h, w) = x.value().dims4()?;
    let (oh, ow) = (config.out_size(h)?, config.out_size(w)?);
    if let Some(gpu) = Gpu::of(x) {
        let pooling = Pooling {
            from: [h, w],
            to: [oh, ow],
            kernel: config.kernel_size,
            stride: config.stride,
            padding: config.padding,
        };
        return cuda::max_pool2d(gpu, x, pooling);
    }
    if !x.is_on_cpu() {
        return compose_as("max_pool2d", &[x], |t| reference::max_pool2d(&t[0], config));
    }
    let (x, config) = (x.contiguous()?, *config);
    let y = timed("max_pool2d", Pass::Forward, || {
        let xr = Read::new(x.value())?;
        with_float!(x.value().dtype(), "max_pool2d", T => {
            tensor(forward(&config, xr.slice::<T>()?, [h, w], [oh, ow]), &[b, c, oh, ow])
        })
    })?;
    let saved = [x.value().clone(), y.clone()];
    Ok(Tracked::record(
        Op::MaxPool2d(config),
        y,
        &[&x],
        move |dy| {
            let dy = dy.contiguous()?;
            let [x, y] = &saved;
            let (xr, yr, dyr) = (Read::new(x)?, Read::new(y)?, Read::new(&dy)?);
            with_float!(x.dtype(), "max_pool2d", T => {
                let slices = [xr.slice::<T>()?, yr.slice()?, dyr.slice()?];
                let dx = backward(&config, slices, [h, w], [oh, ow]);
                Ok(vec![Some(Gradient::fresh(tensor(dx, x.dims())?))])
            })
        },
    ))
}

impl MaxPool2dConfig {
    fn out_size(&self, size: usize) -> Result<usize> {
        let padded = size + 2 * self.padding;
        if self.stride == 0 || padded < self.kernel_size || 2 * self.padding > self.kernel_size {
            bail!("max_pool2d: {size} pixels do not fit {self:?}");
        }
        Ok((padded - self.kernel_size) / self.stride + 1)
    }

    fn over(&self, [h, w]: [usize; 2], ow: usize) -> Windows {
        Windows {
            h,
            w,
            kh: self.kernel_size,
            kw: self.kernel_size,
            ow,
            stride: self.stride,
            padding: self.padding,
        }
    }

    /// Input rows (or columns) that output row `o` looks at.
    #[inline(always)]
    fn window(&self, o: usize, size: usize) -> std::ops::Range<usize> {
        let start = o * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel_size - self.padding).min(size)
    }
}

/// Place of the first maximum of a window in its plane; a NaN counts as the maximum.
#[inline(always)]
fn first_maximum<T: Element>(
    config: &MaxPool2dConfig,
    plane: &[T],
    [h, w]: [usize; 2],
    oy: usize,
    ox: usize,
) -> usize {
    let columns = config.window(ox, w);
    let rows = config.window(oy, h);
    let mut best = rows.start * w + columns.start;
    for y in rows {
        for x in columns.clone() {
            let at = y * w + x;
            // Not equal to itself: a NaN.
            #[allow(clippy::eq_op)]
            if plane[at] > plane[best] || plane[at] != plane[at] {
                best = at;
            }
        }
    }
    best
}

/// The larger of two, a NaN of either.
#[inline(always)]
fn larger_or_nan<T: Element>(a: T, b: T) -> T {
    // Not equal to itself: a NaN.
    #[allow(clippy::eq_op)]
    if b > a || b != b { b } else { a }
}

fn forward<T: Element>(
    config: &MaxPool2dConfig,
    x: &[T],
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
) -> Vec<T> {
    let planes = x.len() / (h * w);
    let (y, _) = write_tiles(
        (planes * oh, ow),
        oh,
        steps(ow, ow),
        // The largest of each column first: rows lie next to each other in memory.
        || vec![T::ZERO; w],
        |columns, plane, y| {
            let x = &x[plane * h * w..][..h * w];
            let written = vectorized(
                #[inline(always)]
                || {
                    y.by_rows(
                        #[inline(always)]
                        |oy, y| {
                            let mut rows = config.window(oy, h);
                            let first = rows.next().unwrap_or_default();
                            columns.copy_from_slice(&x[first * w..][..w]);
                            for row in rows {
                                for (best, &v) in columns.iter_mut().zip(&x[row * w..][..w]) {
                                    *best = larger_or_nan(*best, v);
                                }
                            }
                            write_each(y, |ox| {
                                let window = &columns[config.window(ox, w)];
                                let others = window[1..].iter();
                                others.fold(window[0], |a, &b| larger_or_nan(a, b))
                            })
                        },
                    )
                },
            );
            (written, ())
        },
    );
    y
}

/// Buffers of one thread: a plane and its gradient, split, and what the windows of a row have left to
/// give.
struct Scratch<T> {
    x: Vec<T>,
    dx: Vec<T>,
    rest: Vec<T>,
}

fn backward<T: Element>(
    config: &MaxPool2dConfig,
    [x, y, dy]: [&[T]; 3],
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
) -> Vec<T> {
    let phases = Phases::new(config.over([h, w], ow), 0..oh);
    let mut dx = vec![T::ZERO; x.len()];
    let init = || Scratch {
        x: vec![T::NAN; phases.len()], // equal to no maximum, as padding must be
        dx: Vec::new(),
        rest: Vec::new(),
    };
    let planes = dx.chunks_mut(h * w).collect();
    share_with(planes, init, |scratch, i, to| {
        let windows = i * oh * ow..(i + 1) * oh * ow;
        let (x, y, dy) = (&x[i * h * w..][..h * w], &y[windows.clone()], &dy[windows]);
        vectorized(
            #[inline(always)]
            || {
                phases.split(x, &mut scratch.x);
                scratch.dx.clear();
                scratch.dx.resize(phases.len(), T::ZERO);
                let rows = y.chunks_exact(ow).zip(dy.chunks_exact(ow));
                for (oy, (y, dy)) in rows.enumerate() {
                    // Not equal to itself: a NaN, which no comparison finds.
                    #[allow(clippy::eq_op)]
                    if y.iter().fold(false, |any, &y| any | (y != y)) {
                        for (ox, &dy) in dy.iter().enumerate() {
                            to[first_maximum(config, x, [h, w], oy, ox)] += dy;
                        }
                    } else {
                        row(config, &phases, oy, scratch, y, dy);
                    }
                }
                phases.join(&scratch.dx, to);
            },
        );
    });
    dx
}

/// Gives the gradient of a row of windows to the first element of each that equals its maximum.
#[inline(always)]
fn row<T: Element>(
    config: &MaxPool2dConfig,
    phases: &Phases,
    oy: usize,
    scratch: &mut Scratch<T>,
    y: &[T],
    dy: &[T],
) {
    let Scratch { x, dx, rest } = scratch;
    rest.clear();
    rest.extend_from_slice(dy);
    for ky in 0..config.kernel_size {
        for kx in 0..config.kernel_size {
            let first = phases.place(oy, ky, kx);
            let (x, dx) = (&x[first..][..y.len()], &mut dx[first..][..y.len()]);
            let windows = dx.iter_mut().zip(x).zip(rest.iter_mut().zip(y));
            for ((dx, x), (rest, y)) in windows {
                let wins = x == y;
                *dx += if wins { *rest } else { T::ZERO };
                *rest = if wins { T::ZERO } else { *rest };
            }
        }
    }
}

/// The plain twin, and the path on other devices.
mod reference {
    use super::MaxPool2dConfig;
    use candle_core::{D, Result, Tensor};

    /// Stacks the shifted images of a window and gathers the first largest.
    pub(super) fn max_pool2d(x: &Tensor, config: &MaxPool2dConfig) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        let (oh, ow) = (config.out_size(h)?, config.out_size(w)?);
        let lowest = Tensor::new(f32::MIN, x.device())?.to_dtype(x.dtype())?;
        let p = config.padding;
        // Zero padding would beat negative values: it is pushed below all of them.
        let border = (1.0
            - x.ones_like()?
                .pad_with_zeros(2, p, p)?
                .pad_with_zeros(3, p, p)?)?;
        let x = x
            .pad_with_zeros(2, p, p)?
            .pad_with_zeros(3, p, p)?
            .add(&border.broadcast_mul(&lowest)?)?;
        let places = |first: usize, count: usize| {
            let at: Vec<u32> = (0..count)
                .map(|i| (first + i * config.stride) as u32)
                .collect();
            Tensor::from_vec(at, count, x.device())
        };
        let mut shifted = Vec::with_capacity(config.kernel_size * config.kernel_size);
        for ky in 0..config.kernel_size {
            let rows = x.index_select(&places(ky, oh)?, 2)?;
            for kx in 0..config.kernel_size {
                shifted.push(rows.index_select(&places(kx, ow)?, 3)?);
            }
        }
        let windows = Tensor::stack(&shifted, 4)?; // (B, C, H', W', kernel²)
        // A NaN wins, which no comparison with one would say.
        let seen = windows.detach();
        let highest = Tensor::new(f32::INFINITY, x.device())?.to_dtype(x.dtype())?;
        let highest = highest.broadcast_as(seen.shape())?;
        let seen = seen.ne(&seen)?.where_cond(&highest, &seen)?;
        let first = seen.argmax_keepdim(D::Minus1)?;
        windows.gather(&first, 4)?.squeeze(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};
    use crate::tracked::compose;

    fn config(kernel_size: usize, stride: usize, padding: usize) -> MaxPool2dConfig {
        MaxPool2dConfig {
            kernel_size,
            stride,
            padding,
        }
    }

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (shape, c) in [
            ([2, 3, 8, 8], config(3, 2, 1)),
            ([1, 2, 9, 7], config(3, 2, 1)),
            ([2, 1, 6, 6], config(2, 2, 0)),
            ([1, 1, 5, 5], config(3, 1, 1)),
            ([1, 1, 1, 1], config(3, 2, 1)),
        ] {
            Case::new(&format!("{c:?}"), &[&shape]).run(
                |t| max_pool2d(&t[0], &c),
                |t| reference::max_pool2d(&t[0], &c),
            )?;
        }
        Ok(())
    }

    #[test]
    fn the_first_of_equal_maxima_takes_the_gradient() -> Result<()> {
        use candle_core::{Device, Var};
        let c = config(3, 2, 1);
        let x = Var::zeros((1, 1, 4, 4), candle_core::DType::F64, &Device::Cpu)?;
        let by_hand = max_pool2d(&Tracked::from(&x), &c)?;
        let by_candle = compose(&[&Tracked::from(&x)], |t| reference::max_pool2d(&t[0], &c))?;
        for y in [by_hand, by_candle] {
            let ones = y.value().ones_like()?;
            let grads = y.backward_from(&ones)?;
            let dx = grads
                .get(&x)
                .map(|g| g.flatten_all()?.to_vec1::<f64>())
                .transpose()?;
            let mut want = vec![0.0; 16];
            (want[0], want[1], want[4], want[5]) = (1.0, 1.0, 1.0, 1.0);
            assert_eq!(dx, Some(want));
        }
        Ok(())
    }

    #[test]
    fn wrong_sizes_are_errors() -> Result<()> {
        let x = check::constant(0, &[1, 1, 2, 2])?;
        assert!(max_pool2d(&x, &config(5, 1, 0)).is_err());
        assert!(max_pool2d(&x, &config(2, 1, 2)).is_err());
        assert!(max_pool2d(&x, &config(2, 0, 0)).is_err());
        Ok(())
    }
}
