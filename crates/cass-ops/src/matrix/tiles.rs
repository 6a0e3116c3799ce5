//! Matrices to write to, cut into tiles that tasks claim and return written.
//!
//! Memory for a result is not zeroed before it is written. A tile of such memory is a
//! `MatMut<MaybeUninit<T>>`; what returns it as a `MatMut<T>` has written it. A result counts as
//! written once the very tiles that were handed out have come back.

use super::check_bounds;
use crate::element::Element;
use crate::parallel::{share_with, write_each};
use crate::vector::Lanes;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A matrix to write to, its rows `stride` elements apart. Other matrices may lie between them.
pub(crate) struct MatMut<'a, E> {
    start: *mut E,
    rows: usize,
    cols: usize,
    stride: usize,
    of: PhantomData<&'a mut [E]>,
}

// SAFETY: a matrix is the exclusive borrow of its elements, as a mutable slice is.
unsafe impl<E: Send> Send for MatMut<'_, E> {}

/// Memory of an element, written or not.
pub(crate) trait Slot<T>: Send {}

impl<T: Element> Slot<T> for T {}
impl<T: Element> Slot<T> for MaybeUninit<T> {}

/// Widths of the pieces that `total` is cut into: `step` each, the last what is left.
pub(crate) fn steps(total: usize, step: usize) -> impl Iterator<Item = usize> + Clone {
    assert!(step > 0 || total == 0, "pieces of no elements");
    let count = if total == 0 { 0 } else { total.div_ceil(step) };
    (0..count).map(move |i| step.min(total - i * step))
}

impl<'a, E> MatMut<'a, E> {
    /// Contiguous rows.
    pub(crate) fn new(data: &'a mut [E], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows `stride` elements apart.
    pub(crate) fn strided(data: &'a mut [E], rows: usize, cols: usize, stride: usize) -> Self {
        check_bounds(data.len(), rows, cols, stride);
        Self {
            start: data.as_mut_ptr(),
            rows,
            cols,
            stride,
            of: PhantomData,
        }
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The address of the first element and the elements from a row to the next.
    pub(super) fn layout(&mut self) -> (*mut E, usize) {
        (self.start, self.stride)
    }

    /// Where it lies: equal for two matrices only if they are the same elements.
    fn place(&self) -> (usize, usize, usize, usize) {
        (self.start as usize, self.rows, self.cols, self.stride)
    }

    fn part(&self, first: usize, rows: usize, cols: usize) -> Self {
        Self {
            start: self.start.wrapping_add(first),
            rows,
            cols,
            ..*self
        }
    }

    /// The first `at` rows, and the others.
    pub(crate) fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows);
        let below = self.part(at * self.stride, self.rows - at, self.cols);
        (self.part(0, at, self.cols), below)
    }

    /// The first `at` columns, and the others.
    fn split_columns(self, at: usize) -> (Self, Self) {
        assert!(at <= self.cols);
        let right = self.part(at, self.rows, self.cols - at);
        (self.part(0, self.rows, at), right)
    }

