//! Convolutions of many channels on small maps, one element of the kernel (a tap) at a time.
//!
//! A window at the border of a map looks beyond it: on a map of 3x3 pixels the windows of a padded 3x3 kernel see 49
//! pixels, where a column matrix has 81 columns of channels, the rest zeros. Here each tap is a product of its weights
//! (O, C) with the pixels that it sees, of all images, and no zero is multiplied. Pixels are laid out as (channels,
//! pixels, images): neighbours in a row of the map are then one matrix, whatever the number of images.

use super::geometry::Geometry;
use crate::element::Element;
use crate::matrix::{Mat, MatMut, matmul_add, steps, write_tiles};
use crate::parallel::{vectorized, write_from};
use crate::transpose::{eight, transpose};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Fewer channels, or images, make products that are too thin.
const CHANNELS: usize = 32;
const IMAGES: usize = 16;
/// Channels of a result that one task computes: gemm's kernels take six at once, and the weights of 24, told apart by
/// taps, stay in the cache.
const ROWS: usize = 24;
/// Channels whose taps are told apart at once.
const LANES: usize = 8;

/// Whether this way is faster: products that are not thin, and at least a fifth of what a column matrix would hold lies
/// outside of the map.
pub(super) fn suits(g: &Geometry) -> bool {
    if (g.stride, g.groups) != (1, 1) || g.c.min(g.o) < CHANNELS || g.b < IMAGES {
        return false;
    }
    let seen = |kernel: usize, size: usize, windows: usize| -> usize {
        let taps = 0..kernel;
        taps.map(|k| inside(g, k, size, windows).len()).sum()
    };
    let seen = seen(g.kh, g.h, g.oh) * seen(g.kw, g.w, g.ow);
    5 * seen <= 4 * g.kh * g.kw * g.windows()
}

/// The windows along one direction, of `windows`, whose tap `k` is inside of `size` pixels.
fn inside(g: &Geometry, k: usize, size: usize, windows: usize) -> Range<usize> {
    let first = g.padding.saturating_sub(k);
    let end = (size + g.padding).saturating_sub(k);
    first..end.clamp(first, windows.max(first))
}

/// Windows that are next to each other, and the pixels, as many, that a tap sees of them.
struct Run {
    windows: Range<usize>,
    pixels: Range<usize>,
}

/// The runs of each tap, kernel row by kernel row, of a convolution of stride 1.
fn runs(g: &Geometry) -> Vec<Vec<Run>> {
    let taps = (0..g.kh).flat_map(|ky| (0..g.kw).map(move |kx| (ky, kx)));
    let runs = taps.map(|(ky, kx)| {
        let columns = inside(g, kx, g.w, g.ow);
        let rows = inside(g, ky, g.h, g.oh).filter(|_| !columns.is_empty());
        let run = |row: usize| {
            let window = row * g.ow + columns.start;
            let pixel = (row + ky - g.padding) * g.w + columns.start + kx - g.padding;
            Run {
                windows: window..window + columns.len(),
                pixels: pixel..pixel + columns.len(),
            }
        };
        rows.map(run).collect()
    });
    runs.collect()
}

/// `(B, O, H', W')`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let (pixels, windows, taps) = (g.h * g.w * g.b, g.windows() * g.b, g.kh * g.kw);
    let x = turned(x, g.b, g.c * g.h * g.w);
    let runs = runs(g);
    let (y, _) = write_tiles(
        (g.o, windows),
        ROWS,
        steps(windows, windows),
        Vec::new,
        |w: &mut Vec<T>, i, y| {
            let mut y = y.zeroed();
            let (rows, _) = y.size();
            let of_rows = &weight[i * ROWS * g.c * taps..][..rows * g.c * taps];
            // (taps, rows, C)
            w.resize(of_rows.len(), T::ZERO);
            apart(of_rows, taps, w, rows * g.c);
            for (runs, w) in runs.iter().zip(w.chunks_exact(rows * g.c)) {
                for Run {
                    windows,
                    pixels: seen,
                } in runs
                {
                    let x = &x[seen.start * g.b..];
                    let x = Mat::strided(x, g.c, seen.len() * g.b, pixels);
                    let y = y.columns(windows.start * g.b..windows.end * g.b);
                    matmul_add(y, Mat::new(w, rows, g.c), x, T::ONE);
                }
            }
            (y, ())
        },
    );
    turned(&y, g.o * g.windows(), g.b)
}

/// `dx (B, C, H, W)`.
pub(super) fn grad_x<T: Element>(g: &Geometry, weight: &[T], dy: &[T]) -> Vec<T> {
    let (pixels, windows, taps) = (g.h * g.w * g.b, g.windows() * g.b, g.kh * g.kw);
    let dy = turned(dy, g.b, g.o * g.windows());
    let runs = runs(g);
    let (dx, _) = write_tiles(
        (g.c, pixels),
        ROWS,
        steps(pixels, pixels),
        Vec::new,
        |w: &mut Vec<T>, i, dx| {
            let mut dx = dx.zeroed();
            let (rows, _) = dx.size();
            // (taps, O, rows)
            w.resize(taps * g.o * rows, T::ZERO);
            for (o, of_o) in weight.chunks_exact(g.c * taps).enumerate() {
                let of_rows = &of_o[i * ROWS * taps..][..rows * taps];
                apart(of_rows, taps, &mut w[o * rows..], g.o * rows);
            }
            for (runs, w) in runs.iter().zip(w.chunks_exact(g.o * rows)) {
                for Run {
                    windows: of,
                    pixels,
                } in runs
                {
                    let dy = &dy[of.start * g.b..];
                    let dy = Mat::strided(dy, g.o, of.len() * g.b, windows);
                    let dx = dx.columns(pixels.start * g.b..pixels.end * g.b);
                    matmul_add(dx, Mat::new(w, g.o, rows).t(), dy, T::ONE);
                }
            }
            (dx, ())
        },
    );
    turned(&dx, g.c * g.h * g.w, g.b)
}

