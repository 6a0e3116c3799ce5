//! 3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3): 16 multiplications where the plain way
//! has 36 (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks").
//!
//! Tiles of 2x2 outputs see 4x4 inputs. With `Bᵀ d B` of an input tile, `G g Gᵀ` of a kernel and
//! `Aᵀ m A` of their products' sum over channels, the result is that tile. The sums are 16 matrix
//! products, tiles x channels; transforms run over channels, which lie next to each other in strips
//! of the image that fit the cache. The gradient of the input is such a convolution again, and that
//! of the weight its transpose: `Gᵀ (Σ (A dy Aᵀ) · (Bᵀ d B)) G`.

#![expect(
    clippy::needless_range_loop,
    reason = "one index over the rows of a tile, as the formulas have it"
)]

use super::kernels::Geometry;
use crate::{
    element::Element,
    matmul::{Into, Mat, MatMut, matmul},
    parallel::{Output, collect_with, for_each, for_each_chunk, for_each_with, vectorized},
};
use std::ops::Range;

/// Products of a tile.
const POINTS: usize = 16;
/// Channels that a transform takes at once.
const LANES: usize = 16;
/// Tiles that are transformed and multiplied together, at least.
const MIN_TILES: usize = 64;
/// Tiles times channels of a block: its transforms take 512 KiB of f32.
const BLOCK: usize = 8 * 1024;
/// Tiles times channels whose transforms a weight gradient holds at once.
const CHUNK: usize = 256 * 1024;

/// Whether this way is faster: the right kernel, and enough tiles, well filled, to pay for the
/// transforms of tiles and kernels.
pub(super) fn suits(g: &Geometry) -> bool {
    let tiles = g.oh.div_ceil(2) * g.ow.div_ceil(2);
    (g.kh, g.kw, g.stride, g.groups) == (3, 3, 1, 1)
        && g.padding <= 2
        && g.c >= LANES
        && g.o >= LANES
        && g.b * tiles >= MIN_TILES
        && 10 * POINTS * tiles <= 7 * 9 * g.oh * g.ow
}

/// A convolution's sizes, or those of the one that gives its input's gradient.
struct Sizes {
    b: usize,
    /// Channels in and out.
    i: usize,
    o: usize,
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    padding: usize,
}

impl Sizes {
    fn forward(g: &Geometry) -> Self {
        Self {
            b: g.b,
            i: g.c,
            o: g.o,
            h: g.h,
            w: g.w,
            oh: g.oh,
            ow: g.ow,
            padding: g.padding,
        }
    }

    fn backward(g: &Geometry) -> Self {
        Self {
            b: g.b,
            i: g.o,
            o: g.c,
            h: g.oh,
            w: g.ow,
            oh: g.h,
            ow: g.w,
            padding: 2 - g.padding,
        }
    }

    fn tile_rows(&self) -> usize {
        self.oh.div_ceil(2)
    }

    fn tile_columns(&self) -> usize {
        self.ow.div_ceil(2)
    }

    /// Rows of tiles of one image, or whole small images.
    fn blocks(&self) -> Vec<Block> {
        let wanted = (BLOCK / self.i.max(self.o)).max(MIN_TILES);
        let (rows, columns) = (self.tile_rows(), self.tile_columns());
        let images = (wanted / (rows * columns)).clamp(1, self.b);
        let parts = if images > 1 {
            1
        } else {
            (rows * columns).div_ceil(wanted).min(rows)
        };
        let step = rows.div_ceil(parts);
        (0..self.b)
            .step_by(images)
            .flat_map(|first| {
                (0..rows).step_by(step).map(move |row| Block {
                    images: first..(first + images).min(self.b),
                    rows: row..(row + step).min(rows),
                    columns,
                })
            })
            .collect()
    }
}

#[derive(Clone)]
struct Block {
    images: Range<usize>,
    /// Of tiles.
    rows: Range<usize>,
    columns: usize,
}

impl Block {
    fn tiles(&self) -> usize {
        self.images.len() * self.rows.len() * self.columns
    }

