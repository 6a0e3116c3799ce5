use super::Sizes;
use crate::{
    element::Element,
    matmul::{Into, Mat, MatMut, matmul},
    parallel::{lane_sum, vectorized},
};
use gemm::Parallelism;
use rayon::prelude::*;

/// Queries, keys and values of one head, inside the packed projection of one image.
fn heads_of<'a, T>(s: &Sizes, qkv: &'a [T], head: usize) -> [Mat<'a, T>; 3] {
    let stride = 3 * s.width();
    [0, 1, 2].map(|part| {
        let first = part * s.width() + head * s.d;
        Mat::strided(&qkv[first..], s.n, s.d, stride)
    })
}

/// Where the gradient of queries (0), keys (1) or values (2) of one head goes.
fn part_of<'a, T>(s: &Sizes, dqkv: &'a mut [T], part: usize, head: usize) -> MatMut<'a, T> {
    let first = part * s.width() + head * s.d;
    MatMut::strided(&mut dqkv[first..], s.n, s.d, 3 * s.width())
}

/// `dst = scale · lhs · rhs` on this thread.
fn product<T: Element>(dst: MatMut<T>, lhs: Mat<T>, rhs: Mat<T>, scale: T) {
    matmul(dst, Into::Overwrite, lhs, rhs, scale, Parallelism::None);
}

/// `softmax(q kᵀ · scale)`, `(N, N)`.
fn weights<T: Element>(s: &Sizes, q: Mat<T>, k: Mat<T>, p: &mut [T]) {
    product(MatMut::new(p, s.n, s.n), q, k.t(), T::from_f64(s.scale()));
    vectorized(
        #[inline(always)]
        || p.chunks_exact_mut(s.n).for_each(softmax),
    );
}

#[inline(always)]
fn softmax<T: Element>(row: &mut [T]) {
    let mut max = row[0];
    for &v in row.iter() {
        max = max.larger(v);
    }
    for v in row.iter_mut() {
        *v = Element::exp(*v - max);
    }
    let [sum] = lane_sum(row.len(), |i| [row[i]]);
    let inverse = T::ONE / sum;
    for v in row.iter_mut() {
        *v *= inverse;
    }
}

/// `(B, N, heads · D)`.
pub(super) fn forward<T: Element>(s: &Sizes, qkv: &[T]) -> Vec<T> {
    let width = s.width();
    let mut out = vec![T::ZERO; s.b * s.n * width];
    out.par_chunks_mut(s.n * width)
        .zip(qkv.par_chunks(s.n * 3 * width))
        .for_each_init(
            || vec![T::ZERO; s.n * s.n],
            |p, (out, qkv)| {
                for head in 0..s.heads {
                    let [q, k, v] = heads_of(s, qkv, head);
                    weights(s, q, k, p);
                    let out = MatMut::strided(&mut out[head * s.d..], s.n, s.d, width);
                    product(out, Mat::new(p, s.n, s.n), v, T::ONE);
                }
            },
        );
    out
}

/// `(B, N, 3 · heads · D)`.
pub(super) fn backward<T: Element>(s: &Sizes, qkv: &[T], out: &[T], dout: &[T]) -> Vec<T> {
    let width = s.width();
    let mut dqkv = vec![T::ZERO; qkv.len()];
    dqkv.par_chunks_mut(s.n * 3 * width)
        .zip(qkv.par_chunks(s.n * 3 * width))
        .zip(
            out.par_chunks(s.n * width)
                .zip(dout.par_chunks(s.n * width)),
        )
        .for_each_init(
            || [vec![T::ZERO; s.n * s.n], vec![T::ZERO; s.n * s.n]],
            |buffers, ((dqkv, qkv), (out, dout))| {
                for head in 0..s.heads {
                    backward_head(s, head, qkv, out, dout, dqkv, buffers);
                }
            },
        );
    dqkv
}

fn backward_head<T: Element>(
    s: &Sizes,
    head: usize,
    qkv: &[T],
    out: &[T],
    dout: &[T],
    dqkv: &mut [T],
    [p, dp]: &mut [Vec<T>; 2],
) {
    let (n, width) = (s.n, s.width());
    let [q, k, v] = heads_of(s, qkv, head);
    let at = head * s.d;
    let dout_head = Mat::strided(&dout[at..], n, s.d, width);
    weights(s, q, k, p);
    product(
        part_of(s, dqkv, 2, head),
        Mat::new(p, n, n).t(),
        dout_head,
        T::ONE,
    ); // dv
    product(MatMut::new(dp, n, n), dout_head, v.t(), T::ONE);
    vectorized(
        #[inline(always)]
        || {
            let rows = p.chunks_exact(n).zip(dp.chunks_exact_mut(n));
            for (i, (p, dp)) in rows.enumerate() {
                let (out, dout) = (
                    &out[i * width + at..][..s.d],
                    &dout[i * width + at..][..s.d],
                );
                // Σⱼ pᵢⱼ dpᵢⱼ, from the D values of the result instead of the N of the row.
                let [inner] = lane_sum(s.d, |j| [out[j] * dout[j]]);
                for (dp, &p) in dp.iter_mut().zip(p) {
                    *dp = p * (*dp - inner);
                }
            }
        },
    );
    let ds = Mat::new(dp, n, n);
    let scale = T::from_f64(s.scale());
    product(part_of(s, dqkv, 0, head), ds, k, scale); // dq
    product(part_of(s, dqkv, 1, head), ds.t(), q, scale); // dk
}
