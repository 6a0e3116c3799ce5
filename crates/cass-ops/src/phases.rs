//! Rows of an image split by the stride of the windows that slide over it.

use crate::element::Element;
use std::ops::Range;

/// Windows over a plane: the same for both directions but for the kernel's and the plane's sizes.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    /// Windows in a row.
    pub(crate) ow: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

/// The padded rows that some rows of windows see, each split into phases, its columns by their
/// remainder of the stride: what one kernel column meets, window by window, lies next to each other.
pub(crate) struct Phases {
    of: Windows,
    top: isize,
    rows: usize,
    /// Phases of a row: as many as kernel columns see.
    phases: usize,
    /// Elements of a phase.
    pitch: usize,
}

impl Phases {
    /// What some rows of windows see.
    pub(crate) fn new(of: Windows, windows: Range<usize>) -> Self {
        Self {
            of,
            top: (windows.start * of.stride) as isize - of.padding as isize,
            rows: windows.len().saturating_sub(1) * of.stride + of.kh,
            phases: of.stride.min(of.kw),
            pitch: of.ow + (of.kw - 1) / of.stride,
        }
    }

    /// Elements of one plane, split.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.phases * self.pitch
    }

    /// Where the first window of row `row` of windows finds a kernel's element; the next windows'
    /// follow.
    #[inline(always)]
    pub(crate) fn place(&self, row: usize, ky: usize, kx: usize) -> usize {
        let line = (row * self.of.stride + ky) * self.phases + kx % self.of.stride;
        line * self.pitch + kx / self.of.stride
    }

    /// Lines that are not padding: where in the phases and where in the plane their first element is.
    #[inline(always)]
    fn lines(&self) -> impl Iterator<Item = (Range<usize>, usize, usize)> + use<> {
        let Self {
            of,
            top,
            phases,
            pitch,
            ..
        } = *self;
        // What lies between the windows is skipped.
        let rows = (0..self.rows).filter(move |row| row % of.stride < of.kh);
        let inside = move |row: usize| {
            let y = usize::try_from(top + row as isize).ok()?;
            (y < of.h).then_some((row, y))
        };
        rows.filter_map(inside).flat_map(move |(row, y)| {
            (0..phases).filter_map(move |phase| {
                let skipped = of.padding.saturating_sub(phase).div_ceil(of.stride);
                let x = skipped * of.stride + phase - of.padding;
                let line = (row * phases + phase) * pitch;
                (skipped < pitch && x < of.w).then_some((line + skipped..line + pitch, y, x))
            })
        })
    }

    /// Copies a plane; padding keeps what is there.
    #[inline(always)]
    pub(crate) fn split<T: Element>(&self, plane: &[T], to: &mut [T]) {
        for (line, y, x) in self.lines() {
            let from = &plane[y * self.of.w..][x..self.of.w];
            let to = &mut to[line];
            // Constant steps are what the compiler turns into shuffles.
            match self.of.stride {
                1 => to.iter_mut().zip(from).for_each(|(to, &v)| *to = v),
                2 => {
                    let (pairs, last) = from.as_chunks::<2>();
                    if let (Some(to), [last]) = (to.get_mut(pairs.len()), last) {
                        *to = *last;
                    }
                    let pairs = to.iter_mut().zip(pairs);
                    pairs.for_each(|(to, pair)| *to = pair[0]);
                }
                stride => {
                    let from = from.iter().step_by(stride);
                    to.iter_mut().zip(from).for_each(|(to, &v)| *to = v);
                }
            }
        }
    }
}
