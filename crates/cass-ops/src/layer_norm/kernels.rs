use crate::element::Element;
use crate::matrix::{steps, write_tiles};
use crate::parallel::{for_each_chunk, lane_sum, vectorized, write_from};

/// Rows a task takes at once; also the unit of the partial sums of the affine gradients.
const ROWS: usize = 64;

/// Mean and 1 / standard deviation of a row.
#[inline(always)]
fn moments<T: Element>(row: &[T], eps: T) -> (T, T) {
    let n = T::of(row.len() as f64);
    let [sum] = lane_sum(row.len(), |i| [row[i]]);
    let mean = sum / n;
    let [squares] = lane_sum(row.len(), |i| [(row[i] - mean) * (row[i] - mean)]);
    (mean, T::ONE / (squares / n + eps).sqrt())
}

pub(super) fn forward<T: Element>(x: &[T], weight: &[T], bias: &[T], eps: T) -> Vec<T> {
    let d = weight.len();
    let (y, _) = write_tiles(
        (x.len() / d, d),
        ROWS,
        steps(d, d),
        || (),
        |(), i, rows| {
            let x = &x[i * ROWS * d..];
            let written = vectorized(
                #[inline(always)]
                || {
                    rows.by_rows(
                        #[inline(always)]
                        |row, y| {
                            let x = &x[row * d..][..d];
                            let (mean, inv_std) = moments(x, eps);
                            write_from(y, [x, weight, bias], |[x, w, b]| {
                                (x - mean) * inv_std * w + b
                            })
                        },
                    )
                },
            );
            (written, ())
        },
    );
    y
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
    let partials: Vec<[Vec<T>; 2]> = for_each_chunk(&mut dx, ROWS * d, |i, dx| {
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
    let n = T::of(d as f64);
    let (sum, product) = (sum / n, product / n);
    for i in 0..d {
        let normal = (x[i] - mean) * inv_std;
        dx[i] = inv_std * (dy[i] * weight[i] - sum - normal * product);
        dw[i] += dy[i] * normal;
        db[i] += dy[i];
    }
}
