//! Matrix products: the `gemm` crate behind checked borders.

use super::tiles::{Slot, write_matrix};
use super::{Mat, MatMut, steps};
use crate::element::Element;
use crate::parallel::share_with;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

static MULTIPLY_ADDS: AtomicU64 = AtomicU64::new(0);

/// Multiply-adds of all matrix products that this process has made so far.
pub fn multiply_adds() -> u64 {
    MULTIPLY_ADDS.load(Ordering::Relaxed)
}

/// On this thread: `dst (m, n) = scale * lhs (m, k) * rhs (k, n)`.
pub(crate) fn matmul<'a, T: Element, E: Slot<T>>(
    mut dst: MatMut<'a, E>,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    scale: T,
) -> MatMut<'a, T> {
    multiply(&mut dst, false, lhs, rhs, scale);
    // SAFETY: the product is written over every element.
    unsafe { dst.assume_written() }
}

/// On this thread: `dst (m, n) += scale * lhs (m, k) * rhs (k, n)`.
pub(crate) fn matmul_add<'a, T: Element>(
    mut dst: MatMut<'a, T>,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    scale: T,
) -> MatMut<'a, T> {
    multiply(&mut dst, true, lhs, rhs, scale);
    dst
}

/// `accumulate` only onto what has been written.
fn multiply<T: Element, E: Slot<T>>(
    dst: &mut MatMut<'_, E>,
    accumulate: bool,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    scale: T,
) {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    assert_eq!(k, rhs.rows, "inner sizes of a matrix product differ");
    assert_eq!(dst.size(), (m, n), "the result has another size");
    MULTIPLY_ADDS.fetch_add((m * k * n) as u64, Ordering::Relaxed);
    let (start, stride) = dst.layout();
    // SAFETY: the constructors of `Mat` and `MatMut` keep every index inside memory that may be
    // read or written; a slot has its element's layout, and `Element` is f32 or f64, both of which
    // gemm knows. Only what has been written is read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            start.cast::<T>(),
            1,
            stride as isize,
            accumulate,
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
/// What pieces of rows and of columns are whole multiples of: gemm's kernels take up to six rows at once, and vectors of 16
/// columns. Coarser pieces would be more unequal, and threads would wait for each other.
const GRAIN: [usize; 2] = [6, 16];
/// A product of fewer multiply-adds is left to one thread.
const SMALL: usize = 1 << 18;

/// `lhs (m, k) * rhs (k, n)` on all threads, in pieces of some rows and columns.
///
/// Pieces depend on the sizes alone: the result is the same to the bit for any number of threads.
pub(crate) fn matmul_blocked<T: Element>(lhs: Mat<'_, T>, rhs: Mat<'_, T>) -> Vec<T> {
    let (out, ()) = write_matrix(lhs.rows, rhs.cols, |out| {
        (matmul_parallel(out, lhs, rhs), ())
    });
    out
}

/// [`matmul_blocked`] added to what `before` writes: it is called for each piece, with its rows and
/// columns, on the thread that multiplies.
pub(crate) fn matmul_blocked_onto<T: Element>(
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    before: impl for<'a> Fn(Range<usize>, Range<usize>, MatMut<'a, MaybeUninit<T>>) -> MatMut<'a, T>
    + Sync,
) -> Vec<T> {
    let (out, ()) = write_matrix(lhs.rows, rhs.cols, |out| {
        let written = in_pieces(out, lhs, rhs, |to, rows, columns, lhs, rhs| {
            matmul_add(before(rows, columns, to), lhs, rhs, T::ONE)
        });
        (written, ())
    });
    out
}

/// [`matmul`] on all threads, in the pieces of [`matmul_blocked`].
pub(crate) fn matmul_parallel<'a, T: Element, E: Slot<T>>(
    dst: MatMut<'a, E>,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
) -> MatMut<'a, T> {
    in_pieces(dst, lhs, rhs, |to, _, _, lhs, rhs| {
        matmul(to, lhs, rhs, T::ONE)
    })
}

/// [`matmul_add`] on all threads, in the pieces of [`matmul_blocked`].
pub(crate) fn matmul_add_parallel<'a, T: Element>(
    dst: MatMut<'a, T>,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
) -> MatMut<'a, T> {
    in_pieces(dst, lhs, rhs, |to, _, _, lhs, rhs| {
        matmul_add(to, lhs, rhs, T::ONE)
    })
}

/// Cuts a product into pieces of some rows and columns, on all threads.
fn in_pieces<'a, T: Element, E: Slot<T>>(
    dst: MatMut<'a, E>,
    lhs: Mat<'_, T>,
    rhs: Mat<'_, T>,
    f: impl Fn(MatMut<'a, E>, Range<usize>, Range<usize>, Mat<'_, T>, Mat<'_, T>) -> MatMut<'a, T>
    + Sync,
) -> MatMut<'a, T> {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    assert_eq!(dst.size(), (m, n), "the result has another size");
    let work = m * k * n;
    let pieces = if work < SMALL {
        1
    } else {
        (work / TASK).clamp(4, 8)
    };
    // Columns, as the left matrix costs less to pack again; rows, where there are far more of them.
    let by_rows = m >= 2 * n && !rhs.is_turned() || m >= 4 * n;
    let len = if by_rows { m } else { n };
    let piece = len
        .div_ceil(pieces)
        .next_multiple_of(GRAIN[usize::from(!by_rows)]);
    let (row_step, col_step) = if by_rows { (piece, n) } else { (m, piece) };
    let (written, ()) = dst.by_tiles(row_step, steps(n, col_step), |tiles| {
        let multiply = |(): &mut (), i: usize, to: MatMut<'a, E>| {
            let part = i * piece..(i * piece + piece).min(len);
            let (rows, columns) = if by_rows { (part, 0..n) } else { (0..m, part) };
            let (left, right) = (lhs.rows(rows.clone()), rhs.columns(columns.clone()));
            f(to, rows, columns, left, right)
        };
        (share_with(tiles, || (), multiply), ())
    });
    written
}