    /// Some of the columns, as long as nothing else has them.
    pub(crate) fn columns(&mut self, at: Range<usize>) -> MatMut<'_, E> {
        assert!(at.start <= at.end && at.end <= self.cols);
        self.part(at.start, self.rows, at.len())
    }

    /// Cuts it into bands of `row_step` rows and these into tiles of the given widths.
    fn tiles(self, row_step: usize, widths: impl Iterator<Item = usize> + Clone) -> Vec<Self> {
        let (mut tiles, mut rest) = (Vec::new(), self);
        while rest.rows > 0 {
            let height = row_step.clamp(1, rest.rows);
            let (mut band, below) = rest.split_rows(height);
            for width in widths.clone() {
                let (tile, right) = band.split_columns(width);
                tiles.push(tile);
                band = right;
            }
            assert_eq!(band.cols, 0, "the tiles leave columns");
            rest = below;
        }
        tiles
    }

    /// One row.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [E] {
        assert!(row < self.rows);
        self.elements(row * self.stride, self.cols)
    }

    /// All elements, of a matrix with contiguous rows.
    pub(crate) fn as_slice(&mut self) -> &mut [E] {
        assert!(self.rows <= 1 || self.cols == self.stride, "gaps in rows");
        self.elements(0, self.rows * self.cols)
    }

    /// Elements of one row or of several that are contiguous.
    #[inline(always)]
    fn elements(&mut self, first: usize, len: usize) -> &mut [E] {
        // SAFETY: its callers name elements of the matrix, which is borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }

    /// The same matrix, written.
    ///
    /// # Safety
    /// Every element must have been written.
    pub(crate) unsafe fn assume_written<T: Element>(self) -> MatMut<'a, T>
    where
        E: Slot<T>,
    {
        MatMut {
            start: self.start.cast(),
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
            of: PhantomData,
        }
    }

    /// Hands out the tiles of [`steps`] of rows and of given widths, row by row of tiles; the whole
    /// is written when all of them have come back in this order.
    pub(crate) fn by_tiles<T: Element, R>(
        self,
        row_step: usize,
        widths: impl Iterator<Item = usize> + Clone,
        f: impl FnOnce(Vec<Self>) -> (Vec<MatMut<'a, T>>, R),
    ) -> (MatMut<'a, T>, R)
    where
        E: Slot<T>,
    {
        let whole = self.part(0, self.rows, self.cols);
        let tiles = self.tiles(row_step, widths);
        let places: Vec<_> = tiles.iter().map(Self::place).collect();
        let (written, result) = f(tiles);
        assert!(
            written.iter().map(MatMut::place).eq(places),
            "a tile did not come back"
        );
        // SAFETY: the tiles cover the matrix; each came back as a matrix of written elements, and
        // was the only access to them.
        (unsafe { whole.assume_written() }, result)
    }
}

impl<'a, T: Element> MatMut<'a, MaybeUninit<T>> {
    /// Has `f` write every row; it returns what it was given.
    #[inline(always)]
    pub(crate) fn by_rows(
        mut self,
        mut f: impl for<'b> FnMut(usize, &'b mut [MaybeUninit<T>]) -> &'b mut [T],
    ) -> MatMut<'a, T> {
        for number in 0..self.rows {
            let row = self.row(number);
            let place = row.as_ptr_range();
            came_back(place, f(number, row));
        }
        // SAFETY: each row came back as a slice of written elements.
        unsafe { self.assume_written() }
    }

    /// Has `f` write every row of two matrices that are as high, row by row.
    #[inline(always)]
    pub(crate) fn by_rows_of_both<'b>(
        mut self,
        mut other: MatMut<'b, MaybeUninit<T>>,
        mut f: impl for<'c> FnMut(usize, [&'c mut [MaybeUninit<T>]; 2]) -> [&'c mut [T]; 2],
    ) -> (MatMut<'a, T>, MatMut<'b, T>) {
        assert_eq!(self.rows, other.rows);
        for number in 0..self.rows {
            let rows = [self.row(number), other.row(number)];
            let [first, second] = rows.each_ref().map(|row| row.as_ptr_range());
            let written = f(number, rows);
            came_back(first, written[0]);
            came_back(second, written[1]);
        }
        // SAFETY: each row of either came back as a slice of written elements.
        unsafe { (self.assume_written(), other.assume_written()) }
    }

    /// Zeros.
    pub(crate) fn zeroed(self) -> MatMut<'a, T> {
        self.by_rows(|_, row| write_each(row, |_| T::ZERO))
    }

    /// Writes a vector, its first element at a row and a column.
    #[inline(always)]
    pub(crate) fn store<S: pulp::Simd>(
        &mut self,
        _: S,
        row: usize,
        column: usize,
        vector: T::Vector<S>,
    ) {
        let to = &mut self.row(row)[column..][..<T as Lanes>::lanes::<S>()];
        // SAFETY: a vector consists of `lanes` elements.
        unsafe {
            to.as_mut_ptr()
                .cast::<T::Vector<S>>()
                .write_unaligned(vector)
        };
    }
}

/// Asserts that what came back written is the row that was handed out.
#[inline(always)]
fn came_back<T>(place: Range<*const MaybeUninit<T>>, written: &[T]) {
    let Range { start, end } = written.as_ptr_range();
    assert!(
        place == (start.cast()..end.cast()),
        "a row did not come back"
    );
}

