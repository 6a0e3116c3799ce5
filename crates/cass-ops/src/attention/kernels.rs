use super::Sizes;
use crate::element::Element;
use crate::matrix::{Mat, MatMut, matmul, matmul_add, steps, write_tiles};
use crate::parallel::{add, for_each_chunk, lane_max, lane_sum, vectorized};

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

/// What is added to the scores before the softmax.
#[derive(Clone, Copy)]
pub(super) struct Added<'a, T> {
    /// `(heads, N, N)`
    pub(super) bias: &'a [T],
    /// `(windows, N, N)`; image `i` is window `i % windows`.
    pub(super) mask: Option<&'a [T]>,
}

impl<T: Element> Added<'_, T> {
    /// The sum of both for one head of one image, `(N, N)`.
    fn write(&self, image: usize, head: usize, scores: &mut [T]) {
        let size = scores.len();
        scores.copy_from_slice(&self.bias[head * size..][..size]);
        if let Some(mask) = self.mask {
            let window = image % (mask.len() / size);
            add(scores, &mask[window * size..][..size]);
        }
    }
}

/// One head of one image.
#[derive(Clone, Copy)]
struct Place {
    image: usize,
    head: usize,
}

/// `softmax(q kᵀ · scale + added)`, `(N, N)`.
fn weights<T: Element>(
    s: &Sizes,
    at: Place,
    q: Mat<T>,
    k: Mat<T>,
    added: Option<Added<T>>,
    p: &mut [T],
) {
    let scale = T::of(s.scale());
    match added {
        Some(added) => {
            added.write(at.image, at.head, p);
            matmul_add(MatMut::new(p, s.n, s.n), q, k.t(), scale);
        }
        None => {
            matmul(MatMut::new(p, s.n, s.n), q, k.t(), scale);
        }
    }
    vectorized(
        #[inline(always)]
        || {
            // A loop: `for_each` would be a function of its own, without this one's instructions.
            for row in p.chunks_exact_mut(s.n) {
                softmax(row);
            }
        },
    );
}

#[inline(always)]
fn softmax<T: Element>(row: &mut [T]) {
    let max = lane_max(row);
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
pub(super) fn forward<T: Element>(s: &Sizes, qkv: &[T], added: Option<Added<T>>) -> Vec<T> {
    let width = s.width();
    let (out, _) = write_tiles(
        (s.b * s.n, width),
        s.n,
        steps(width, s.d),
        || vec![T::ZERO; s.n * s.n],
        |p, i, out| {
            let (image, head) = (i / s.heads, i % s.heads);
            let qkv = &qkv[image * s.n * 3 * width..][..s.n * 3 * width];
            let [q, k, v] = heads_of(s, qkv, head);
            weights(s, Place { image, head }, q, k, added, p);
            (matmul(out, Mat::new(p, s.n, s.n), v, T::ONE), ())
        },
    );
    out
}

/// Groups of images whose bias gradients are summed apart: enough for the threads of a machine, and
/// fixed, so that the result is the same for any number of them.
const GROUPS: usize = 32;

/// Gradients of `qkv`, `(B, N, 3 · heads · D)`, and of the bias, `(heads, N, N)` or empty.
pub(super) fn backward<T: Element>(
    s: &Sizes,
    qkv: &[T],
    out: &[T],
    dout: &[T],
    added: Option<Added<T>>,
) -> (Vec<T>, Vec<T>) {
    let (narrow, wide, square) = (s.n * s.width(), 3 * s.n * s.width(), s.n * s.n);
    let no_bias = || vec![T::ZERO; added.map_or(0, |added| added.bias.len())];
    let group = s.b.div_ceil(GROUPS);
    let mut dqkv = vec![T::ZERO; qkv.len()];
    let partials: Vec<Vec<T>> = for_each_chunk(&mut dqkv, group * wide, |number, dqkv| {
        let mut dbias = no_bias();
        let mut buffers = [vec![T::ZERO; square], vec![T::ZERO; square]];
        for (i, dqkv) in dqkv.chunks_exact_mut(wide).enumerate() {
            let image = number * group + i;
            let of = Saved {
                qkv: &qkv[image * wide..][..wide],
                out: &out[image * narrow..][..narrow],
                dout: &dout[image * narrow..][..narrow],
            };
            for head in 0..s.heads {
                let at = Place { image, head };
                backward_head(s, at, &of, added, dqkv, &mut buffers);
                if added.is_some() {
                    add(&mut dbias[head * square..][..square], &buffers[1]);
                }
            }
        }
        dbias
    });
    let mut dbias = no_bias();
    partials.iter().for_each(|partial| add(&mut dbias, partial));
    (dqkv, dbias)
}

/// One image's part of the forward pass, and the gradient of its result.
struct Saved<'a, T> {
    qkv: &'a [T],
    out: &'a [T],
    dout: &'a [T],
}

/// Writes the gradients of q, k and v, and leaves that of the scores in the second buffer.
fn backward_head<T: Element>(
    s: &Sizes,
    place: Place,
    Saved { qkv, out, dout }: &Saved<T>,
    added: Option<Added<T>>,
    dqkv: &mut [T],
    [p, dp]: &mut [Vec<T>; 2],
) {
    let (n, width, head) = (s.n, s.width(), place.head);
    let [q, k, v] = heads_of(s, qkv, head);
    let at = head * s.d;
    let dout_head = Mat::strided(&dout[at..], n, s.d, width);
    weights(s, place, q, k, added, p);
    matmul(
        part_of(s, dqkv, 2, head),
        Mat::new(p, n, n).t(),
        dout_head,
        T::ONE,
    ); // dv
    matmul(MatMut::new(dp, n, n), dout_head, v.t(), T::ONE);
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
    let scale = T::of(s.scale());
    matmul(part_of(s, dqkv, 0, head), ds, k, scale); // dq
    matmul(part_of(s, dqkv, 1, head), ds.t(), q, scale); // dk
}
