use crate::{
    element::Element,
    matmul::{Into, Mat, all_threads, matmul},
    parallel::vectorized,
};

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
    matmul(&mut y, n, into, x, weight.t(), T::ONE, all_threads());
    y
}

/// `dy (rows, n) · weight (n, k)`.
pub(super) fn grad_x<T: Element>(weight: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    let mut dx = vec![T::ZERO; rows * k];
    let (dy, weight) = (Mat::new(dy, rows, n), Mat::new(weight, n, k));
    matmul(
        &mut dx,
        k,
        Into::Overwrite,
        dy,
        weight,
        T::ONE,
        all_threads(),
    );
    dx
}

/// `dy (rows, n)ᵀ · x (rows, k)`.
pub(super) fn grad_weight<T: Element>(x: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    let mut dw = vec![T::ZERO; n * k];
    let (dy, x) = (Mat::new(dy, rows, n), Mat::new(x, rows, k));
    matmul(
        &mut dw,
        k,
        Into::Overwrite,
        dy.t(),
        x,
        T::ONE,
        all_threads(),
    );
    dw
}

/// Sum over the rows of a matrix with `n` columns.
pub(super) fn column_sums<T: Element>(dy: &[T], n: usize) -> Vec<T> {
    let mut sums = vec![T::ZERO; n];
    vectorized(
        #[inline(always)]
        || {
            for row in dy.chunks_exact(n) {
                sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v);
            }
        },
    );
    sums
}