    /// The tile's number in the block, by its image, row and column there.
    fn tile(&self, image: usize, row: usize, column: usize) -> usize {
        (image * self.rows.len() + row) * self.columns + column
    }
}

type Lanes<T, const L: usize> = [T; L];

#[inline(always)]
fn add<T: Element, const L: usize>(a: Lanes<T, L>, b: Lanes<T, L>) -> Lanes<T, L> {
    std::array::from_fn(|l| a[l] + b[l])
}

#[inline(always)]
fn sub<T: Element, const L: usize>(a: Lanes<T, L>, b: Lanes<T, L>) -> Lanes<T, L> {
    std::array::from_fn(|l| a[l] - b[l])
}

#[inline(always)]
fn load<T: Element, const L: usize>(from: &[T]) -> Lanes<T, L> {
    std::array::from_fn(|l| from[..L][l])
}

/// `Bᵀ d`.
#[inline(always)]
fn bt<T: Element, const L: usize>(d: [Lanes<T, L>; 4]) -> [Lanes<T, L>; 4] {
    [
        sub(d[0], d[2]),
        add(d[1], d[2]),
        sub(d[2], d[1]),
        sub(d[1], d[3]),
    ]
}

/// `Aᵀ m`.
#[inline(always)]
fn at<T: Element, const L: usize>(m: [Lanes<T, L>; 4]) -> [Lanes<T, L>; 2] {
    [add(add(m[0], m[1]), m[2]), sub(sub(m[1], m[2]), m[3])]
}

/// `A y`.
#[inline(always)]
fn a<T: Element, const L: usize>(y: [Lanes<T, L>; 2]) -> [Lanes<T, L>; 4] {
    [y[0], add(y[0], y[1]), sub(y[0], y[1]), y[1].map(|v| -v)]
}

#[inline(always)]
fn half<T: Element, const L: usize>(a: Lanes<T, L>) -> Lanes<T, L> {
    a.map(|v| v * T::from_f64(0.5))
}

/// `G g`.
#[inline(always)]
fn gg<T: Element, const L: usize>(g: [Lanes<T, L>; 3]) -> [Lanes<T, L>; 4] {
    let (ends, middle) = (half(add(g[0], g[2])), half(g[1]));
    [g[0], add(ends, middle), sub(ends, middle), g[2]]
}

/// `Gᵀ u`.
#[inline(always)]
fn gt<T: Element, const L: usize>(u: [Lanes<T, L>; 4]) -> [Lanes<T, L>; 3] {
    let (sum, difference) = (half(add(u[1], u[2])), half(sub(u[1], u[2])));
    [add(u[0], sum), difference, add(sum, u[3])]
}

/// Runs `$f::<_, LANES>` on as many whole groups of channels as there are, and `$f::<_, 1>` on the rest.
macro_rules! by_lanes {
    ($channels:expr, |$c:ident, $lanes:ident| $body:expr) => {{
        let whole = $channels / LANES * LANES;
        for $c in (0..whole).step_by(LANES) {
            const $lanes: usize = LANES;
            $body
        }
        for $c in whole..$channels {
            const $lanes: usize = 1;
            $body
        }
    }};
}

/// Rows `rows` (which may lie outside) and all columns of one image, channels last, with zeros
/// around: `(rows, width, channels)`; column 0 is column `-padding` of the image.
#[inline(always)]
fn strip<T: Element>(
    planes: &[T],
    [channels, h, w]: [usize; 3],
    rows: Range<isize>,
    padding: usize,
    width: usize,
    to: &mut Vec<T>,
) {
    to.clear();
    to.resize(rows.len() * width * channels, T::ZERO);
    for (row, to) in rows.zip(to.chunks_exact_mut(width * channels)) {
        let Some(y) = usize::try_from(row).ok().filter(|&y| y < h) else {
            continue;
        };
        let inside = (width - padding).min(w);
        let to = &mut to[padding * channels..][..inside * channels];
        for first in (0..inside).step_by(LANES) {
            let count = LANES.min(inside - first);
            for c in 0..channels {
                let from = &planes[(c * h + y) * w + first..][..count];
                for (x, &v) in from.iter().enumerate() {
                    to[(first + x) * channels + c] = v;
                }
            }
        }
    }
}

