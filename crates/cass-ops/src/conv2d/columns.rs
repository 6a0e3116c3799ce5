//! Windows of an image as the columns of a matrix (im2col), and their sum back (col2im).

use super::geometry::{Block, Geometry};
use crate::element::Element;
use crate::phases::Phases;
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
    let (depth, split) = (
        channels.len() * g.kh * g.kw,
        Phases::new(g.over_plane(), block.rows.clone()),
    );
    if columns.len() < depth * width + COPY {
        columns.resize(depth * width + COPY, T::ZERO);
    }
    let mut at = 0;
    for channel in channels {
        phases.clear();
        phases.resize(block.images.len() * split.len() + COPY, T::ZERO);
        for (nth, image) in block.images.clone().enumerate() {
            let plane = &x[(image * g.c + channel) * g.h * g.w..][..g.h * g.w];
            split.split(plane, &mut phases[nth * split.len()..][..split.len()]);
        }
        for ky in 0..g.kh {
            for kx in 0..g.kw {
                let first = split.place(0, ky, kx);
                let row = split.place(1, ky, kx) - first;
                for nth in 0..block.images.len() {
                    let first = nth * split.len() + first;
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
