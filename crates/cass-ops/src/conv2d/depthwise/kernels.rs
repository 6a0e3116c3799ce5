//! The two sums along the line: over taps for every place, and over places for every tap.

use crate::element::Element;
use pulp::bytemuck::{cast_slice, cast_slice_mut};
use pulp::{Arch, Simd, WithSimd};

/// Taps that are summed in one pass: their weights or sums stay in registers.
const MOST: usize = 9;

/// `to[i] = Σ weight * from[i + offset]` over the taps; whole vectors.
pub(super) fn correlate<T: Element>(taps: &[(usize, T)], from: &[T], to: &mut [T]) {
    Arch::new().dispatch(Correlate { taps, from, to });
}

struct Correlate<'a, T> {
    taps: &'a [(usize, T)],
    from: &'a [T],
    to: &'a mut [T],
}

impl<T: Element> WithSimd for Correlate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { taps, from, to } = self;
        if taps.is_empty() {
            to.fill(T::ZERO);
        }
        let mut add = false;
        for taps in in_passes(taps) {
            match taps {
                &[a, b, c, d, e, f, g, h, i] => {
                    pass(simd, [a, b, c, d, e, f, g, h, i], from, to, add);
                }
                &[a, b, c, d, e, f, g] => pass(simd, [a, b, c, d, e, f, g], from, to, add),
                &[a, b, c, d, e, f] => pass(simd, [a, b, c, d, e, f], from, to, add),
                &[a, b, c, d, e] => pass(simd, [a, b, c, d, e], from, to, add),
                &[a, b, c, d] => pass(simd, [a, b, c, d], from, to, add),
                some => {
                    for (n, &tap) in some.iter().enumerate() {
                        pass(simd, [tap], from, to, add || n > 0);
                    }
                }
            }
            add = true;
        }
    }
}

/// Pieces of about equal length, none of eight nor longer than [`MOST`].
fn in_passes<T>(taps: &[T]) -> impl Iterator<Item = &[T]> {
    let passes = taps.len().div_ceil(MOST).max(1);
    let size = match taps.len().div_ceil(passes) {
        8 if taps.len() > MOST => 7,
        8 => 4,
        size => size.max(1),
    };
    taps.chunks(size)
}

#[inline(always)]
fn pass<T: Element, S: Simd, const N: usize>(
    simd: S,
    taps: [(usize, T); N],
    from: &[T],
    to: &mut [T],
    add: bool,
) {
    let len = to.len();
    let to: &mut [T::Vector<S>] = cast_slice_mut(to);
    let weights = taps.map(|(_, weight)| T::splat(simd, weight));
    let rows: [&[T::Vector<S>]; N] = taps.map(|(offset, _)| cast_slice(&from[offset..][..len]));
    let rows = rows.map(|row| &row[..to.len()]);
    for i in 0..to.len() {
        let mut sum = match add {
            true => to[i],
            false => T::splat(simd, T::ZERO),
        };
        for n in 0..N {
            sum = T::times_plus(simd, weights[n], rows[n][i], sum);
        }
        to[i] = sum;
    }
}

/// `sums[n] += Σ dy[i] * from[i + offsets[n]]`; whole vectors.
pub(super) fn products<T: Element>(offsets: &[usize], from: &[T], dy: &[T], sums: &mut [f64]) {
    Arch::new().dispatch(Products {
        offsets,
        from,
        dy,
        sums,
    });
}

struct Products<'a, T> {
    offsets: &'a [usize],
    from: &'a [T],
    dy: &'a [T],
    sums: &'a mut [f64],
}

impl<T: Element> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut sums = self.sums;
        for offsets in in_passes(self.offsets) {
            let (of_pass, rest) = sums.split_at_mut(offsets.len());
            sums = rest;
            let (from, dy) = (self.from, self.dy);
            match offsets {
                &[a, b, c, d, e, f, g, h, i] => {
                    dots(simd, [a, b, c, d, e, f, g, h, i], from, dy, of_pass);
                }
                &[a, b, c, d, e, f, g] => dots(simd, [a, b, c, d, e, f, g], from, dy, of_pass),
                &[a, b, c, d, e, f] => dots(simd, [a, b, c, d, e, f], from, dy, of_pass),
                &[a, b, c, d, e] => dots(simd, [a, b, c, d, e], from, dy, of_pass),
                &[a, b, c, d] => dots(simd, [a, b, c, d], from, dy, of_pass),
                some => {
                    for (&offset, sum) in some.iter().zip(of_pass.chunks_exact_mut(1)) {
                        dots(simd, [offset], from, dy, sum);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn dots<T: Element, S: Simd, const N: usize>(
    simd: S,
    offsets: [usize; N],
    from: &[T],
    dy: &[T],
    sums: &mut [f64],
) {
    let len = dy.len();
    let dy: &[T::Vector<S>] = cast_slice(dy);
    let rows: [&[T::Vector<S>]; N] = offsets.map(|offset| cast_slice(&from[offset..][..len]));
    let rows = rows.map(|row| &row[..dy.len()]);
    let mut lanes = [T::splat(simd, T::ZERO); N];
    for i in 0..dy.len() {
        for n in 0..N {
            lanes[n] = T::times_plus(simd, dy[i], rows[n][i], lanes[n]);
        }
    }
    for (sum, lanes) in sums.iter_mut().zip(&lanes) {
        let lanes: &[T] = cast_slice(std::slice::from_ref(lanes));
        *sum += lanes.iter().map(|v| v.to_f64()).sum::<f64>();
    }
}
