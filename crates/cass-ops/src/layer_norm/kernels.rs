use crate::{
    element::Element,
    parallel::{Places, collect, lane_sum, vectorized, write_chunks},
};
use std::{mem::MaybeUninit, ops::Range};

/// Rows a task takes at once; also the unit of the partial sums of the affine gradients.
const ROWS: usize = 64;

/// Mean and 1 / standard deviation of a row.
#[inline(always)]
fn moments<T: Element>(row: &[T], eps: T) -> (T, T) {
    let n = T::from_f64(row.len() as f64);
    let [sum] = lane_sum(row.len(), |i| [row[i]]);
    let mean = sum / n;
    let [squares] = lane_sum(row.len(), |i| [(row[i] - mean) * (row[i] - mean)]);
    (mean, T::ONE / (squares / n + eps).sqrt())
}

pub(super) fn forward<T: Element>(x: &[T], weight: &[T], bias: &[T], eps: T) -> Vec<T> {
    let d = weight.len();
    let rows = |place: Range<usize>, y: &mut [MaybeUninit<T>]| {
        vectorized(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(d).zip(x[place].chunks_exact(d)) {
                    let (mean, inv_std) = moments(x, eps);
                    for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        y.write((x - mean) * inv_std * w + b);
                    }
                }
            },
        )
    };
    // SAFETY: pieces are whole rows, and every element of a row is written.
    unsafe { write_chunks(x.len(), ROWS * d, rows) }
}

/// `(dx, dweight, dbias)`; the moments are computed again rather than kept.
pub(super) fn backward<T: Element>(
    x: &[T],
    weight: &[T],
    dy: &[T],
    eps: T,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let d = weight.len();
    let mut dx = vec![T::ZERO; x.len()];
    let pieces = Places::new(&mut dx, ROWS * d);
    let partials: Vec<[Vec<T>; 2]> = collect(pieces.count(), |i| {
        // SAFETY: each number is given out once.
        let dx = unsafe { pieces.get(i) };
        let at = i * ROWS * d..i * ROWS * d + dx.len();
        let (x, dy) = (&x[at.clone()], &dy[at]);
        let mut dw = vec![T::ZERO; d];
        let mut db = vec![T::ZERO; d];
        vectorized(
            #[inline(always)]
            || {
                let rows = dx.chunks_exact_mut(d).zip(x.chunks_exact(d));
                for ((dx, x), dy) in rows.zip(dy.chunks_exact(d)) {
                    backward_row(x, weight, dy, eps, dx, &mut dw, &mut db);
                }
            },
        );
        [dw, db]
    });
    let mut total = [vec![T::ZERO; d], vec![T::ZERO; d]];
    for partial in &partials {
        for (total, partial) in total.iter_mut().zip(partial) {
            total.iter_mut().zip(partial).for_each(|(t, &p)| *t += p);
        }
    }
    let [dw, db] = total;
    (dx, dw, db)
}

#[inline(always)]
fn backward_row<T: Element>(
    x: &[T],
    weight: &[T],
    dy: &[T],
    eps: T,
    dx: &mut [T],
    dw: &mut [T],
    db: &mut [T],
) {
    let d = weight.len();
    let (x, dy, dx) = (&x[..d], &dy[..d], &mut dx[..d]);
    let (dw, db) = (&mut dw[..d], &mut db[..d]);
    let (mean, inv_std) = moments(x, eps);
    let [sum, product] = lane_sum(d, |i| {
        let g = dy[i] * weight[i];
        [g, g * (x[i] - mean) * inv_std]
    });
    let n = T::from_f64(d as f64);
    let (sum, product) = (sum / n, product / n);
    for i in 0..d {
        let normal = (x[i] - mean) * inv_std;
        dx[i] = inv_std * (dy[i] * weight[i] - sum - normal * product);
        dw[i] += dy[i] * normal;
        db[i] += dy[i];
    }
}
