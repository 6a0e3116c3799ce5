//! Max pooling.

use crate::cuda::{self, Gpu, Pooling};
use crate::element::{Element, Read, tensor, with_float};
use crate::matrix::{steps, write_tiles};
use crate::op::{MaxPool2dConfig, Op};
use crate::parallel::{share_with, vectorized, write_each};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, bail};

/// Maximum over windows; the gradient goes to the first of equal maxima, as in PyTorch.
///
/// # Shapes
/// `(B, C, H, W)` → `(B, C, H', W')` with `H' = (H + 2 padding - kernel_size) / stride + 1`
///
/// # Errors
/// If the window is larger than the padded image or than 255, or the padding than half the window, or `x`
/// is neither f32 nor f64.
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
    let (y, places) = timed("max_pool2d", Pass::Forward, || {
        let xr = Read::new(x.value())?;
        with_float!(x.value().dtype(), "max_pool2d", T => {
            let forward = if x.is_tracked() { forward::<T, true> } else { forward::<T, false> };
            let (y, places) = forward(&config, xr.slice()?, [h, w], [oh, ow]);
            Ok((tensor(y, &[b, c, oh, ow])?, places))
        })
    })?;
    Ok(Tracked::record(
        Op::MaxPool2d(config),
        y,
        &[&x],
        move |dy| {
            let dy = dy.contiguous()?;
            let dyr = Read::new(&dy)?;
            with_float!(dy.dtype(), "max_pool2d", T => {
                let dx = backward(&config, &places, dyr.slice::<T>()?, [h, w], [oh, ow]);
                Ok(vec![Some(Gradient::fresh(tensor(dx, &[b, c, h, w])?))])
            })
        },
    ))
}

impl MaxPool2dConfig {
    fn out_size(&self, size: usize) -> Result<usize> {
        let padded = size + 2 * self.padding;
        let fits = padded >= self.kernel_size && 2 * self.padding <= self.kernel_size;
        // A place in a window is a u16.
        if self.stride == 0 || !fits || self.kernel_size > 255 {
            bail!("max_pool2d: {size} pixels do not fit {self:?}");
        }
        Ok((padded - self.kernel_size) / self.stride + 1)
    }

    /// Input rows (or columns) that output row `o` looks at.
    #[inline(always)]
    fn window(&self, o: usize, size: usize) -> std::ops::Range<usize> {
        let start = o * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel_size - self.padding).min(size)
    }
}

/// Where the last NaN of a window is, which takes the gradient in PyTorch.
fn last_nan<T: Element>(
    config: &MaxPool2dConfig,
    plane: &[T],
    [h, w]: [usize; 2],
    [oy, ox]: [usize; 2],
) -> u16 {
    let mut place = 0;
    for y in config.window(oy, h) {
        for x in config.window(ox, w) {
            let [ky, kx] =
                [(y, oy), (x, ox)].map(|(at, o)| at + config.padding - o * config.stride);
            // Not equal to itself: a NaN.
            #[allow(clippy::eq_op)]
            if plane[y * w + x] != plane[y * w + x] {
                place = (ky * config.kernel_size + kx) as u16;
            }
        }
    }
    place
}

/// The larger of two, a NaN of either.
#[inline(always)]
fn larger_or_nan<T: Element>(a: T, b: T) -> T {
    // Not equal to itself: a NaN.
    #[allow(clippy::eq_op)]
    if b > a || b != b { b } else { a }
}

/// Where in its window each maximum is: kernel rows times the kernel's size, and columns.
type Places = Vec<u16>;

/// The maxima, and of each plane the places, with `PLACES`.
fn forward<T: Element, const PLACES: bool>(
    config: &MaxPool2dConfig,
    x: &[T],
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
) -> (Vec<T>, Vec<Places>) {
    let planes = x.len() / (h * w);
    write_tiles(
        (planes * oh, ow),
        oh,
        steps(ow, ow),
        || Columns {
            best: vec![T::ZERO; w],
            places: vec![0; w],
        },
        |columns, plane, y| {
            let x = &x[plane * h * w..][..h * w];
            let mut places = Vec::with_capacity(if PLACES { oh * ow } else { 0 });
            let written = vectorized(
                #[inline(always)]
                || {
                    y.by_rows(
                        #[inline(always)]
                        |oy, y| {
                            columns.largest::<PLACES>(config, x, [h, w], oy);
                            write_each(y, |ox| {
                                let (best, mut place) = columns.of_window::<PLACES>(config, ox);
                                if PLACES {
                                    // Not equal to itself: a NaN, which no comparison finds.
                                    #[allow(clippy::eq_op)]
                                    if best != best {
                                        place = last_nan(config, x, [h, w], [oy, ox]);
                                    }
                                    places.push(place);
                                }
                                best
                            })
                        },
                    )
                },
            );
            (written, places)
        },
    )
}

