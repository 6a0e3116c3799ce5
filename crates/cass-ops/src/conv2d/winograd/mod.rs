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

use super::geometry::{Geometry, equal};
use crate::element::Element;
use crate::matrix::{
    Mat, MatMut, matmul, matmul_add, rewrite_matrix, steps, write_matrix, write_tiles,
};
use crate::parallel::{for_each_chunk, share_with};
use std::mem::MaybeUninit;
use std::ops::Range;
use transform::Source;

/// Products of a tile.
const POINTS: usize = 16;
/// Fewer channels than this do not pay; output channels of one task that transforms kernels.
const GROUP: usize = 16;
/// Tiles that are transformed and multiplied together, at least.
const MIN_TILES: usize = 64;
/// Tiles times channels of a block: its transforms take 384 KiB of f32.
const BLOCK: usize = 6 * 1024;
/// Tiles times channels whose transforms are held at once, by all threads together.
const CHUNK: usize = 32 * 1024;
/// [`CHUNK`] for [`WIDE`] or more input times output channels.
const WIDE_CHUNK: usize = 8 * CHUNK;
const WIDE: usize = 256 * 256;

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
        let images = equal(self.b, wanted / (rows * columns));
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
                    before: 0,
                })
            })
            .collect()
    }

    /// Whether a transformed kernel is large against the cache, and has to be used for many tiles.
    fn is_wide(&self) -> bool {
        self.i * self.o >= WIDE
    }

    /// The blocks, in chunks of about `tiles`.
    fn chunks(&self, tiles: usize) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        for mut block in self.blocks() {
            let more = block.tiles();
            match chunks.last_mut() {
                Some(chunk) if chunk.tiles + more <= tiles => {
                    block.before = chunk.tiles;
                    chunk.tiles += more;
                    chunk.blocks.push(block);
                }
                _ => chunks.push(Chunk {
                    tiles: more,
                    blocks: vec![block],
                }),
            }
        }
        chunks
    }
}

/// Blocks whose tiles are multiplied together: points of theirs are `(tiles, channels)`.
struct Chunk {
    tiles: usize,
    blocks: Vec<Block>,
}

#[derive(Clone)]
struct Block {
    images: Range<usize>,
    /// Rows of tiles.
    rows: Range<usize>,
    columns: usize,
    /// Tiles of the chunk before its own.
    before: usize,
}

impl Block {
    fn tiles(&self) -> usize {
        self.images.len() * self.rows.len() * self.columns
    }

