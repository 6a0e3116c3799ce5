use crate::{
    element::Element,
    matmul::{Into, Mat, MatMut, all_threads, matmul},
    parallel::add,
};
use rayon::prelude::*;

/// `x (rows, k) · weight (n, k)ᵀ + bias`.
pub(super) fn forward<T: Element>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    [rows, k, n]: [usize; 3],
) -> Vec<T> {
    let (mut y, into) = match bias {
        Some(bias) => (bias.repeat(rows), Into::Accumulate),
        None => (vec![T::ZERO; rows * n], Into::Overwrite),
    };
    let (x, weight) = (Mat::new(x, rows, k), Mat::new(weight, n, k));
    let to = MatMut::new(&mut y, rows, n);
    matmul(to, into, x, weight.t(), T::ONE, all_threads());
    y
}

/// `dy (rows, n) · weight (n, k)`.
pub(super) fn grad_x<T: Element>(weight: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    let mut dx = vec![T::ZERO; rows * k];
    let (dy, weight) = (Mat::new(dy, rows, n), Mat::new(weight, n, k));
    let to = MatMut::new(&mut dx, rows, k);
    matmul(to, Into::Overwrite, dy, weight, T::ONE, all_threads());
    dx
}

/// `dy (rows, n)ᵀ · x (rows, k)`.
pub(super) fn grad_weight<T: Element>(x: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    let mut dw = vec![T::ZERO; n * k];
    let (dy, x) = (Mat::new(dy, rows, n), Mat::new(x, rows, k));
    let to = MatMut::new(&mut dw, n, k);
    matmul(to, Into::Overwrite, dy.t(), x, T::ONE, all_threads());
    dw
}

/// Rows whose sums are formed at once; fixed, so that the result is the same for any thread count.
const ROWS: usize = 128;

/// Sum over the rows of a matrix with `n` columns.
pub(super) fn column_sums<T: Element>(dy: &[T], n: usize) -> Vec<T> {
    let partials: Vec<Vec<T>> = dy
        .par_chunks(ROWS * n)
        .map(|rows| {
            let mut sums = vec![T::ZERO; n];
            rows.chunks_exact(n).for_each(|row| add(&mut sums, row));
            sums
        })
        .collect();
    let mut total = vec![T::ZERO; n];
    partials.iter().for_each(|partial| add(&mut total, partial));
    total
}
