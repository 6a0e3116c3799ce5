//! 3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3): 16 multiplications where the plain way
//! has 36 (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks").
//!
//! Tiles of 2x2 outputs see 4x4 inputs. With `Bᵀ d B` of an input tile, `G g Gᵀ` of a kernel and
//! `Aᵀ m A` of their products' sum over channels, the result is that tile. The sums are 16 matrix
//! products, tiles x channels; transforms run over channels, which lie next to each other in strips
//! of the image that fit the cache. The gradient of the input is such a convolution again, and that
//! of the weight its transpose: `Gᵀ (Σ (A dy Aᵀ) · (Bᵀ d B)) G`.

mod tile;
mod transform;

use super::kernels::Geometry;
use crate::{
    element::Element,
    matmul::{Into, Mat, MatMut, matmul},
    parallel::{Output, collect_with, for_each, for_each_chunk, for_each_with},
};
use std::ops::Range;
use transform::{input_transform, output_gradient_transform, output_transform};

/// Products of a tile.
const POINTS: usize = 16;
/// Fewer channels than this do not pay; output channels of one task that transforms kernels.
const GROUP: usize = 16;
/// Tiles that are transformed and multiplied together, at least.
const MIN_TILES: usize = 64;
/// Tiles times channels of a block: its transforms take 384 KiB of f32.
const BLOCK: usize = 6 * 1024;
/// Tiles times channels whose transforms a weight gradient holds at once.
const CHUNK: usize = 32 * 1024;

/// Whether this way is faster: the right kernel, and enough tiles, well filled, to pay for the
/// transforms of tiles and kernels.
pub(super) fn suits(g: &Geometry) -> bool {
    let tiles = g.oh.div_ceil(2) * g.ow.div_ceil(2);
    (g.kh, g.kw, g.stride, g.groups) == (3, 3, 1, 1)
        && g.padding <= 2
        && g.c >= GROUP
        && g.o >= GROUP
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
            rows.div_ceil((wanted / columns).max(1))
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

    /// The tiles of the block's `nth` image: their numbers in the block, rows and columns.
    #[inline(always)]
    fn tiles_of(&self, nth: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (rows, columns) = (self.rows.len(), self.columns);
        (0..rows).flat_map(move |row| {
            (0..columns).map(move |column| ((nth * rows + row) * columns + column, row, column))
        })
    }
}

/// Where the kernel of an input and an output channel lies in a weight (O, C, 3, 3).
#[derive(Clone, Copy)]
struct Kernels<'a, T> {
    weight: &'a [T],
    /// Elements from one input channel to the next, and from one output channel.
    i: usize,
    o: usize,
    turned: bool,
}

impl<T: Element> Kernels<'_, T> {
    /// `G k Gᵀ` of all of them: `(16, I, O)`.
    fn transform(&self, i: usize, o: usize) -> Vec<T> {
        let u = Output::new(POINTS * i * o);
        for_each(o.div_ceil(GROUP), |group| {
            let outputs = group * GROUP..(group * GROUP + GROUP).min(o);
            pulp::Arch::new().dispatch(transform::Kernels {
                of: self,
                i,
                o,
                outputs,
                to: &u,
            });
        });
        // SAFETY: all input channels of all output channels were written.
        unsafe { u.written() }
    }
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

/// `(B, O, H', W')` of `x (B, I, H, W)`.
fn convolve<T: Element>(s: &Sizes, x: &[T], kernels: &Kernels<T>) -> Vec<T> {
    let size = s.i * s.o;
    let u = kernels.transform(s.i, s.o);
    let y = Output::new(s.b * s.o * s.oh * s.ow);
    let one_block = |scratch: &mut Scratch<T>, block: &Block| {
        let tiles = block.tiles();
        let Scratch { strip, v, m } = scratch;
        v.resize(POINTS * tiles * s.i, T::ZERO);
        m.resize(POINTS * tiles * s.o, T::ZERO);
        input_transform(s, block, x, strip, v);
        let pairs = v
            .chunks_exact(tiles * s.i)
            .zip(m.chunks_exact_mut(tiles * s.o));
        for (point, (v, m)) in pairs.enumerate() {
            let (v, m) = (Mat::new(v, tiles, s.i), MatMut::new(m, tiles, s.o));
            let u = Mat::new(&u[point * size..][..size], s.i, s.o);
            matmul(m, Into::Overwrite, v, u, T::ONE);
        }
        output_transform(s, block, m, strip, &y);
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
    let kernels = Kernels {
        weight,
        i: 9,
        o: 9 * g.c,
        turned: false,
    };
    convolve(&Sizes::forward(g), x, &kernels)
}

/// `dx (B, C, H, W)`.
pub(super) fn grad_x<T: Element>(g: &Geometry, weight: &[T], dy: &[T]) -> Vec<T> {
    let kernels = Kernels {
        weight,
        i: 9 * g.c,
        o: 9,
        turned: true,
    };
    convolve(&Sizes::backward(g), dy, &kernels)
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
            input_transform(&s, block, x, strip, &mut v);
            output_gradient_transform(&s, block, dy, strip, &mut z);
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
        let sums = &sums[o * g.c..];
        pulp::Arch::new().dispatch(transform::KernelGradients { sums, size, dw });
    });
    dw
}
