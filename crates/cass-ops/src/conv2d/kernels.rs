//! Convolution as matrix products over blocks of windows that fit the cache.

use super::columns;
use super::geometry::{Block, Geometry};
use crate::element::Element;
use crate::matrix::{
    Mat, MatMut, Slot, matmul, matmul_add, matmul_add_parallel, matmul_parallel, steps, write_tiles,
};
use crate::parallel::{collect, vectorized, write_from};

/// Elements of a block's column matrix: about 1 MiB of f32, half of a usual L2 cache.
const BLOCK_ELEMENTS: usize = 256 * 1024;
/// Partial sums of a weight gradient. Fixed, so that the sum is the same for any thread count.
const PARTIALS: usize = 4;

/// Buffers of one thread.
struct Scratch<T> {
    columns: Columns<T>,
    compact: Vec<T>,
}

struct Columns<T> {
    matrix: Vec<T>,
    phases: Vec<T>,
}

impl<T: Element> Scratch<T> {
    fn new() -> Self {
        Self {
            columns: Columns {
                matrix: Vec::new(),
                phases: Vec::new(),
            },
            compact: Vec::new(),
        }
    }
}

fn sized<T: Element>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
    &mut buffer[..len]
}

/// The column matrix of a block: the image itself where that is the same.
fn column_matrix<'a, T: Element>(
    g: &Geometry,
    block: &Block,
    group: usize,
    x: &'a [T],
    buffer: &'a mut Columns<T>,
) -> Mat<'a, T> {
    let (depth, width) = (g.depth(), block.columns(g));
    let channels = g.c / g.groups;
    if g.is_pointwise() && block.images.len() == 1 {
        let first = (block.images.start * g.c + group * channels) * g.windows();
        let data = &x[first + block.rows.start * g.ow..];
        return Mat::strided(data, depth, width, g.windows());
    }
    let Columns { matrix, phases } = buffer;
    let channels = group * channels..(group + 1) * channels;
    vectorized(
        #[inline(always)]
        || columns::gather(g, block, channels, x, phases, matrix),
    );
    Mat::new(&matrix[..depth * width], depth, width)
}

fn weight_matrix<'a, T: Element>(g: &Geometry, group: usize, weight: &'a [T]) -> Mat<'a, T> {
    let (m, k) = (g.group_o(), g.depth());
    Mat::new(&weight[group * m * k..][..m * k], m, k)
}

/// Whether a product is made on this thread or, being the only task there is, on all.
#[derive(Clone, Copy, PartialEq)]
enum Threads {
    This,
    All,
}

impl Threads {
    fn for_each_of(tasks: usize) -> Self {
        if tasks == 1 { Self::All } else { Self::This }
    }

    fn matmul<'a, T: Element, E: Slot<T>>(
        self,
        dst: MatMut<'a, E>,
        lhs: Mat<T>,
        rhs: Mat<T>,
    ) -> MatMut<'a, T> {
        match self {
            Self::This => matmul(dst, lhs, rhs, T::ONE),
            Self::All => matmul_parallel(dst, lhs, rhs),
        }
    }

    fn matmul_add<T: Element>(self, dst: MatMut<T>, lhs: Mat<T>, rhs: Mat<T>) {
        match self {
            Self::This => matmul_add(dst, lhs, rhs, T::ONE),
            Self::All => matmul_add_parallel(dst, lhs, rhs),
        };
    }
}

/// `(B, O, H', W')`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let blocks = g.blocks(BLOCK_ELEMENTS);
    let Some(first) = blocks.first() else {
        return Vec::new();
    };
    let threads = Threads::for_each_of(blocks.len());
    let (m, windows) = (g.group_o(), g.windows());
    let (y, _) = write_tiles(
        (g.b * g.o, windows),
        first.images.len() * g.o,
        steps(windows, first.rows.len() * g.ow),
        Scratch::new,
        |scratch, i, y| {
            let block = &blocks[i];
            let width = block.columns(g);
            if block.images.len() == 1 {
                let (y, ()) = y.by_tiles(m, steps(width, width), |groups| {
                    let product = |(group, y)| {
                        let columns = column_matrix(g, block, group, x, &mut scratch.columns);
                        threads.matmul(y, weight_matrix(g, group, weight), columns)
                    };
                    (groups.into_iter().enumerate().map(product).collect(), ())
                });
                return (y, ());
            }
            let compact = sized(&mut scratch.compact, g.o * width);
            for (group, to) in compact.chunks_exact_mut(m * width).enumerate() {
                let columns = column_matrix(g, block, group, x, &mut scratch.columns);
                let to = MatMut::new(to, m, width);
                threads.matmul(to, weight_matrix(g, group, weight), columns);
            }
            // From the columns of all images together to planes.
            let y = y.by_rows(|row, y| {
                let (image, o) = (row / g.o, row % g.o);
                let from = &compact[o * width + image * windows..][..windows];
                write_from(y, [from], |[v]| v)
            });
            (y, ())
        },
    );
    y
}

