//! The transforms of blocks of tiles and of kernels, a vector of channels at a time.

use super::{Block, Sizes, Unwritten, tile};
use crate::element::Element;
use crate::matrix::MatMut;
use pulp::{Arch, Scalar, Simd, WithSimd};
use std::ops::Range;

/// Calls `$body` for every vector of channels in a range, and one by one for those that are left.
macro_rules! by_vectors {
    ($element:ty, $simd:expr, $channels:expr, |$s:ident, $c:ident| $body:expr) => {{
        let channels: Range<usize> = $channels;
        let $s = $simd;
        let lanes = <$element as crate::vector::Lanes>::lanes::<S>();
        let whole = channels.start + channels.len() / lanes * lanes;
        for $c in (channels.start..whole).step_by(lanes) {
            $body
        }
        let $s = Scalar;
        for $c in whole..channels.end {
            $body
        }
    }};
}

/// A strip of some channels of an image: some rows and `width` columns, with zeros around what the
/// image has; row 0 is row `top` of the image and column 0 its column `-padding`.
struct Strip {
    h: usize,
    w: usize,
    top: isize,
    rows: usize,
    padding: usize,
    width: usize,
}

impl Strip {
    fn of_output(s: &Sizes, block: &Block) -> Self {
        Self {
            h: s.oh,
            w: s.ow,
            top: 2 * block.rows.start as isize,
            rows: 2 * block.rows.len(),
            padding: 0,
            width: 2 * block.columns,
        }
    }

    /// The rows of the strip that the image has, each with its number there.
    #[inline(always)]
    fn inside(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (top, h) = (self.top, self.h);
        let row_of = move |row: usize| usize::try_from(top + row as isize).ok();
        (0..self.rows).filter_map(move |row| Some((row, row_of(row).filter(|&y| y < h)?)))
    }

    /// Writes its pixels with the channels of a vector last, from planes that begin with the vector's first.
    #[inline(always)]
    fn gather<T: Element, S: Simd>(&self, planes: &[T], to: &mut Vec<T>) {
        let lanes = T::lanes::<S>();
        to.clear();
        to.resize(self.rows * self.width * lanes, T::ZERO);
        let count = (self.width - self.padding).min(self.w);
        for (row, y) in self.inside() {
            let to = &mut to[(row * self.width + self.padding) * lanes..][..count * lanes];
            for lane in 0..lanes {
                let from = &planes[(lane * self.h + y) * self.w..][..count];
                for (pixel, &value) in to.chunks_exact_mut(lanes).zip(from) {
                    pixel[lane] = value;
                }
            }
        }
    }

    /// The reverse: writes the rows that the image has to planes, rows of a matrix from `first` on.
    #[inline(always)]
    fn scatter<T: Element, S: Simd>(&self, from: &[T], first: usize, to: &mut Unwritten<T>) {
        let lanes = T::lanes::<S>();
        for (row, _) in self.inside() {
            let from = &from[row * self.width * lanes..][..self.w * lanes];
            for lane in 0..lanes {
                let to = &mut to.row(first + lane)[row * self.w..][..self.w];
                for (to, pixel) in to.iter_mut().zip(from.chunks_exact(lanes)) {
                    to.write(pixel[lane]);
                }
            }
        }
    }
}

/// What a transform of one block reads.
pub(super) struct Source<'a, T> {
    pub(super) block: &'a Block,
    /// Tiles of the block's chunk.
    pub(super) tiles: usize,
    pub(super) from: &'a [T],
    /// Memory that the thread keeps for the next block.
    pub(super) buffer: &'a mut Vec<T>,
}

