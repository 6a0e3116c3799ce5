//! Where the pixels of a plane stand on the line.

use super::super::geometry::Geometry;
use crate::element::Element;
use std::ops::Range;

/// Room behind what is read, more than the widest vector holds, in elements.
const SLACK: usize = 64;

/// The layout of one plane and of its output.
pub(super) struct Line {
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    kh: usize,
    kw: usize,
    stride: usize,
    padding: usize,
    /// Places a row: those of the output and what taps reach further right.
    width: usize,
    /// Rows of a phase.
    rows: usize,
}

impl Line {
    pub(super) fn new(g: &Geometry) -> Self {
        Self {
            h: g.h,
            w: g.w,
            oh: g.oh,
            ow: g.ow,
            kh: g.kh,
            kw: g.kw,
            stride: g.stride,
            padding: g.padding,
            width: g.ow + (g.kw - 1) / g.stride,
            rows: g.oh + (g.kh - 1) / g.stride,
        }
    }

    /// One for each remainder of row and column by the stride.
    pub(super) fn phases(&self) -> usize {
        self.stride * self.stride
    }

    /// The places of a phase, to whole vectors.
    pub(super) fn phase_run(&self) -> usize {
        (self.rows * self.width).next_multiple_of(SLACK)
    }

    /// How far a phase is from the next: what is read past an output's end is still there.
    fn phase_len(&self) -> usize {
        self.phase_run() + SLACK + self.margin()
    }

    pub(super) fn phase_start(&self, phase: usize) -> usize {
        phase * self.phase_len()
    }

    pub(super) fn input_len(&self) -> usize {
        self.phases() * self.phase_len()
    }

    /// The largest offset of a tap inside its phase: zeros that stand before the output's gradient.
    pub(super) fn margin(&self) -> usize {
        (self.rows - self.oh) * self.width + self.width - self.ow
    }

    /// The places of an output, to whole vectors.
    pub(super) fn output_run(&self) -> usize {
        (self.oh * self.width).next_multiple_of(SLACK)
    }

    pub(super) fn output_len(&self) -> usize {
        self.margin() + self.phase_run().max(self.output_run()) + SLACK
    }

    /// Phase and offset inside it of a tap.
    fn tap(&self, ky: usize, kx: usize) -> (usize, usize) {
        let phase = ky % self.stride * self.stride + kx % self.stride;
        (phase, ky / self.stride * self.width + kx / self.stride)
    }

    fn all_taps(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.kh).flat_map(move |ky| (0..self.kw).map(move |kx| self.tap(ky, kx)))
    }

    /// How far from an output's place each tap reads the input.
    pub(super) fn offsets(&self) -> Vec<usize> {
        let offset = |(phase, at)| self.phase_start(phase) + at;
        self.all_taps().map(offset).collect()
    }

    /// The same with each tap's weight.
    pub(super) fn taps<T: Element>(&self, weight: &[T]) -> Vec<(usize, T)> {
        let offsets = self.offsets().into_iter();
        offsets.zip(weight.iter().copied()).collect()
    }

    /// From where each tap of a phase brings the output's gradient, with its weight.
    pub(super) fn taps_back<T: Element>(&self, weight: &[T], phase: usize) -> Vec<(usize, T)> {
        let taps = self.all_taps().zip(weight);
        let of_phase = taps.filter(|((of, _), _)| *of == phase);
        of_phase
            .map(|((_, at), &w)| (self.margin() - at, w))
            .collect()
    }

    /// For every row of the plane and every remainder of its columns: the row's place, the first column,
    /// and where that stands. What no window meets is left out.
    fn lines(&self) -> impl Iterator<Item = (usize, usize, Range<usize>)> {
        let stride = self.stride;
        (0..self.h).flat_map(move |y| {
            let row = y + self.padding;
            (0..stride.min(self.w)).filter_map(move |x| {
                let column = x + self.padding;
                let (row_at, column_at) = (row / stride, column / stride);
                let count = (self.w - x).div_ceil(stride);
                let count = count.min(self.width.saturating_sub(column_at));
                if row_at >= self.rows || count == 0 {
                    return None;
                }
                let phase = row % stride * stride + column % stride;
                let start = self.phase_start(phase) + row_at * self.width + column_at;
                Some((y * self.w, x, start..start + count))
            })
        })
    }

    /// Writes a plane over the pixels of the one before; the zeros around them stay.
    pub(super) fn spread_input<T: Element>(&self, plane: &[T], to: &mut [T]) {
        for (row, x, at) in self.lines() {
            let (from, to) = (&plane[row + x..row + self.w], &mut to[at]);
            if self.stride == 1 {
                let count = to.len();
                to.copy_from_slice(&from[..count]);
            } else {
                let from = from.iter().step_by(self.stride);
                to.iter_mut().zip(from).for_each(|(to, &v)| *to = v);
            }
        }
    }

    /// The reverse; pixels that no window meets stay as they are.
    pub(super) fn gather_input<T: Element>(&self, from: &[T], plane: &mut [T]) {
        for (row, x, at) in self.lines() {
            let (from, to) = (&from[at], &mut plane[row + x..row + self.w]);
            if self.stride == 1 {
                to[..from.len()].copy_from_slice(from);
            } else {
                let to = to.iter_mut().step_by(self.stride);
                to.zip(from).for_each(|(to, &v)| *to = v);
            }
        }
    }

    /// Writes the gradient of an output over the one before; the zeros around it stay.
    pub(super) fn spread_output<T: Element>(&self, from: &[T], to: &mut [T]) {
        let rows = to[self.margin()..].chunks_exact_mut(self.width);
        for (to, from) in rows.zip(from.chunks_exact(self.ow)) {
            to[..self.ow].copy_from_slice(from);
        }
    }

    /// The output without the places between its rows.
    pub(super) fn gather_output<T: Element>(&self, from: &[T], to: &mut [T]) {
        let rows = from.chunks_exact(self.width);
        for (from, to) in rows.zip(to.chunks_exact_mut(self.ow)) {
            to.copy_from_slice(&from[..self.ow]);
        }
    }
}
