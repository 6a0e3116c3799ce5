use crate::{
    element::Element,
    matmul::{Into, Mat, matmul_blocked},
    parallel::{Output, add, collect},
};

/// `x (rows, k) · weight (n, k)ᵀ + bias + residual (rows, n)`.
pub(super) fn forward<T: Element>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    residual: Option<&[T]>,
    [rows, k, n]: [usize; 3],
) -> Vec<T> {
    let (x, weight) = (Mat::new(x, rows, k), Mat::new(weight, n, k).t());
    let y = Output::new(rows * n);
    let into = if bias.is_some() || residual.is_some() {
        Into::Accumulate
    } else {
        Into::Overwrite
    };
    // What is added is laid out first, block by block, and still in the cache when it is needed.
    let before = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        for row in rows {
            let at = row * n + columns.start..row * n + columns.end;
            // SAFETY: blocks do not overlap.
            let y = unsafe { y.range(at.clone()) };
            match (bias.map(|b| &b[columns.clone()]), residual.map(|r| &r[at])) {
                (None, None) => {}
                (Some(only), None) | (None, Some(only)) => {
                    for (y, &v) in y.iter_mut().zip(only) {
                        y.write(v);
                    }
                }
                (Some(bias), Some(residual)) => {
                    for (y, (&b, &r)) in y.iter_mut().zip(bias.iter().zip(residual)) {
                        y.write(b + r);
                    }
                }
            }
        }
    };
    matmul_blocked(&y, into, x, weight, before);
    // SAFETY: the product writes every element.
    unsafe { y.written() }
}

/// `dy (rows, n) · weight (n, k)`.
pub(super) fn grad_x<T: Element>(weight: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    product(Mat::new(dy, rows, n), Mat::new(weight, n, k), rows * k)
}

/// `dy (rows, n)ᵀ · x (rows, k)`.
pub(super) fn grad_weight<T: Element>(x: &[T], dy: &[T], [rows, k, n]: [usize; 3]) -> Vec<T> {
    product(Mat::new(dy, rows, n).t(), Mat::new(x, rows, k), n * k)
}

fn product<T: Element>(lhs: Mat<T>, rhs: Mat<T>, len: usize) -> Vec<T> {
    let out = Output::new(len);
    matmul_blocked(&out, Into::Overwrite, lhs, rhs, |_, _| {});
    // SAFETY: the product writes every element.
    unsafe { out.written() }
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