impl<T: Element> Source<'_, T> {
    /// `Bᵀ d B` of the input `(B, I, H, W)`: `(16, tiles of the block · I)`.
    pub(super) fn input<'a>(self, s: &Sizes, to: Unwritten<'a, T>) -> MatMut<'a, T> {
        let rows = &self.block.rows;
        let strip = Strip {
            h: s.h,
            w: s.w,
            top: 2 * rows.start as isize - s.padding as isize,
            rows: 2 * rows.len() + 2,
            padding: s.padding,
            width: 2 * self.block.columns + 2,
        };
        self.run(s.i, strip, Input, to)
    }

    /// `A dy Aᵀ` of a result's gradient `(B, O, H', W')`: `(16, tiles of the block · O)`.
    pub(super) fn output_gradient<'a>(self, s: &Sizes, to: Unwritten<'a, T>) -> MatMut<'a, T> {
        let strip = Strip::of_output(s, self.block);
        self.run(s.o, strip, OutputGradient, to)
    }

    /// `Aᵀ m A` of products `(16, tiles, O)`: the block's planes of `(B · O, H' · W')`.
    pub(super) fn output<'a>(self, s: &Sizes, to: Unwritten<'a, T>) -> MatMut<'a, T> {
        let strip = Strip::of_output(s, self.block);
        self.run(s.o, strip, ToOutput, to)
    }

    fn run<'a>(
        self,
        channels: usize,
        strip: Strip,
        transform: impl Transform,
        to: Unwritten<'a, T>,
    ) -> MatMut<'a, T> {
        let mut run = Run {
            of: self,
            channels,
            strip,
            transform,
            to,
        };
        Arch::new().dispatch(&mut run);
        // SAFETY: a transform writes the points or pixels of all tiles of all channels, which are
        // all of the block's part.
        unsafe { run.to.assume_written() }
    }
}

/// Every image and every vector of channels of a block, by one transform.
struct Run<'a, 'b, T, K> {
    of: Source<'a, T>,
    channels: usize,
    strip: Strip,
    transform: K,
    to: Unwritten<'b, T>,
}

impl<T: Element, K: Transform> WithSimd for &mut Run<'_, '_, T, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (nth, image) in self.of.block.images.clone().enumerate() {
            by_vectors!(T, simd, 0..self.channels, |s, c| {
                self.transform.vector(s, self, [image, nth, c]);
            });
        }
    }
}

/// A transform of one vector of channels, from `c` on, of image `image`, the block's `nth`.
trait Transform: Copy {
    fn vector<T: Element, S: Simd>(
        self,
        simd: S,
        run: &mut Run<'_, '_, T, Self>,
        image_nth_c: [usize; 3],
    );
}

/// A [`Transform`] to points, of tiles of `$size` pixels a side.
macro_rules! to_points {
    ($name:ident, $transform:ident, $size:literal) => {
        #[derive(Clone, Copy)]
        struct $name;

        impl Transform for $name {
            #[inline(always)]
            fn vector<T: Element, S: Simd>(
                self,
                simd: S,
                run: &mut Run<'_, '_, T, Self>,
                [image, nth, c]: [usize; 3],
            ) {
                let Run {
                    of,
                    channels,
                    strip,
                    to,
                    ..
                } = run;
                let (lanes, channels) = (T::lanes::<S>(), *channels);
                let planes = &of.from[(image * channels + c) * strip.h * strip.w..];
                strip.gather::<T, S>(planes, of.buffer);
                let line = strip.width * lanes;
                for (number, row, column) in of.block.tiles_of(nth) {
                    let from = &of.buffer[2 * row * line + 2 * column * lanes..];
                    let d: tile::Grid<T, S, $size, $size> = tile::load(simd, from, line, lanes);
                    let points = tile::$transform::<T, S>(simd, d);
                    for (p, &values) in points.as_flattened().iter().enumerate() {
                        to.store(simd, p, number * channels + c, values);
                    }
                }
            }
        }
    };
}

to_points!(Input, input, 4);
to_points!(OutputGradient, output_gradient, 2);

#[derive(Clone, Copy)]
struct ToOutput;