/// Writes a matrix with contiguous rows over a buffer, whatever that holds.
pub(crate) fn rewrite_matrix<T: Element, R>(
    data: &mut Vec<T>,
    rows: usize,
    cols: usize,
    f: impl for<'a> FnOnce(MatMut<'a, MaybeUninit<T>>) -> (MatMut<'a, T>, R),
) -> R {
    let len = rows * cols;
    data.clear();
    data.reserve_exact(len);
    let whole = MatMut::new(&mut data.spare_capacity_mut()[..len], rows, cols);
    let place = whole.place();
    let (written, result) = f(whole);
    assert!(written.place() == place, "the matrix did not come back");
    // SAFETY: the capacity is at least `len`, and that much came back written.
    unsafe { data.set_len(len) };
    result
}

/// [`rewrite_matrix`] in new memory.
pub(crate) fn write_matrix<T: Element, R>(
    rows: usize,
    cols: usize,
    f: impl for<'a> FnOnce(MatMut<'a, MaybeUninit<T>>) -> (MatMut<'a, T>, R),
) -> (Vec<T>, R) {
    let mut data = Vec::new();
    let result = rewrite_matrix(&mut data, rows, cols, f);
    (data, result)
}

/// A matrix whose tiles, in bands of `row_step` rows and of given widths, are written by a task
/// each; also gives what the tasks return, in the tiles' order.
pub(crate) fn write_tiles<T: Element, S, R: Send>(
    (rows, cols): (usize, usize),
    row_step: usize,
    widths: impl Iterator<Item = usize> + Clone,
    init: impl Fn() -> S + Sync,
    f: impl for<'a> Fn(&mut S, usize, MatMut<'a, MaybeUninit<T>>) -> (MatMut<'a, T>, R) + Sync,
) -> (Vec<T>, Vec<R>) {
    write_matrix(rows, cols, |whole| {
        whole.by_tiles(row_step, widths, |tiles| {
            let written = share_with(tiles, init, f);
            written.into_iter().unzip()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Rows 0 to 4, columns 0 to 6, in tiles of 2 x 3 and what is left: each is given once.
    #[test]
    fn tiles_cover_the_matrix_and_keep_apart() {
        let (written, numbers) = write_tiles(
            (5, 7),
            2,
            steps(7, 3),
            || (),
            |(), i, tile: MatMut<MaybeUninit<f64>>| {
                (tile.by_rows(|_, row| write_each(row, |_| i as f64)), i)
            },
        );
        assert_eq!(numbers, (0..9).collect::<Vec<_>>());
        for (at, value) in written.iter().enumerate() {
            let (row, column) = (at / 7, at % 7);
            assert_eq!(*value, (row / 2 * 3 + column / 3) as f64);
        }
    }

    fn swapped<'a>(tiles: Vec<MatMut<'a, MaybeUninit<f32>>>) -> Vec<MatMut<'a, f32>> {
        tiles.into_iter().map(MatMut::zeroed).rev().collect()
    }

    fn fewer<'a>(tiles: Vec<MatMut<'a, MaybeUninit<f32>>>) -> Vec<MatMut<'a, f32>> {
        tiles.into_iter().skip(1).map(MatMut::zeroed).collect()
    }

    #[test]
    fn what_does_not_come_back_is_not_taken_as_written() {
        let swap = || write_matrix(1, 4, |m| m.by_tiles(1, steps(4, 2), |t| (swapped(t), ())));
        assert!(catch_unwind(swap).is_err());
        let drop = || write_matrix(1, 4, |m| m.by_tiles(1, steps(4, 2), |t| (fewer(t), ())));
        assert!(catch_unwind(drop).is_err());
        let mut elsewhere = [0f32; 3];
        let foreign = AssertUnwindSafe(|| {
            let whole = MatMut::new(&mut elsewhere, 1, 3);
            whole.by_tiles::<f32, _>(1, steps(3, 1), |mut tiles| {
                tiles.pop();
                (tiles, ())
            });
        });
        assert!(catch_unwind(foreign).is_err());
    }
}
