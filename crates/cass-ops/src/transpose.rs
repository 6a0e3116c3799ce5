//! Transposition by squares that fit the first-level cache.

use crate::element::Element;
use crate::parallel::vectorized;

/// Rows and columns of a square: one cache line of f32.
const SQUARE: usize = 16;

/// `(cols, rows)` of a matrix `(rows, cols)` whose rows are `row_stride` elements apart.
///
/// gemm reads a matrix against its grain an element at a time, and where the row stride is a
/// multiple of a page every element costs a cache miss.
pub(crate) fn transpose<T: Element>(
    from: &[T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    to: &mut [T],
) {
    assert!(rows == 0 || cols <= row_stride && (rows - 1) * row_stride + cols <= from.len());
    assert_eq!(to.len(), rows * cols);
    vectorized(
        #[inline(always)]
        || {
            for first in (0..rows).step_by(SQUARE) {
                let height = SQUARE.min(rows - first);
                for left in (0..cols).step_by(SQUARE) {
                    let width = SQUARE.min(cols - left);
                    let from = &from[first * row_stride + left..];
                    let to = &mut to[left * rows + first..];
                    if (height, width) == (SQUARE, SQUARE) {
                        square::<T, SQUARE>(from, row_stride, to, rows);
                    } else {
                        for y in 0..height {
                            for x in 0..width {
                                to[x * rows + y] = from[y * row_stride + x];
                            }
                        }
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn square<T: Element, const N: usize>(from: &[T], from_stride: usize, to: &mut [T], stride: usize) {
    let mut lines = [[T::ZERO; N]; N];
    for (line, from) in lines.iter_mut().zip(from.chunks(from_stride)) {
        line.copy_from_slice(&from[..N]);
    }
    for (x, to) in to.chunks_mut(stride).take(N).enumerate() {
        for (to, line) in to[..N].iter_mut().zip(&lines) {
            *to = line[x];
        }
    }
}

/// The transpose of 8x8 elements: by pairs of rows, then fours, then halves, which the compiler makes shuffles of.
#[inline(always)]
pub(crate) fn eight<T: Copy>(rows: [[T; 8]; 8]) -> [[T; 8]; 8] {
    let pairs = |i: usize| {
        let (x, y) = (rows[i & !1], rows[i | 1]);
        match i % 2 {
            0 => [x[0], y[0], x[1], y[1], x[4], y[4], x[5], y[5]],
            _ => [x[2], y[2], x[3], y[3], x[6], y[6], x[7], y[7]],
        }
    };
    let rows: [[T; 8]; 8] = std::array::from_fn(pairs);
    let fours = |i: usize| {
        let first = i / 4 * 4 + i / 2 % 2;
        let (x, y) = (rows[first], rows[first + 2]);
        match i % 2 {
            0 => [x[0], x[1], y[0], y[1], x[4], x[5], y[4], y[5]],
            _ => [x[2], x[3], y[2], y[3], x[6], x[7], y[6], y[7]],
        }
    };
    let rows: [[T; 8]; 8] = std::array::from_fn(fours);
    let halves = |i: usize| {
        let (x, y) = (rows[i % 4], rows[i % 4 + 4]);
        match i / 4 {
            0 => [x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]],
            _ => [x[4], x[5], x[6], x[7], y[4], y[5], y[6], y[7]],
        }
    };
    std::array::from_fn(halves)
}
