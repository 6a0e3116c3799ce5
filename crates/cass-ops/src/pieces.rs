//! Results that tasks write in pieces of one length.

use crate::element::Element;
use crate::matrix::{steps, write_tiles};
use crate::parallel::{CHUNK, vectorized, write_from};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A result of `len` elements, which tasks write in pieces of `chunk`, the last may be shorter; `f`
/// gets a piece and its place, and returns it written.
pub(crate) fn write_chunks<T: Element>(
    len: usize,
    chunk: usize,
    f: impl for<'a> Fn(Range<usize>, &'a mut [MaybeUninit<T>]) -> &'a mut [T] + Sync,
) -> Vec<T> {
    let (data, _) = write_tiles(
        (1, len),
        1,
        steps(len, chunk),
        || (),
        |(), i, tile| {
            let place = i * chunk..(i * chunk + chunk).min(len);
            (tile.by_rows(|_, piece| f(place.clone(), piece)), ())
        },
    );
    data
}

/// `f` of every element.
pub(crate) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    write_chunks(x.len(), CHUNK, |place, to| {
        vectorized(
            #[inline(always)]
            || write_from(to, [&x[place]], |[x]| f(x)),
        )
    })
}

/// `f` of every pair of elements.
pub(crate) fn zip_map<T: Element>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    assert_eq!(x.len(), y.len());
    write_chunks(x.len(), CHUNK, |place, to| {
        vectorized(
            #[inline(always)]
            || write_from(to, [&x[place.clone()], &y[place]], |[x, y]| f(x, y)),
        )
    })
}
