//! Loops over slices, on all cores and with the widest vectors the machine has.
//!
//! Chunk borders depend on the length alone, never on the number of threads, so that a result is
//! the same to the bit whatever runs it.

use crate::element::Element;
use rayon::prelude::*;

/// Elements a task takes at once: large against rayon's overhead, small against the L2 cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Runs `f`, and what is inlined into it, compiled for the best instruction set found at run time.
#[inline(always)]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// `f` of every element.
pub(crate) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    out.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(out, x)| {
            vectorized(
                #[inline(always)]
                || out.iter_mut().zip(x).for_each(|(out, &x)| *out = f(x)),
            )
        });
    out
}

/// `f` of every pair of elements.
pub(crate) fn zip_map<T: Element>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    out.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)))
        .for_each(|(out, (x, y))| {
            vectorized(
                #[inline(always)]
                || {
                    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
                        *out = f(x, y);
                    }
                },
            )
        });
    out
}

/// Adds a row to running sums.
pub(crate) fn add<T: Element>(sums: &mut [T], row: &[T]) {
    vectorized(
        #[inline(always)]
        || sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v),
    );
}

/// Sums with sixteen independent accumulators, which the compiler turns into vector lanes.
#[expect(
    clippy::needless_range_loop,
    reason = "one index over several arrays is what vectorises"
)]
#[inline(always)]
pub(crate) fn lane_sum<T: Element, const N: usize>(
    len: usize,
    term: impl Fn(usize) -> [T; N],
) -> [T; N] {
    const LANES: usize = 16;
    let mut lanes = [[T::ZERO; LANES]; N];
    let whole = len / LANES * LANES;
    let mut i = 0;
    while i < whole {
        for lane in 0..LANES {
            let terms = term(i + lane);
            for n in 0..N {
                lanes[n][lane] += terms[n];
            }
        }
        i += LANES;
    }
    let mut total = [T::ZERO; N];
    for n in 0..N {
        for lane in lanes[n] {
            total[n] += lane;
        }
    }
    for i in whole..len {
        let terms = term(i);
        for n in 0..N {
            total[n] += terms[n];
        }
    }
    total
}