impl Transform for ToOutput {
    #[inline(always)]
    fn vector<T: Element, S: Simd>(
        self,
        simd: S,
        run: &mut Run<'_, '_, T, Self>,
        [_, nth, c]: [usize; 3],
    ) {
        let Run {
            of,
            channels,
            strip,
            to: planes,
            ..
        } = run;
        let (lanes, channels) = (T::lanes::<S>(), *channels);
        let (line, point) = (strip.width * lanes, of.tiles * channels);
        of.buffer.resize(strip.rows * line, T::ZERO);
        for (number, row, column) in of.block.tiles_of(nth) {
            let from = &of.from[(of.block.before + number) * channels + c..];
            let products: tile::Grid<T, S, 4, 4> = tile::load(simd, from, 4 * point, point);
            let pixels = tile::output::<T, S>(simd, products);
            let to = &mut of.buffer[2 * row * line + 2 * column * lanes..];
            tile::store::<T, S, 2, 2>(simd, pixels, to, line, lanes);
        }
        strip.scatter::<T, S>(of.buffer, nth * channels + c, planes);
    }
}

/// `G k Gᵀ` of the kernels of all `i` input and some output channels, the first of which is `first`:
/// as many columns of `(16 · I, O)`.
pub(super) struct Kernels<'a, 'b, T> {
    pub(super) of: &'a super::Kernels<'a, T>,
    pub(super) i: usize,
    pub(super) first: usize,
    pub(super) to: Unwritten<'b, T>,
}

impl<T: Element> Kernels<'_, '_, T> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, i: usize, column: usize) {
        let (lanes, o) = (T::lanes::<S>(), self.first + column);
        let super::Kernels { weight, turned, .. } = *self.of;
        let mut taps = [T::ZERO; 9 * MOST_LANES];
        for lane in 0..lanes {
            let kernel = &weight[i * self.of.i + (o + lane) * self.of.o..][..9];
            for tap in 0..9 {
                taps[tap * lanes + lane] = kernel[if turned { 8 - tap } else { tap }];
            }
        }
        let taps: tile::Grid<T, S, 3, 3> = tile::load(simd, &taps, 3 * lanes, lanes);
        let points = tile::kernel::<T, S>(simd, taps);
        for (p, &lane) in points.as_flattened().iter().enumerate() {
            self.to.store(simd, p * self.i + i, column, lane);
        }
    }
}

/// Lanes of an f32 vector on the widest instruction set.
const MOST_LANES: usize = 16;

impl<'b, T: Element> WithSimd for Kernels<'_, 'b, T> {
    type Output = MatMut<'b, T>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> MatMut<'b, T> {
        let (_, outputs) = self.to.size();
        for i in 0..self.i {
            by_vectors!(T, simd, 0..outputs, |s, o| self.vector(s, i, o));
        }
        // SAFETY: all 16 points of all input channels of these output channels were written.
        unsafe { self.to.assume_written() }
    }
}

/// `Gᵀ u G` of one output channel's sums `(C)`, `size` apart for the 16 points: `dw (C, 3, 3)`.
pub(super) struct KernelGradients<'a, T> {
    pub(super) sums: &'a [T],
    pub(super) size: usize,
    pub(super) dw: &'a mut [T],
}

impl<T: Element> KernelGradients<'_, T> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, c: usize) {
        let lanes = T::lanes::<S>();
        let u: tile::Grid<T, S, 4, 4> = tile::load(simd, &self.sums[c..], 4 * self.size, self.size);
        let mut taps = [T::ZERO; 9 * MOST_LANES];
        let gradient = tile::kernel_gradient::<T, S>(simd, u);
        tile::store::<T, S, 3, 3>(simd, gradient, &mut taps, 3 * lanes, lanes);
        let kernels = self.dw[9 * c..].chunks_exact_mut(9);
        for (lane, kernel) in kernels.take(lanes).enumerate() {
            for tap in 0..9 {
                kernel[tap] = taps[tap * lanes + lane];
            }
        }
    }
}

impl<T: Element> WithSimd for KernelGradients<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        by_vectors!(T, simd, 0..self.dw.len() / 9, |s, c| self.vector(s, c));
    }
}
