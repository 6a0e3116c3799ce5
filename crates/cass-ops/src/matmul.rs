//! Matrix product over strided slices: the `gemm` crate behind checked borders.

use crate::{
    element::Element,
    parallel::{Output, for_each},
    profile::count_multiply_adds,
    transpose::transpose,
};
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

    /// Whether columns lie after each other, not rows: slow to pack.
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

/// What becomes of the old content of the destination.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Into {
    Overwrite,
    Accumulate,
}

/// A matrix to write to, its rows `row_stride` elements apart.
pub(crate) struct MatMut<'a, T> {
    data: *mut T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    of: std::marker::PhantomData<&'a mut [T]>,
}

impl<'a, T> MatMut<'a, T> {
    /// Rows after each other.
    pub(crate) fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows `row_stride` elements apart.
    pub(crate) fn strided(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        check_bounds(data.len(), rows, cols, row_stride);
        // SAFETY: the bounds were checked and the borrow is exclusive.
        unsafe { Self::from_raw(data.as_mut_ptr(), rows, cols, row_stride) }
    }

    /// A matrix between whose rows others may write.
    ///
    /// # Safety
    /// For `'a`, every element of the matrix must be valid and nobody else's.
    pub(crate) unsafe fn from_raw(
        data: *mut T,
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> Self {
        Self {
            data,
            rows,
            cols,
            row_stride,
            of: std::marker::PhantomData,
        }
    }
}

/// On this thread: `dst (m, n) = [dst +] scale * lhs (m, k) * rhs (k, n)`.
pub(crate) fn matmul<T: Element>(
    dst: MatMut<'_, T>,
    into: Into,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    scale: T,
) {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    assert_eq!(k, rhs.rows, "inner sizes of a matrix product differ");
    assert_eq!((dst.rows, dst.cols), (m, n), "the result has another size");
    count_multiply_adds(m * k * n);
    // SAFETY: the constructors of `Mat` and `MatMut` keep every index inside memory that may be
    // read or written, and `Element` is f32 or f64, both of which gemm knows.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.data,
            1,
            dst.row_stride as isize,
            into == Into::Accumulate,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            T::ONE,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Multiply-adds that are worth a task of their own.
const TASK: usize = 1 << 26;
/// Columns that gemm's widest kernel takes at once.
const KERNEL: usize = 64;
/// A product of fewer multiply-adds is left to one thread.
const SMALL: usize = 1 << 18;

/// `out (m, n), rows after each other = [out +] lhs (m, k) * rhs (k, n)` on all threads, in pieces
/// of some rows and columns. `before` is called for each piece ahead of its product, on the same
/// thread: with [`Into::Accumulate`] it has to write what the product is added to.
///
/// Pieces depend on the sizes alone: the result is the same to the bit for any number of threads.
pub(crate) fn matmul_blocked<T: Element>(
    out: &Output<T>,
    into: Into,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    before: impl Fn(Range<usize>, Range<usize>) + Sync,
) {
    let n = rhs.cols;
    in_pieces(lhs, rhs, |rows, columns, lhs, rhs| {
        before(rows.clone(), columns.clone());
        let first = rows.start * n + columns.start;
        // SAFETY: pieces do not overlap.
        let to = unsafe { out.matrix(first, rows.len(), columns.len(), n) };
        matmul(to, into, lhs, rhs, T::ONE);
    });
}

/// The same into a matrix that exists.
pub(crate) fn matmul_parallel<T: Element>(
    dst: MatMut<'_, T>,
    into: Into,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
) {
    assert_eq!(
        (dst.rows, dst.cols),
        (lhs.rows, rhs.cols),
        "the result has another size"
    );
    let (start, stride) = (Address(dst.data), dst.row_stride);
    in_pieces(lhs, rhs, |rows, columns, lhs, rhs| {
        // SAFETY: inside `dst`, and pieces do not overlap.
        let to = unsafe {
            let first = start.at(rows.start * stride + columns.start);
            MatMut::from_raw(first, rows.len(), columns.len(), stride)
        };
        matmul(to, into, lhs, rhs, T::ONE);
    });
}

struct Address<T>(*mut T);

// SAFETY: only an address; who writes where is decided by who uses it.
unsafe impl<T: Send> Sync for Address<T> {}

impl<T> Address<T> {
    /// # Safety
    /// As of `pointer::add`.
    unsafe fn at(&self, place: usize) -> *mut T {
        // SAFETY: by the caller's promise.
        unsafe { self.0.add(place) }
    }
}

/// Cuts a product into pieces of some rows and columns, on all threads.
fn in_pieces<T: Element>(
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    f: impl Fn(Range<usize>, Range<usize>, Mat<'_, T>, Mat<'_, T>) + Sync,
) {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    let work = m * k * n;
    let pieces = if work < SMALL {
        1
    } else {
        (work / TASK).clamp(4, 8)
    };
    // Columns, as the left matrix costs less to pack again; rows, where there are far more of them.
    let by_rows = m >= 2 * n && !rhs.is_turned() || m >= 4 * n;
    let len = if by_rows { m } else { n };
    let piece = len.div_ceil(pieces);
    let piece = piece.next_multiple_of(if piece >= KERNEL { KERNEL } else { 16 });
    for_each(len.div_ceil(piece), |i| {
        let part = i * piece..(i * piece + piece).min(len);
        let (rows, columns) = if by_rows { (part, 0..n) } else { (0..m, part) };
        let (left, right) = (lhs.rows(rows.clone()), rhs.columns(columns.clone()));
        f(rows, columns, left, right);
    });
}
