use crate::element::Element;
use crate::matrix::{Mat, matmul_blocked, matmul_blocked_onto};
use crate::parallel::{add, collect, write_from};

/// `x (rows, k) · weight (n, k)ᵀ + bias + residual (rows, n)`.
pub(super) fn forward<T: Element>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    residual: Option<&[T]>,
    [rows, k, n]: [usize; 3],
) -> Vec<T> {
    let (x, weight) = (Mat::new(x, rows, k), Mat::new(weight, n, k).t());
    if bias.is_none() && residual.is_none() {
        return matmul_blocked(x, weight);
    }
    // What is added is laid out first, block by block, and still in the cache when it is needed.
    matmul_blocked_onto(x, weight, |rows, columns, block| {
        block.by_rows(|row, y| {
            let first = (rows.start + row) * n;
            let at = first + columns.start..first + columns.end;
            match (bias.map(|b| &b[columns.clone()]), residual.map(|r| &r[at])) {
                (Some(bias), Some(residual)) => write_from(y, [bias, residual], |[b, r]| b + r),
                (bias, residual) => {
                    let only = bias.or(residual).unwrap_or_default();
                    write_from(y, [only], |[v]| v)
                }
            }
        })
    })
}

/// `dy (rows, n) · weight (n, k)`.
pub(super) fn grad_x<T: Element>(weight: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    matmul_blocked(Mat::new(dy, rows, n), Mat::new(weight, n, k))
}

/// `dy (rows, n)ᵀ · x (rows, k)`.
pub(super) fn grad_weight<T: Element>(x: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    matmul_blocked(Mat::new(dy, rows, n).t(), Mat::new(x, rows, k))
}

/// Rows whose sums are formed at once; fixed, so that the result is the same for any thread count.
const ROWS: usize = 128;

/// Sum over the rows of a matrix with `n` columns.
pub(super) fn column_sums<T: Element>(dy: &[T], n: usize) -> Vec<T> {
    let rows = ROWS * n;
    let partials: Vec<Vec<T>> = collect(dy.len().div_ceil(rows), |i| {
        let mut sums = vec![T::ZERO; n];
        let rows = &dy[i * rows..((i + 1) * rows).min(dy.len())];
        rows.chunks_exact(n).for_each(|row| add(&mut sums, row));
        sums
    });
    let mut total = vec![T::ZERO; n];
    partials.iter().for_each(|partial| add(&mut total, partial));
    total
}