/// The largest of each column of a row of windows: rows lie next to each other in memory, so that columns go first.
struct Columns<T> {
    best: Vec<T>,
    /// The kernel's row that sees it, times the kernel's size.
    places: Vec<u16>,
}

impl<T: Element> Columns<T> {
    #[inline(always)]
    fn largest<const PLACES: bool>(
        &mut self,
        config: &MaxPool2dConfig,
        x: &[T],
        [h, w]: [usize; 2],
        oy: usize,
    ) {
        let place = |row: usize| {
            let seen_by = row + config.padding - oy * config.stride;
            (seen_by * config.kernel_size) as u16
        };
        let mut rows = config.window(oy, h);
        let first = rows.next().unwrap_or_default();
        self.best.copy_from_slice(&x[first * w..][..w]);
        if PLACES {
            self.places.fill(place(first));
        }
        for row in rows {
            let place = place(row);
            let columns = self.best.iter_mut().zip(&mut self.places);
            for ((best, at), &v) in columns.zip(&x[row * w..][..w]) {
                if PLACES {
                    *at = if v > *best { place } else { *at };
                }
                *best = larger_or_nan(*best, v);
            }
        }
    }

    /// The largest of a window, and with `PLACES` where it is: the first by rows, then columns. Of a NaN the place means
    /// nothing.
    #[inline(always)]
    fn of_window<const PLACES: bool>(&self, config: &MaxPool2dConfig, ox: usize) -> (T, u16) {
        let columns = config.window(ox, self.best.len());
        let first = config.padding as isize - (ox * config.stride) as isize;
        let place = |column: usize| self.places[column] + (column as isize + first) as u16;
        let mut best = (self.best[columns.start], 0);
        if PLACES {
            best.1 = place(columns.start);
        }
        for column in columns.start + 1..columns.end {
            let v = self.best[column];
            if PLACES {
                let at = place(column);
                let is_first = v > best.0 || v == best.0 && at < best.1;
                best.1 = if is_first { at } else { best.1 };
            }
            best.0 = larger_or_nan(best.0, v);
        }
        best
    }
}

/// `dx`, from the gradients of the maxima and each plane's places.
fn backward<T: Element>(
    config: &MaxPool2dConfig,
    places: &[Places],
    dy: &[T],
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
) -> Vec<T> {
    let k = config.kernel_size;
    // From a window's first element, in the padding perhaps, to another.
    let steps: Vec<usize> = (0..k * k).map(|place| place / k * w + place % k).collect();
    let mut dx = vec![T::ZERO; places.len() * h * w];
    let planes = dx.chunks_mut(h * w).collect();
    share_with(
        planes,
        || (),
        |(), plane, dx| {
            let windows =
                (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy * w + ox) * config.stride));
            let dy = &dy[plane * oh * ow..];
            for ((first, &place), &dy) in windows.zip(&places[plane]).zip(dy) {
                dx[first + steps[usize::from(place)] - config.padding * (w + 1)] += dy;
            }
        },
    );
    dx
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
    fn the_last_nan_of_a_window_is_its_maximum() -> Result<()> {
        use candle_core::{Device, Var};
        let x = Var::new(&[[[[1f32, f32::NAN], [f32::NAN, 9.0]]]], &Device::Cpu)?;
        let y = max_pool2d(&Tracked::from(&x), &config(2, 2, 0))?;
        assert!(y.value().flatten_all()?.to_vec1::<f32>()?[0].is_nan());
        let ones = y.value().ones_like()?;
        let grads = y.backward_from(&ones)?;
        let dx = grads.get(&x).map(|g| g.flatten_all()?.to_vec1::<f32>());
        assert_eq!(dx.transpose()?, Some(vec![0.0, 0.0, 1.0, 0.0]));
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