    /// The tiles of the block's `nth` image: their numbers in the block, rows and columns.
    #[inline(always)]
    fn tiles_of(&self, nth: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (rows, columns) = (self.rows.len(), self.columns);
        let first = nth * rows * columns;
        (0..rows).flat_map(move |row| {
            (0..columns).map(move |column| (first + row * columns + column, row, column))
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
        let (u, _) = write_tiles(
            (POINTS * i, o),
            POINTS * i,
            steps(o, GROUP),
            || (),
            |(), group, to| {
                let first = group * GROUP;
                let of = self;
                let written = pulp::Arch::new().dispatch(transform::Kernels { of, i, first, to });
                (written, ())
            },
        );
        u
    }
}

/// A part of a result, not written yet.
type Unwritten<'a, T> = MatMut<'a, MaybeUninit<T>>;

/// A transform to points `(16, tiles, channels)` of every tile of a chunk, over the memory of `to`;
/// `f` writes the points of one block's tiles.
fn points<T: Element>(
    chunk: &Chunk,
    channels: usize,
    from: &[T],
    to: &mut Vec<T>,
    f: impl for<'a> Fn(Source<T>, Unwritten<'a, T>) -> MatMut<'a, T> + Sync,
) {
    let widths = chunk.blocks.iter().map(|block| block.tiles() * channels);
    rewrite_matrix(to, POINTS, chunk.tiles * channels, |points| {
        points.by_tiles(POINTS, widths, |tiles| {
            let task = |buffer: &mut Vec<T>, i: usize, to| {
                let source = Source {
                    block: &chunk.blocks[i],
                    tiles: chunk.tiles,
                    from,
                    buffer,
                };
                f(source, to)
            };
            (share_with(tiles, Vec::new, task), ())
        })
    });
}

/// `(B, O, H', W')` of `x (B, I, H, W)`.
fn convolve<T: Element>(s: &Sizes, x: &[T], kernels: &Kernels<T>) -> Vec<T> {
    let u = kernels.transform(s.i, s.o);
    let chunks = s.chunks(match s.is_wide() {
        true => WIDE_CHUNK / s.i.max(s.o),
        false => 0,
    });
    let Some(first) = chunks.first().and_then(|chunk| chunk.blocks.first()) else {
        return Vec::new();
    };
    let (y, ()) = write_matrix(s.b * s.o, s.oh * s.ow, |y| {
        let bands = steps(s.oh, 2 * first.rows.len()).map(|rows| rows * s.ow);
        y.by_tiles(first.images.len() * s.o, bands, |tiles| {
            let mut tiles = tiles.into_iter();
            // Each chunk with what its blocks are to write.
            let work = chunks.iter().map(|chunk| {
                let tiles = tiles.by_ref().take(chunk.blocks.len());
                (chunk, tiles.collect())
            });
            let work: Vec<(&Chunk, Vec<Unwritten<T>>)> = work.collect();
            // Loops inside a task run on its thread: either way keeps all threads busy.
            let written: Vec<Vec<_>> = if s.is_wide() {
                let mut buffers = Default::default();
                let work = work.into_iter();
                work.map(|(chunk, y)| convolve_chunk(s, x, &u, &mut buffers, chunk, y))
                    .collect()
            } else {
                share_with(work, Default::default, |buffers, _, (chunk, y)| {
                    convolve_chunk(s, x, &u, buffers, chunk, y)
                })
            };
            (written.into_iter().flatten().collect(), ())
        })
    });
    y
}

/// The results of one chunk's blocks, each into its tile.
fn convolve_chunk<'a, T: Element>(
    s: &Sizes,
    x: &[T],
    u: &[T],
    [v, m]: &mut [Vec<T>; 2],
    chunk: &Chunk,
    y: Vec<Unwritten<'a, T>>,
) -> Vec<MatMut<'a, T>> {
    let (tiles, size) = (chunk.tiles, s.i * s.o);
    points(chunk, s.i, x, v, |source, to| source.input(s, to));
    rewrite_matrix(m, POINTS * tiles, s.o, |products| {
        products.by_tiles(tiles, steps(s.o, s.o), |points| {
            let task = |(): &mut (), p: usize, m| {
                let v = Mat::new(&v[p * tiles * s.i..][..tiles * s.i], tiles, s.i);
                let u = Mat::new(&u[p * size..][..size], s.i, s.o);
                matmul(m, v, u, T::ONE)
            };
            (share_with(points, || (), task), ())
        })
    });
    share_with(y, Vec::new, |buffer, i, y| {
        let source = Source {
            block: &chunk.blocks[i],
            tiles,
            from: m,
            buffer,
        };
        source.output(s, y)
    })
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
    let size = g.o * g.c;
    let mut sums = vec![T::ZERO; POINTS * size];
    let held = if s.is_wide() { WIDE_CHUNK } else { CHUNK };
    let (mut v, mut z) = (Vec::new(), Vec::new());
    for chunk in &s.chunks(held / g.c.max(g.o)) {
        let tiles = chunk.tiles;
        points(chunk, g.c, x, &mut v, |source, to| source.input(&s, to));
        points(chunk, g.o, dy, &mut z, |source, to| {
            source.output_gradient(&s, to)
        });
        for_each_chunk(&mut sums, size, |p, sum| {
            let v = Mat::new(&v[p * tiles * g.c..][..tiles * g.c], tiles, g.c);
            let z = Mat::new(&z[p * tiles * g.o..][..tiles * g.o], tiles, g.o);
            let to = MatMut::new(sum, g.o, g.c);
            matmul_add(to, z.t(), v, T::ONE);
        });
    }
    let mut dw = vec![T::ZERO; 9 * size];
    for_each_chunk(&mut dw, 9 * g.c, |o, dw| {
        let sums = &sums[o * g.c..];
        pulp::Arch::new().dispatch(transform::KernelGradients { sums, size, dw });
    });
    dw
}
