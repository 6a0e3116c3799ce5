//! The transforms of one tile, for as many channels as a vector has lanes.

use crate::element::Element;
use pulp::Simd;

/// The same pixel, or point, of neighbouring channels.
type Lanes<T, S> = <T as crate::vector::Lanes>::Vector<S>;

/// Rows and columns of a tile, of its kernel or of its products.
pub(super) type Grid<T, S, const H: usize, const W: usize> = [[Lanes<T, S>; W]; H];

/// The grid at `from`: its rows and columns `row` and `column` elements apart.
#[inline(always)]
pub(super) fn load<T: Element, S: Simd, const H: usize, const W: usize>(
    simd: S,
    from: &[T],
    row: usize,
    column: usize,
) -> Grid<T, S, H, W> {
    let mut grid = [[T::splat(simd, T::ZERO); W]; H];
    for (y, lanes) in grid.iter_mut().enumerate() {
        for (x, lanes) in lanes.iter_mut().enumerate() {
            *lanes = T::load(simd, &from[y * row + x * column..]);
        }
    }
    grid
}

/// The reverse of [`load`].
#[inline(always)]
pub(super) fn store<T: Element, S: Simd, const H: usize, const W: usize>(
    simd: S,
    grid: Grid<T, S, H, W>,
    to: &mut [T],
    row: usize,
    column: usize,
) {
    for (y, lanes) in grid.into_iter().enumerate() {
        for (x, lanes) in lanes.into_iter().enumerate() {
            T::store(simd, &mut to[y * row + x * column..], lanes);
        }
    }
}

#[inline(always)]
fn half<T: Element, S: Simd>(simd: S, a: Lanes<T, S>) -> Lanes<T, S> {
    T::times(simd, a, T::splat(simd, T::of(0.5)))
}

#[inline(always)]
fn bt<T: Element, S: Simd>(simd: S, d: [Lanes<T, S>; 4]) -> [Lanes<T, S>; 4] {
    [
        T::minus(simd, d[0], d[2]),
        T::plus(simd, d[1], d[2]),
        T::minus(simd, d[2], d[1]),
        T::minus(simd, d[1], d[3]),
    ]
}

#[inline(always)]
fn at<T: Element, S: Simd>(simd: S, m: [Lanes<T, S>; 4]) -> [Lanes<T, S>; 2] {
    [
        T::plus(simd, T::plus(simd, m[0], m[1]), m[2]),
        T::minus(simd, T::minus(simd, m[1], m[2]), m[3]),
    ]
}

#[inline(always)]
fn a<T: Element, S: Simd>(simd: S, y: [Lanes<T, S>; 2]) -> [Lanes<T, S>; 4] {
    [
        y[0],
        T::plus(simd, y[0], y[1]),
        T::minus(simd, y[0], y[1]),
        T::minus(simd, T::splat(simd, T::ZERO), y[1]),
    ]
}

#[inline(always)]
fn g<T: Element, S: Simd>(simd: S, k: [Lanes<T, S>; 3]) -> [Lanes<T, S>; 4] {
    let ends = half::<T, S>(simd, T::plus(simd, k[0], k[2]));
    let middle = half::<T, S>(simd, k[1]);
    [
        k[0],
        T::plus(simd, ends, middle),
        T::minus(simd, ends, middle),
        k[2],
    ]
}

#[inline(always)]
fn gt<T: Element, S: Simd>(simd: S, u: [Lanes<T, S>; 4]) -> [Lanes<T, S>; 3] {
    let sum = half::<T, S>(simd, T::plus(simd, u[1], u[2]));
    let difference = half::<T, S>(simd, T::minus(simd, u[1], u[2]));
    [
        T::plus(simd, u[0], sum),
        difference,
        T::plus(simd, sum, u[3]),
    ]
}

/// `$f` of every column, then of every row.
macro_rules! transform {
    ($(#[$doc:meta])* $name:ident by $f:ident: $h:literal x $w:literal to $oh:literal x $ow:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name<T: Element, S: Simd>(
            simd: S,
            grid: Grid<T, S, $h, $w>,
        ) -> Grid<T, S, $oh, $ow> {
            let zero = T::splat(simd, T::ZERO);
            let mut half = [[zero; $w]; $oh];
            for x in 0..$w {
                let mut column = [zero; $h];
                for y in 0..$h {
                    column[y] = grid[y][x];
                }
                let column = $f::<T, S>(simd, column);
                for y in 0..$oh {
                    half[y][x] = column[y];
                }
            }
            let mut whole = [[zero; $ow]; $oh];
            for y in 0..$oh {
                whole[y] = $f::<T, S>(simd, half[y]);
            }
            whole
        }
    };
}

transform! {
    /// `Bᵀ d B` of a tile of the input.
    input by bt: 4 x 4 to 4 x 4
}
transform! {
    /// `Aᵀ m A`: a tile of the result from its products.
    output by at: 4 x 4 to 2 x 2
}
transform! {
    /// `A dy Aᵀ` of a tile of the result's gradient.
    output_gradient by a: 2 x 2 to 4 x 4
}
transform! {
    /// `G k Gᵀ` of a kernel.
    kernel by g: 3 x 3 to 4 x 4
}
transform! {
    /// `Gᵀ u G`: a kernel's gradient from that of its transform.
    kernel_gradient by gt: 4 x 4 to 3 x 3
}