/// `Bᵀ d B` of every tile of a block: `(16, tiles, channels)`.
fn input_transform<T: Element>(s: &Sizes, block: &Block, x: &[T], xt: &mut Vec<T>, v: &mut [T]) {
    let (channels, width) = (s.i, 2 * block.columns + 2);
    let (plane, tiles) = (s.h * s.w, block.tiles());
    let first = 2 * block.rows.start as isize - s.padding as isize;
    let rows = first..first + 2 * block.rows.len() as isize + 2;
    for (image, number) in block.images.clone().enumerate() {
        let planes = &x[number * channels * plane..][..channels * plane];
        let sizes = [channels, s.h, s.w];
        strip(planes, sizes, rows.clone(), s.padding, width, xt);
        for row in 0..block.rows.len() {
            for column in 0..block.columns {
                let tile = block.tile(image, row, column);
                by_lanes!(channels, |c, L| {
                    let d = |y: usize, x: usize| -> Lanes<T, L> {
                        load(&xt[((2 * row + y) * width + 2 * column + x) * channels + c..])
                    };
                    let t: [_; 4] =
                        std::array::from_fn(|x| bt([d(0, x), d(1, x), d(2, x), d(3, x)]));
                    for y in 0..4 {
                        let points = bt([t[0][y], t[1][y], t[2][y], t[3][y]]);
                        for (x, point) in points.into_iter().enumerate() {
                            let at = ((4 * y + x) * tiles + tile) * channels + c;
                            v[at..at + L].copy_from_slice(&point);
                        }
                    }
                });
            }
        }
    }
}

/// `A dy Aᵀ` of every tile of a block of a result `(B, O, H', W')`: `(16, tiles, channels)`.
fn output_gradient_transform<T: Element>(
    s: &Sizes,
    block: &Block,
    dy: &[T],
    dyt: &mut Vec<T>,
    z: &mut [T],
) {
    let (channels, width) = (s.o, 2 * block.columns);
    let (plane, tiles) = (s.oh * s.ow, block.tiles());
    let rows = 2 * block.rows.start as isize..2 * block.rows.end as isize;
    for (image, number) in block.images.clone().enumerate() {
        let planes = &dy[number * channels * plane..][..channels * plane];
        strip(planes, [channels, s.oh, s.ow], rows.clone(), 0, width, dyt);
        for row in 0..block.rows.len() {
            for column in 0..block.columns {
                let tile = block.tile(image, row, column);
                by_lanes!(channels, |c, L| {
                    let d = |y: usize, x: usize| -> Lanes<T, L> {
                        load(&dyt[((2 * row + y) * width + 2 * column + x) * channels + c..])
                    };
                    let t = [a([d(0, 0), d(1, 0)]), a([d(0, 1), d(1, 1)])];
                    for y in 0..4 {
                        for (x, point) in a([t[0][y], t[1][y]]).into_iter().enumerate() {
                            let at = ((4 * y + x) * tiles + tile) * channels + c;
                            z[at..at + L].copy_from_slice(&point);
                        }
                    }
                });
            }
        }
    }
}