/// `dw (O, C, KH, KW)`.
pub(super) fn grad_weight<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (windows, taps) = (g.windows() * g.b, g.kh * g.kw);
    // (pixels, images, C): what is summed over lies behind each other.
    let x = turned(&turned(x, g.b, g.c * g.h * g.w), g.c, g.h * g.w * g.b);
    let dy = turned(dy, g.b, g.o * g.windows());
    let runs = runs(g);
    let (dw, _) = write_tiles(
        (g.o, g.c * taps),
        ROWS,
        steps(g.c * taps, g.c * taps),
        Vec::new,
        |sums: &mut Vec<T>, i, dw| {
            let (rows, _) = dw.size();
            // (taps, rows, C)
            sums.clear();
            sums.resize(taps * rows * g.c, T::ZERO);
            for (runs, sums) in runs.iter().zip(sums.chunks_exact_mut(rows * g.c)) {
                for Run {
                    windows: of,
                    pixels,
                } in runs
                {
                    let dy = &dy[i * ROWS * windows + of.start * g.b..];
                    let dy = Mat::strided(dy, rows, of.len() * g.b, windows);
                    let x = &x[pixels.start * g.b * g.c..];
                    let x = Mat::new(x, pixels.len() * g.b, g.c);
                    matmul_add(MatMut::new(sums, rows, g.c), dy, x, T::ONE);
                }
            }
            let dw = dw.by_rows(|row, dw| together(&sums[row * g.c..], taps, rows * g.c, dw));
            (dw, ())
        },
    );
    dw
}

/// The transpose of a matrix with contiguous rows, on all threads.
fn turned<T: Element>(x: &[T], rows: usize, cols: usize) -> Vec<T> {
    const BAND: usize = 16;
    let (out, _) = write_tiles(
        (cols, rows),
        BAND,
        steps(rows, rows),
        Vec::new,
        |buffer: &mut Vec<T>, i, out| {
            let (height, _) = out.size();
            buffer.resize(height * rows, T::ZERO);
            transpose(&x[i * BAND..], rows, height, cols, buffer);
            let out =
                out.by_rows(|row, to| write_from(to, [&buffer[row * rows..][..rows]], |[v]| v));
            (out, ())
        },
    );
    out
}

/// `(taps, channels)` of `(channels, taps)`, each tap's channels `stride` after the last one's.
fn apart<T: Element>(from: &[T], taps: usize, to: &mut [T], stride: usize) {
    vectorized(
        #[inline(always)]
        || {
            let mut done = 0;
            if taps == 9 {
                for block in from.as_chunks::<{ 9 * LANES }>().0 {
                    for tap in 0..9 {
                        let line: [T; LANES] = std::array::from_fn(|i| block[i * 9 + tap]);
                        to[tap * stride + done..][..LANES].copy_from_slice(&line);
                    }
                    done += LANES;
                }
            }
            for channel in done..from.len() / taps {
                for tap in 0..taps {
                    to[tap * stride + channel] = from[channel * taps + tap];
                }
            }
        },
    );
}

/// [`apart`], back.
fn together<'a, T: Element>(
    from: &[T],
    taps: usize,
    stride: usize,
    to: &'a mut [MaybeUninit<T>],
) -> &'a mut [T] {
    vectorized(
        #[inline(always)]
        || {
            let mut done = 0;
            if taps == 9 {
                for block in to.as_chunks_mut::<{ 9 * LANES }>().0 {
                    let line = |tap: usize| {
                        let line = &from[tap * stride + done..][..LANES];
                        std::array::from_fn(|i| line[i])
                    };
                    let rows = eight(std::array::from_fn(line));
                    let last: [T; LANES] = line(8);
                    let channels = block.as_chunks_mut::<9>().0.iter_mut();
                    for (to, (row, last)) in channels.zip(rows.iter().zip(last)) {
                        write_from(&mut to[..8], [row], |[v]| v);
                        to[8].write(last);
                    }
                    done += LANES;
                }
            }
            for channel in done..to.len() / taps {
                for tap in 0..taps {
                    to[channel * taps + tap].write(from[tap * stride + channel]);
                }
            }
        },
    );
    // SAFETY: the blocks of channels and the channels that they leave are all of it.
    unsafe { &mut *(to as *mut [MaybeUninit<T>] as *mut [T]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_come_apart_and_together() {
        for (channels, taps) in [(1, 9), (8, 9), (19, 9), (5, 4)] {
            let from: Vec<f32> = (0..channels * taps).map(|i| i as f32).collect();
            let mut to = vec![0.0; from.len()];
            apart(&from, taps, &mut to, channels);
            for (at, value) in to.iter().enumerate() {
                assert_eq!(*value, (at % channels * taps + at / channels) as f32);
            }
            let mut back = vec![MaybeUninit::uninit(); from.len()];
            assert_eq!(together(&to, taps, channels, &mut back), from);
        }
    }
}
