//! Windows of an image as the columns of a matrix (im2col), and their sum back (col2im).

use super::kernels::{Block, Geometry};
use crate::element::Element;
use std::ops::Range;

/// Elements copied at once; a copy may write that many, and what follows is written later.
const COPY: usize = 16;

/// Writes the windows of `block` as a matrix (channels · KH · KW, columns of the block).
///
/// `x` is the whole batch; `channels` are those of one group. `columns` holds the matrix and
/// [`COPY`] elements more, and `phases` is a buffer.
#[inline(always)]
pub(super) fn gather<T: Element>(
    g: &Geometry,
    block: &Block,
    channels: Range<usize>,
    x: &[T],
    phases: &mut Vec<T>,
    columns: &mut Vec<T>,
) {
    let width = block.columns(g);
    let (depth, split) = (channels.len() * g.kh * g.kw, Phases::of(g, block));
    if columns.len() < depth * width + COPY {
        columns.resize(depth * width + COPY, T::ZERO);
    }
    let mut at = 0;
    for channel in channels {
        phases.clear();
        phases.resize(block.images.len() * split.image() + COPY, T::ZERO);
        for (nth, image) in block.images.clone().enumerate() {
            let plane = &x[(image * g.c + channel) * g.h * g.w..][..g.h * g.w];
            split.split(
                g,
                plane,
                &mut phases[nth * split.image()..][..split.image()],
            );
        }
        for ky in 0..g.kh {
            for kx in 0..g.kw {
                let (first, row) = (split.place(ky, kx), split.place(g.stride, 0));
                for nth in 0..block.images.len() {
                    let first = nth * split.image() + first;
                    for oy in 0..block.rows.len() {
                        let from = first + oy * row;
                        for done in (0..g.ow).step_by(COPY) {
                            let from = &phases[from + done..][..COPY];
                            columns[at + done..][..COPY].copy_from_slice(from);
                        }
                        at += g.ow;
                    }
                }
            }
        }
    }
}

/// The rows of one plane that a block's windows see, padded, each split into its columns by their
/// remainder of the stride: what one kernel column sees of a row lies next to each other.
struct Phases {
    top: isize,
    rows: usize,
    pitch: usize,
    stride: usize,
}

impl Phases {
    fn of(g: &Geometry, block: &Block) -> Self {
        Self {
            top: (block.rows.start * g.stride) as isize - g.padding as isize,
            rows: (block.rows.len() - 1) * g.stride + g.kh,
            pitch: g.ow + (g.kw - 1) / g.stride,
            stride: g.stride,
        }
    }

    /// Elements of one image's.
    fn image(&self) -> usize {
        self.rows * self.stride * self.pitch
    }

    /// Where the first window of a row finds kernel column `kx`.
    #[inline(always)]
    fn place(&self, row: usize, kx: usize) -> usize {
        (row * self.stride + kx % self.stride) * self.pitch + kx / self.stride
    }

    /// The rows of `plane` that are not padding, each with its number here.
    #[inline(always)]
    fn inside(&self, g: &Geometry) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (top, h) = (self.top, g.h);
        let row_of = move |row: usize| usize::try_from(top + row as isize).ok();
        (0..self.rows).filter_map(move |row| Some((row, row_of(row).filter(|&y| y < h)?)))
    }

    /// The part of a phase of a row that is not padding, and its first column in the image.
    #[inline(always)]
    fn unpadded(&self, g: &Geometry, phase: usize) -> (usize, usize) {
        let skipped = g.padding.saturating_sub(phase).div_ceil(self.stride);
        let first = skipped * self.stride + phase - g.padding;
        (skipped.min(self.pitch), first.min(g.w))
    }

    #[inline(always)]
    fn split<T: Element>(&self, g: &Geometry, plane: &[T], to: &mut [T]) {
        for (row, y) in self.inside(g) {
            let from = &plane[y * g.w..][..g.w];
            let to = &mut to[row * self.stride * self.pitch..];
            for phase in 0..self.stride {
                let (skipped, first) = self.unpadded(g, phase);
                let to = &mut to[phase * self.pitch..][skipped..self.pitch];
                let from = &from[first..];
                // Constant steps are what the compiler turns into shuffles.
                match self.stride {
                    1 => to.iter_mut().zip(from).for_each(|(to, &v)| *to = v),
                    2 => {
                        let (pairs, last) = from.as_chunks::<2>();
                        if let (Some(to), [last]) = (to.get_mut(pairs.len()), last) {
                            *to = *last;
                        }
                        to.iter_mut()
                            .zip(pairs)
                            .for_each(|(to, pair)| *to = pair[0]);
                    }
                    stride => {
                        let from = from.iter().step_by(stride);
                        to.iter_mut().zip(from).for_each(|(to, &v)| *to = v);
                    }
                }
            }
        }
    }
}

/// Adds the `nth` image's part of a matrix as `gather` writes it to `dx`, the planes of that image.
pub(super) fn scatter_add<T: Element>(
    g: &Geometry,
    block: &Block,
    nth: usize,
    columns: &[T],
    dx: &mut [T],
) {
    let strip = block.rows.len() * g.ow;
    let mut lines = columns.chunks_exact(block.columns(g));
    for plane in dx.chunks_exact_mut(g.h * g.w) {
        for ky in 0..g.kh {
            for kx in 0..g.kw {
                let Some(line) = lines.next() else { return };
                let line = &line[nth * strip..][..strip];
                for (oy, from) in block.rows.clone().zip(line.chunks_exact(g.ow)) {
                    scatter_row(g, plane, oy, ky, kx, from);
                }
            }
        }
    }
}

#[inline(always)]
fn scatter_row<T: Element>(
    g: &Geometry,
    plane: &mut [T],
    oy: usize,
    ky: usize,
    kx: usize,
    from: &[T],
) {
    let Some(y) = g.source(oy, ky, g.h) else {
        return;
    };
    let row = &mut plane[y * g.w..][..g.w];
    let inside = g.inside_columns(kx);
    if inside.is_empty() {
        return;
    }
    let first = inside.start * g.stride + kx - g.padding;
    let from = &from[inside];
    if g.stride == 1 {
        let row = &mut row[first..first + from.len()];
        row.iter_mut().zip(from).for_each(|(to, &v)| *to += v);
    } else {
        let row = row[first..].iter_mut().step_by(g.stride);
        row.zip(from).for_each(|(to, &v)| *to += v);
    }
}