/// Writes `Aᵀ m A` of every tile of a block to its place in `(B, O, H', W')`.
fn output_transform<T: Element>(s: &Sizes, block: &Block, m: &[T], yt: &mut Vec<T>, y: &Output<T>) {
    let (channels, width) = (s.o, 2 * block.columns);
    let tiles = block.tiles();
    let rows = 2 * block.rows.start..(2 * block.rows.end).min(s.oh);
    yt.clear();
    yt.resize(2 * block.rows.len() * width * channels, T::ZERO);
    for (image, number) in block.images.clone().enumerate() {
        for row in 0..block.rows.len() {
            for column in 0..block.columns {
                let tile = block.tile(image, row, column);
                by_lanes!(channels, |c, L| {
                    let p = |y: usize, x: usize| -> Lanes<T, L> {
                        load(&m[((4 * y + x) * tiles + tile) * channels + c..])
                    };
                    let t: [_; 4] =
                        std::array::from_fn(|x| at([p(0, x), p(1, x), p(2, x), p(3, x)]));
                    for y in 0..2 {
                        let pixels = at([t[0][y], t[1][y], t[2][y], t[3][y]]);
                        for (x, pixel) in pixels.into_iter().enumerate() {
                            let at = ((2 * row + y) * width + 2 * column + x) * channels + c;
                            yt[at..at + L].copy_from_slice(&pixel);
                        }
                    }
                });
            }
        }
        for (yt, row) in yt.chunks_exact(width * channels).zip(rows.clone()) {
            for first in (0..s.ow).step_by(LANES) {
                let count = LANES.min(s.ow - first);
                for c in 0..channels {
                    let start = ((number * channels + c) * s.oh + row) * s.ow + first;
                    // SAFETY: rows of different blocks, images and channels do not overlap.
                    let to = unsafe { y.range(start..start + count) };
                    for (x, to) in to.iter_mut().enumerate() {
                        to.write(yt[(first + x) * channels + c]);
                    }
                }
            }
        }
    }
}

/// `G g Gᵀ` of every kernel of a weight (O, C, 3, 3), turned by 180° if `turned`: `(16, O, C)`.
fn weight_transform<T: Element>(g: &Geometry, weight: &[T], turned: bool) -> Vec<T> {
    let (rows, channels) = (g.o, g.c);
    let u = Output::new(POINTS * rows * channels);
    for_each(rows, |o| {
        let kernels = &weight[o * 9 * channels..][..9 * channels];
        let mut points: [_; POINTS] = std::array::from_fn(|p| {
            let first = (p * rows + o) * channels;
            // SAFETY: row `o` of each point, which this task alone writes.
            unsafe { u.range(first..first + channels) }
        });
        vectorized(
            #[inline(always)]
            || {
                by_lanes!(channels, |c, L| {
                    let kernels = &kernels[9 * c..][..9 * L];
                    let g = |y: usize, x: usize| -> Lanes<T, L> {
                        let tap = if turned { 8 - (3 * y + x) } else { 3 * y + x };
                        std::array::from_fn(|l| kernels[9 * l + tap])
                    };
                    let t: [_; 3] = std::array::from_fn(|x| gg([g(0, x), g(1, x), g(2, x)]));
                    for y in 0..4 {
                        let row = gg([t[0][y], t[1][y], t[2][y]]);
                        for (x, values) in row.into_iter().enumerate() {
                            let to = &mut points[4 * y + x][c..c + L];
                            to.iter_mut().zip(values).for_each(|(to, value)| {
                                to.write(value);
                            });
                        }
                    }
                });
            },
        );
    });
    // SAFETY: every row of every point was written.
    unsafe { u.written() }
}

/// Buffers of one thread.
struct Scratch<T> {
    strip: Vec<T>,
    v: Vec<T>,
    m: Vec<T>,
}

impl<T: Element> Scratch<T> {
    fn new() -> Self {
        Self {
            strip: Vec::new(),
            v: Vec::new(),
            m: Vec::new(),
        }
    }
}

