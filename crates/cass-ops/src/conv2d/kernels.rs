//! Convolution as matrix products over blocks of windows that fit the cache.

use super::columns;
use super::geometry::{Block, Geometry};
use crate::{
    element::Element,
    matmul::{Into, Mat, MatMut, matmul, matmul_parallel},
    parallel::{Output, collect, for_each_with, vectorized},
};

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

/// A matrix product, on one thread or on all.
type Product<T> = fn(MatMut<'_, T>, Into, Mat<'_, T>, Mat<'_, T>);

fn matmul_here<T: Element>(dst: MatMut<T>, into: Into, lhs: Mat<T>, rhs: Mat<T>) {
    matmul(dst, into, lhs, rhs, T::ONE);
}

/// On all threads where there is a single task, which runs by itself.
fn product_of<T: Element>(tasks: usize) -> Product<T> {
    if tasks == 1 {
        matmul_parallel
    } else {
        matmul_here
    }
}

/// `(B, O, H', W')`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let out = Output::new(g.b * g.o * g.windows());
    let blocks = g.blocks(BLOCK_ELEMENTS);
    let multiply = product_of(blocks.len());
    let one_block = |scratch: &mut Scratch<T>, block: &Block| {
        let (m, width) = (g.group_o(), block.columns(g));
        for group in 0..g.groups {
            let columns = column_matrix(g, block, group, x, &mut scratch.columns);
            let weight = weight_matrix(g, group, weight);
            if block.images.len() == 1 {
                // SAFETY: rows of one image and group, which no other task writes.
                let y = unsafe { out.matrix(block.first_output(g, group), m, width, g.windows()) };
                multiply(y, Into::Overwrite, weight, columns);
                continue;
            }
            let compact = sized(&mut scratch.compact, m * width);
            let to = MatMut::new(compact, m, width);
            multiply(to, Into::Overwrite, weight, columns);
            block.for_each_strip(g, group, |at, from| {
                // SAFETY: strips of different blocks, groups and channels are disjoint.
                let at = unsafe { out.range(at) };
                at.iter_mut().zip(&compact[from]).for_each(|(y, &v)| {
                    y.write(v);
                });
            });
        }
    };
    for_each_with(blocks.len(), Scratch::new, |scratch, i| {
        one_block(scratch, &blocks[i]);
    });
    // SAFETY: the blocks cover the output.
    unsafe { out.written() }
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
    let sum = |blocks: &[Block], multiply: Product<T>| {
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
                    multiply(to, Into::Accumulate, dy.t(), columns);
                } else {
                    multiply(to, Into::Accumulate, dy, columns.t());
                }
            }
        }
        dw
    };
    if blocks.len() < 2 * PARTIALS {
        return sum(&blocks, matmul_parallel);
    }
    let part = blocks.len().div_ceil(PARTIALS);
    let partials: Vec<Vec<T>> = collect(blocks.len().div_ceil(part), |i| {
        let part = &blocks[i * part..((i + 1) * part).min(blocks.len())];
        sum(part, matmul_here)
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
    let planes = g.c * g.h * g.w;
    let out = Output::new(g.b * planes);
    let multiply = product_of(tasks.len());
    let one_task = |scratch: &mut Scratch<T>, task: &[Block]| {
        if !(g.is_pointwise() && task.iter().all(|block| block.images.len() == 1)) {
            let images = &task[0].images;
            // SAFETY: the images of one task.
            let dx = unsafe { out.range(images.start * planes..images.end * planes) };
            dx.iter_mut().for_each(|v| {
                v.write(T::ZERO);
            });
        }
        for block in task {
            for group in 0..g.groups {
                grad_x_block(g, block, group, weight, dy, scratch, &out, multiply);
            }
        }
    };
    for_each_with(tasks.len(), Scratch::new, |scratch, i| {
        one_task(scratch, tasks[i]);
    });
    // SAFETY: the tasks cover all images, and each has written its own.
    unsafe { out.written() }
}

#[allow(clippy::too_many_arguments)]
fn grad_x_block<T: Element>(
    g: &Geometry,
    block: &Block,
    group: usize,
    weight: &[T],
    dy: &[T],
    scratch: &mut Scratch<T>,
    out: &Output<T>,
    multiply: Product<T>,
) {
    let (depth, width, channels) = (g.depth(), block.columns(g), g.c / g.groups);
    let weight = weight_matrix(g, group, weight).t();
    let dy = grad_matrix(g, block, group, dy, &mut scratch.compact);
    let first_plane = |image: usize| (image * g.c + group * channels) * g.h * g.w;
    if g.is_pointwise() && block.images.len() == 1 {
        let start = first_plane(block.images.start) + block.rows.start * g.ow;
        // SAFETY: rows of one image and group, which no other task writes.
        let dx = unsafe { out.matrix(start, channels, width, g.windows()) };
        multiply(dx, Into::Overwrite, weight, dy);
        return;
    }
    let columns = sized(&mut scratch.columns.matrix, depth * width);
    let to = MatMut::new(columns, depth, width);
    multiply(to, Into::Overwrite, weight, dy);
    for (i, image) in block.images.clone().enumerate() {
        let start = first_plane(image);
        // SAFETY: the planes of one image and group, which no other task touches and this one has
        // filled with zeros.
        let dx = unsafe { out.written_range(start..start + channels * g.h * g.w) };
        vectorized(
            #[inline(always)]
            || columns::scatter_add(g, block, i, columns, dx),
        );
    }
}