/// Gathers the block's part of `dy` as a matrix (output channels of the group, columns).
fn grad_matrix<'a, T: Element>(
    g: &Geometry,
    block: &Block,
    group: usize,
    dy: &'a [T],
    buffer: &'a mut Vec<T>,
) -> Mat<'a, T> {
    let (m, width) = (g.group_o(), block.columns(g));
    if block.images.len() == 1 {
        let first = block.first_output(g, group);
        return Mat::strided(&dy[first..], m, width, g.windows());
    }
    let compact = sized(buffer, m * width);
    block.for_each_strip(g, group, |at, to| compact[to].copy_from_slice(&dy[at]));
    Mat::new(compact, m, width)
}

/// `dw (O, C / groups, KH, KW)`: the sum over blocks of `dy · columnsᵀ`.
pub(super) fn grad_weight<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (m, depth) = (g.group_o(), g.depth());
    // Rows of an image lie a whole plane apart.
    let direct = g.is_pointwise();
    let blocks = g.blocks(if direct {
        BLOCK_ELEMENTS / 4
    } else {
        BLOCK_ELEMENTS
    });
    let sum = |blocks: &[Block], threads: Threads| {
        let mut dw = vec![T::ZERO; g.o * depth];
        let mut scratch = Scratch::new();
        let (mut turned, mut turned_dy) = (Vec::new(), Vec::new());
        for block in blocks {
            for (group, dw) in dw.chunks_exact_mut(m * depth).enumerate() {
                let columns = column_matrix(g, block, group, x, &mut scratch.columns);
                let dy = grad_matrix(g, block, group, dy, &mut scratch.compact);
                let to = MatMut::new(dw, m, depth);
                if direct {
                    let (dy, columns) = (
                        dy.transposed(&mut turned_dy),
                        columns.transposed(&mut turned),
                    );
                    threads.matmul_add(to, dy.t(), columns);
                } else {
                    threads.matmul_add(to, dy, columns.t());
                }
            }
        }
        dw
    };
    if blocks.len() < 2 * PARTIALS {
        return sum(&blocks, Threads::All);
    }
    let part = blocks.len().div_ceil(PARTIALS);
    let partials: Vec<Vec<T>> = collect(blocks.len().div_ceil(part), |i| {
        let part = &blocks[i * part..((i + 1) * part).min(blocks.len())];
        sum(part, Threads::This)
    });
    let mut partials = partials.into_iter();
    let mut total = partials.next().unwrap_or_default();
    for partial in partials {
        total.iter_mut().zip(&partial).for_each(|(t, &p)| *t += p);
    }
    total
}

/// `dx (B, C, H, W)`: per block `weightᵀ · dy`, its columns added back to the windows they are of.
pub(super) fn grad_x<T: Element>(g: &Geometry, weight: &[T], dy: &[T]) -> Vec<T> {
    let blocks = g.blocks(BLOCK_ELEMENTS);
    // Rows of one image overlap in `dx`: a task takes all blocks of its images.
    let tasks: Vec<&[Block]> = blocks.chunk_by(|a, b| a.images == b.images).collect();
    let Some(first) = blocks.first() else {
        return Vec::new();
    };
    let (channels, size) = (g.c / g.groups, g.h * g.w);
    let threads = Threads::for_each_of(tasks.len());
    let (dx, _) = write_tiles(
        (g.b * g.c, size),
        first.images.len() * g.c,
        steps(size, size),
        Scratch::new,
        |scratch, i, dx| {
            let blocks = tasks[i];
            if g.is_pointwise() && blocks.iter().all(|block| block.images.len() == 1) {
                let widths = blocks.iter().map(|block| block.columns(g));
                let (dx, ()) = dx.by_tiles(channels, widths, |tiles| {
                    let product = |(i, dx)| {
                        let (group, block) = (i / blocks.len(), &blocks[i % blocks.len()]);
                        let dy = grad_matrix(g, block, group, dy, &mut scratch.compact);
                        threads.matmul(dx, weight_matrix(g, group, weight).t(), dy)
                    };
                    (tiles.into_iter().enumerate().map(product).collect(), ())
                });
                return (dx, ());
            }
            let mut dx = dx.zeroed();
            let images = dx.as_slice();
            for block in blocks {
                for group in 0..g.groups {
                    let dy = grad_matrix(g, block, group, dy, &mut scratch.compact);
                    let (depth, width) = (g.depth(), block.columns(g));
                    let columns = sized(&mut scratch.columns.matrix, depth * width);
                    let to = MatMut::new(columns, depth, width);
                    threads.matmul(to, weight_matrix(g, group, weight).t(), dy);
                    for nth in 0..block.images.len() {
                        let planes = &mut images[(nth * g.c + group * channels) * size..];
                        vectorized(
                            #[inline(always)]
                            || {
                                let planes = &mut planes[..channels * size];
                                columns::scatter_add(g, block, nth, columns, planes);
                            },
                        );
                    }
                }
            }
            (dx, ())
        },
    );
    dx
}
