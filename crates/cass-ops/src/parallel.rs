//! Loops over slices, on all cores and with the widest vectors the machine has.
//!
//! Chunk borders depend on the length alone, never on the number of threads, so that a result is
//! the same to the bit whatever runs it.

use crate::{element::Element, matmul::MatMut};
use candle_core::{
    CpuStorage, DType, InplaceOp2, Layout, Result, Tensor, backend::BackendStorage, bail,
};
use rayon::prelude::*;
use std::{mem::MaybeUninit, ops::Range};

/// Elements a task takes at once: large against rayon's overhead, small against the L2 cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Runs `f`, and what is inlined into it, compiled for the best instruction set found at run time.
#[inline(always)]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Memory for a result that tasks write at places of their own, without a pass that zeroes it first.
pub(crate) struct Output<T> {
    data: Vec<T>,
    start: *mut T,
    len: usize,
}

// SAFETY: what several tasks do with it is left to `range` and `matrix`, whose callers promise that
// no two of them reach one element.
unsafe impl<T: Send> Sync for Output<T> {}

impl<T: Element> Output<T> {
    pub(crate) fn new(len: usize) -> Self {
        let mut data = Vec::with_capacity(len);
        let start = data.as_mut_ptr();
        Self { data, start, len }
    }

    /// Elements to write to.
    ///
    /// # Safety
    /// No other live reference may overlap `range`.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn range(&self, range: Range<usize>) -> &mut [MaybeUninit<T>] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start).cast(), range.len()) }
    }

    /// A matrix to write to, its rows `stride` elements apart; it may be read once it was written.
    ///
    /// # Safety
    /// No other live reference may reach an element of the matrix.
    pub(crate) unsafe fn matrix(
        &self,
        first: usize,
        rows: usize,
        cols: usize,
        stride: usize,
    ) -> MatMut<'_, T> {
        assert!(rows == 0 || first + (rows - 1) * stride + cols <= self.len);
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { MatMut::from_raw(self.start.add(first), rows, cols, stride) }
    }

    /// The result.
    ///
    /// # Safety
    /// Every element must have been written.
    pub(crate) unsafe fn written(mut self) -> Vec<T> {
        // SAFETY: the capacity is `len`, and all of it is written by the caller's promise.
        unsafe { self.data.set_len(self.len) };
        self.data
    }
}

/// Runs `f` on pieces of a result of `len` elements, each `chunk` long but for the last.
///
/// # Safety
/// `f` must write every element of the piece it is given; it also gets the piece's place.
pub(crate) unsafe fn write_chunks<T: Element>(
    len: usize,
    chunk: usize,
    f: impl Fn(Range<usize>, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    let out = Output::new(len);
    (0..len.div_ceil(chunk)).into_par_iter().for_each(|i| {
        let place = i * chunk..(i * chunk + chunk).min(len);
        // SAFETY: places do not overlap.
        f(place.clone(), unsafe { out.range(place) });
    });
    // SAFETY: the pieces cover the result, and each was written whole by the caller's promise.
    unsafe { out.written() }
}

/// `f` of every element.
pub(crate) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    let piece = |place: Range<usize>, out: &mut [MaybeUninit<T>]| {
        vectorized(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(&x[place]) {
                    out.write(f(x));
                }
            },
        )
    };
    // SAFETY: a piece and its place are equally long.
    unsafe { write_chunks(x.len(), CHUNK, piece) }
}

/// `f` of every pair of elements.
pub(crate) fn zip_map<T: Element>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    assert_eq!(x.len(), y.len());
    let piece = |place: Range<usize>, out: &mut [MaybeUninit<T>]| {
        vectorized(
            #[inline(always)]
            || {
                let pairs = x[place.clone()].iter().zip(&y[place]);
                for (out, (&x, &y)) in out.iter_mut().zip(pairs) {
                    out.write(f(x, y));
                }
            },
        )
    };
    // SAFETY: a piece and its place are equally long.
    unsafe { write_chunks(x.len(), CHUNK, piece) }
}

/// `to += from` in place, where a kernel can: on a CPU, both contiguous, f32 or f64. Whether it did.
pub(crate) fn add_into(to: &Tensor, from: &Tensor) -> Result<bool> {
    let can = to.device().is_cpu()
        && to.is_contiguous()
        && from.is_contiguous()
        && to.dims() == from.dims()
        && to.dtype() == from.dtype()
        && matches!(to.dtype(), DType::F32 | DType::F64);
    if can {
        to.inplace_op2(from, &AddInto)?;
    }
    Ok(can)
}

struct AddInto;

impl InplaceOp2 for AddInto {
    fn name(&self) -> &'static str {
        "add into"
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        to_layout: &Layout,
        from: &CpuStorage,
        from_layout: &Layout,
    ) -> Result<()> {
        let places = (
            to_layout.contiguous_offsets(),
            from_layout.contiguous_offsets(),
        );
        let (Some((a, b)), Some((c, d))) = places else {
            bail!("a sum in place of tensors that are not contiguous");
        };
        match (to, from) {
            (CpuStorage::F32(to), CpuStorage::F32(from)) => add_all(&mut to[a..b], &from[c..d]),
            (CpuStorage::F64(to), CpuStorage::F64(from)) => add_all(&mut to[a..b], &from[c..d]),
            (to, _) => bail!("a sum in place takes f32 or f64, not {:?}", to.dtype()),
        }
        Ok(())
    }
}

fn add_all<T: Element>(to: &mut [T], from: &[T]) {
    to.par_chunks_mut(CHUNK)
        .zip(from.par_chunks(CHUNK))
        .for_each(|(to, from)| add(to, from));
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
