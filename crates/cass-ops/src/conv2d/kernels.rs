//! Convolution as matrix products over blocks of windows that fit the cache.

use super::{Conv2dConfig, columns};
use crate::{
    element::Element,
    matmul::{Into, Mat, MatMut, matmul, matmul_parallel},
    parallel::{Output, collect, for_each_with, vectorized},
    phases::Windows,
};
use candle_core::{Result, bail};
use std::ops::Range;

/// Elements of a block's column matrix: about 1 MiB of f32, half of a usual L2 cache.
const BLOCK_ELEMENTS: usize = 256 * 1024;
/// Fewer columns than this make a slow matrix product: small images are taken several at once.
const MIN_COLUMNS: usize = 96;
/// Partial sums of a weight gradient. Fixed, so that the sum is the same for any thread count.
const PARTIALS: usize = 4;

/// Every size of one convolution.
pub(super) struct Geometry {
    pub(super) b: usize,
    pub(super) c: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) o: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) groups: usize,
}

impl Geometry {
    pub(super) fn new(
        (b, c, h, w): (usize, usize, usize, usize),
        (o, group_c, kh, kw): (usize, usize, usize, usize),
        config: &Conv2dConfig,
    ) -> Result<Self> {
        let groups = config.groups;
        if groups == 0 || group_c * groups != c || o % groups != 0 {
            bail!(
                "conv2d: {c} channels, weight ({o}, {group_c}, {kh}, {kw}) and {config:?} do not fit"
            );
        }
        Ok(Self {
            b,
            c,
            h,
            w,
            o,
            kh,
            kw,
            oh: config.out_size(h, kh)?,
            ow: config.out_size(w, kw)?,
            stride: config.stride,
            padding: config.padding,
            groups,
        })
    }

    pub(super) fn out_shape(&self) -> [usize; 4] {
        [self.b, self.o, self.oh, self.ow]
    }

    /// Windows an image.
    fn windows(&self) -> usize {
        self.oh * self.ow
    }

    /// Elements of a window in one group.
    fn depth(&self) -> usize {
        self.c / self.groups * self.kh * self.kw
    }

    /// Output channels of one group.
    fn group_o(&self) -> usize {
        self.o / self.groups
    }

    /// Whether the image is its own column matrix.
    fn is_pointwise(&self) -> bool {
        self.kh == 1 && self.kw == 1 && self.stride == 1 && self.padding == 0
    }

    pub(super) fn over_plane(&self) -> Windows {
        Windows {
            h: self.h,
            w: self.w,
            kh: self.kh,
            kw: self.kw,
            ow: self.ow,
            stride: self.stride,
            padding: self.padding,
        }
    }

    /// The input row (of `size`) that output row `o` meets at kernel row `k`, unless it is padding.
    #[inline(always)]
    pub(super) fn source(&self, o: usize, k: usize, size: usize) -> Option<usize> {
        (o * self.stride + k)
            .checked_sub(self.padding)
            .filter(|&at| at < size)
    }

    /// The output columns whose input column at kernel column `kx` is not padding.
    #[inline(always)]
    pub(super) fn inside_columns(&self, kx: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(kx).div_ceil(self.stride);
        let end = (self.w + self.padding)
            .saturating_sub(kx)
            .div_ceil(self.stride)
            .min(self.ow);
        start.min(end)..end
    }

    /// Cuts the batch into blocks: rows of one image, or several whole small images.
    fn blocks(&self, elements: usize) -> Vec<Block> {
        let windows = self.windows();
        let wanted = (elements / self.depth()).max(MIN_COLUMNS);
        if windows >= MIN_COLUMNS || self.b == 1 {
            let rows = (wanted / self.ow).clamp(1, self.oh);
            let parts = self.oh.div_ceil(rows);
            let rows = self.oh.div_ceil(parts);
            (0..self.b)
                .flat_map(|image| {
                    (0..self.oh).step_by(rows).map(move |start| Block {
                        images: image..image + 1,
                        rows: start..(start + rows).min(self.oh),
                    })
                })
                .collect()
        } else {
            let images = wanted.min(2 * MIN_COLUMNS).div_ceil(windows);
            (0..self.b)
                .step_by(images)
                .map(|start| Block {
                    images: start..(start + images).min(self.b),
                    rows: 0..self.oh,
                })
                .collect()
        }
    }
}

/// The windows of some rows of one image, or of all rows of several.
#[derive(Clone)]
pub(super) struct Block {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Block {
    pub(super) fn columns(&self, g: &Geometry) -> usize {
        self.images.len() * self.rows.len() * g.ow
    }

    /// Where the block's first output of a group is in `(B, O, H', W')`.
    fn first_output(&self, g: &Geometry, group: usize) -> usize {
        (self.images.start * g.o + group * g.group_o()) * g.windows() + self.rows.start * g.ow
    }

    /// Copies the block's columns between a compact matrix and `(B, O, H', W')`.
    fn for_each_strip(
        &self,
        g: &Geometry,
        group: usize,
        mut f: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let columns = self.columns(g);
        let strip = self.rows.len() * g.ow;
        for o in 0..g.group_o() {
            for (i, image) in self.images.clone().enumerate() {
                let at =
                    (image * g.o + group * g.group_o() + o) * g.windows() + self.rows.start * g.ow;
                let compact = o * columns + i * strip;
                f(at..at + strip, compact..compact + strip);
            }
        }
    }
}

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
