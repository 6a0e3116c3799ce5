//! Windows of an image as the columns of a matrix (im2col), and their sum back (col2im).

use super::kernels::{Block, Geometry};
use crate::element::Element;
use std::ops::Range;

/// Writes the windows of `block` as a matrix (channels · KH · KW, columns of the block).
///
/// `x` is the whole batch; `channels` are those of one group.
pub(super) fn gather<T: Element>(
    g: &Geometry,
    block: &Block,
    channels: Range<usize>,
    x: &[T],
    columns: &mut [T],
) {
    let width = block.columns(g);
    let mut lines = columns.chunks_exact_mut(width);
    for channel in channels {
        for ky in 0..g.kh {
            for kx in 0..g.kw {
                let Some(line) = lines.next() else { return };
                let mut at = 0;
                for image in block.images.clone() {
                    let plane = &x[(image * g.c + channel) * g.h * g.w..][..g.h * g.w];
                    for oy in block.rows.clone() {
                        gather_row(g, plane, oy, ky, kx, &mut line[at..at + g.ow]);
                        at += g.ow;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn gather_row<T: Element>(
    g: &Geometry,
    plane: &[T],
    oy: usize,
    ky: usize,
    kx: usize,
    to: &mut [T],
) {
    let Some(y) = g.source(oy, ky, g.h) else {
        to.fill(T::ZERO);
        return;
    };
    let row = &plane[y * g.w..][..g.w];
    let inside = g.inside_columns(kx);
    to[..inside.start].fill(T::ZERO);
    to[inside.end..].fill(T::ZERO);
    if inside.is_empty() {
        return;
    }
    let first = inside.start * g.stride + kx - g.padding;
    let to = &mut to[inside];
    if g.stride == 1 {
        to.copy_from_slice(&row[first..first + to.len()]);
    } else {
        for (to, &from) in to.iter_mut().zip(row[first..].iter().step_by(g.stride)) {
            *to = from;
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