/// `(B, O, H', W')` of `x (B, I, H, W)`; `u(point)` is the transformed kernel `(I, O)`.
fn convolve<'a, T: Element>(s: &Sizes, x: &[T], u: impl Fn(usize) -> Mat<'a, T> + Sync) -> Vec<T> {
    let y = Output::new(s.b * s.o * s.oh * s.ow);
    let one_block = |scratch: &mut Scratch<T>, block: &Block| {
        let tiles = block.tiles();
        let Scratch { strip, v, m } = scratch;
        v.resize(POINTS * tiles * s.i, T::ZERO);
        m.resize(POINTS * tiles * s.o, T::ZERO);
        vectorized(
            #[inline(always)]
            || input_transform(s, block, x, strip, v),
        );
        let pairs = v
            .chunks_exact(tiles * s.i)
            .zip(m.chunks_exact_mut(tiles * s.o));
        for (point, (v, m)) in pairs.enumerate() {
            let (v, m) = (Mat::new(v, tiles, s.i), MatMut::new(m, tiles, s.o));
            matmul(m, Into::Overwrite, v, u(point), T::ONE);
        }
        vectorized(
            #[inline(always)]
            || output_transform(s, block, m, strip, &y),
        );
    };
    let blocks = s.blocks();
    for_each_with(blocks.len(), Scratch::new, |scratch, i| {
        one_block(scratch, &blocks[i]);
    });
    // SAFETY: the blocks cover all rows of all images.
    unsafe { y.written() }
}

/// `(B, O, H', W')`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let u = weight_transform(g, weight, false);
    let size = g.o * g.c;
    let point = |p: usize| Mat::new(&u[p * size..][..size], g.o, g.c).t();
    convolve(&Sizes::forward(g), x, point)
}

/// `dx (B, C, H, W)`.
pub(super) fn grad_x<T: Element>(g: &Geometry, weight: &[T], dy: &[T]) -> Vec<T> {
    let u = weight_transform(g, weight, true);
    let size = g.o * g.c;
    let point = |p: usize| Mat::new(&u[p * size..][..size], g.o, g.c);
    convolve(&Sizes::backward(g), dy, point)
}

/// `dw (O, C, 3, 3)`.
pub(super) fn grad_weight<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let s = Sizes::forward(g);
    let (size, blocks) = (g.o * g.c, s.blocks());
    let mut sums = vec![T::ZERO; POINTS * size];
    let most = blocks.iter().map(Block::tiles).max().unwrap_or(1);
    let together = (CHUNK / (most * g.c.max(g.o))).max(1);
    // A block's transforms lie behind each other, for the products to run over.
    for chunk in blocks.chunks(together) {
        let transforms: Vec<[Vec<T>; 2]> = collect_with(chunk.len(), Vec::new, |strip, i| {
            let block = &chunk[i];
            let mut v = vec![T::ZERO; POINTS * block.tiles() * g.c];
            let mut z = vec![T::ZERO; POINTS * block.tiles() * g.o];
            vectorized(
                #[inline(always)]
                || {
                    input_transform(&s, block, x, strip, &mut v);
                    output_gradient_transform(&s, block, dy, strip, &mut z);
                },
            );
            [v, z]
        });
        for_each_chunk(&mut sums, size, |p, sum| {
            for (block, [v, z]) in chunk.iter().zip(&transforms) {
                let tiles = block.tiles();
                let v = Mat::new(&v[p * tiles * g.c..][..tiles * g.c], tiles, g.c);
                let z = Mat::new(&z[p * tiles * g.o..][..tiles * g.o], tiles, g.o);
                let to = MatMut::new(sum, g.o, g.c);
                matmul(to, Into::Accumulate, z.t(), v, T::ONE);
            }
        });
    }
    let mut dw = vec![T::ZERO; 9 * size];
    for_each_chunk(&mut dw, 9 * g.c, |o, dw| {
        vectorized(
            #[inline(always)]
            || {
                by_lanes!(g.c, |c, L| {
                    let u = |y: usize, x: usize| -> Lanes<T, L> {
                        load(&sums[(4 * y + x) * size + o * g.c + c..])
                    };
                    let t: [_; 4] =
                        std::array::from_fn(|x| gt([u(0, x), u(1, x), u(2, x), u(3, x)]));
                    let kernels = &mut dw[9 * c..][..9 * L];
                    for y in 0..3 {
                        let row = gt([t[0][y], t[1][y], t[2][y], t[3][y]]);
                        for (x, values) in row.into_iter().enumerate() {
                            for (l, value) in values.into_iter().enumerate() {
                                kernels[9 * l + 3 * y + x] = value;
                            }
                        }
                    }
                });
            },
        );
    });
    dw
}
