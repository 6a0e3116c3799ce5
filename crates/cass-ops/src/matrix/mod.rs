//! Matrices inside slices: to read, to write, and to fill by tiles.

mod product;
mod tiles;

pub use product::multiply_adds;
pub(crate) use product::{
    matmul, matmul_add, matmul_add_parallel, matmul_blocked, matmul_blocked_onto, matmul_parallel,
};
pub(crate) use tiles::{MatMut, Slot, rewrite_matrix, steps, write_matrix, write_tiles};

use crate::element::Element;
use crate::transpose::transpose;
use std::ops::Range;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// Rows after each other.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows `row_stride` elements apart.
    pub(crate) fn strided(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        check_bounds(data.len(), rows, cols, row_stride);
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// Some of the rows.
    fn rows(self, rows: Range<usize>) -> Self {
        Self {
            data: &self.data[(rows.start * self.row_stride).min(self.data.len())..],
            rows: rows.len(),
            ..self
        }
    }

    /// Some of the columns.
    fn columns(self, columns: Range<usize>) -> Self {
        self.t().rows(columns).t()
    }

    /// The transpose, its rows after each other in `to`.
    pub(crate) fn transposed<'b>(self, to: &'b mut Vec<T>) -> Mat<'b, T>
    where
        T: Element,
    {
        assert_eq!(self.col_stride, 1, "transposed already");
        to.resize(self.rows * self.cols, T::ZERO);
        transpose(self.data, self.rows, self.cols, self.row_stride, to);
        Mat::new(to, self.cols, self.rows)
    }

    /// Whether its columns are contiguous and its rows are not: slow to pack.
    fn is_turned(&self) -> bool {
        self.col_stride != 1
    }

    /// The transpose, without moving anything.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

fn check_bounds(len: usize, rows: usize, cols: usize, row_stride: usize) {
    assert!(
        rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= len,
        "a {rows}x{cols} matrix with row stride {row_stride} does not fit {len} elements"
    );
}
