//! Loops over slices, on all cores and with the widest vectors the machine has.
//!
//! Chunk borders depend on the length alone, never on the number of threads, so that a result is
//! the same to the bit whatever runs it.

use crate::{element::Element, matmul::MatMut, pool};
use candle_core::{
    CpuStorage, DType, InplaceOp2, Layout, Result, Tensor, backend::BackendStorage, bail,
};
use std::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Elements a task takes at once: large against the cost of handing one out, small against the L2 cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Runs `f`, and what is inlined into it, compiled for the best instruction set found at run time.
#[inline(always)]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// `f` of every number below `count`, on all threads; `init` makes what a thread keeps for itself.
pub(crate) fn for_each_with<S>(
    count: usize,
    init: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize) + Sync,
) {
    if count <= 1 {
        if count == 1 {
            f(&mut init(), 0);
        }
        return;
    }
    let next = AtomicUsize::new(0);
    pool::run(&|| {
        let mut own = None;
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return;
            }
            f(own.get_or_insert_with(&init), i);
        }
    });
}

/// `f` of every number below `count`, on all threads; which thread takes which is not said.
pub fn for_each(count: usize, f: impl Fn(usize) + Sync) {
    for_each_with(count, || (), |(), i| f(i));
}

/// What `f` makes of every number below `count`, in order.
pub(crate) fn collect_with<S, R: Send>(
    count: usize,
    init: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize) -> R + Sync,
) -> Vec<R> {
    let mut results: Vec<Option<R>> = (0..count).map(|_| None).collect();
    let places = Places::new(&mut results, 1);
    for_each_with(count, init, |own, i| {
        // SAFETY: each number is given out once.
        let place = unsafe { places.get(i) };
        place[0] = Some(f(own, i));
    });
    results.into_iter().flatten().collect()
}

/// The same for what needs nothing of its own.
pub(crate) fn collect<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    collect_with(count, || (), |(), i| f(i))
}

/// `f` of every piece of `chunk` elements, the last may be shorter, on all threads.
pub(crate) fn for_each_chunk<T: Send>(
    data: &mut [T],
    chunk: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let places = Places::new(data, chunk);
    for_each(places.count(), |i| {
        // SAFETY: each number is given out once.
        f(i, unsafe { places.get(i) });
    });
}

/// The same; `init` makes what a thread keeps for itself.
pub(crate) fn for_each_chunk_with<T: Send, S>(
    data: &mut [T],
    chunk: usize,
    init: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize, &mut [T]) + Sync,
) {
    let places = Places::new(data, chunk);
    for_each_with(places.count(), init, |own, i| {
        // SAFETY: each number is given out once.
        f(own, i, unsafe { places.get(i) });
    });
}

/// Pieces of a slice for tasks to take, each once.
pub(crate) struct Places<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: that no two tasks take one piece is left to `get`, whose callers promise it.
unsafe impl<T: Send> Sync for Places<'_, T> {}

impl<'a, T> Places<'a, T> {
    pub(crate) fn new(data: &'a mut [T], chunk: usize) -> Self {
        Self {
            start: data.as_mut_ptr(),
            len: data.len(),
            chunk,
            of: PhantomData,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.len.div_ceil(self.chunk)
    }

    /// # Safety
    /// No other reference to piece `i` may be live.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn get(&self, i: usize) -> &'a mut [T] {
        assert!(i < self.count());
        let first = i * self.chunk;
        let len = self.chunk.min(self.len - first);
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
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
        Self::over(Vec::new(), len)
    }

    /// In the memory of a buffer, whatever it holds, and more if that is too little.
    pub(crate) fn over(mut data: Vec<T>, len: usize) -> Self {
        data.clear();
        data.reserve_exact(len);
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

    /// Elements that have been written.
    ///
    /// # Safety
    /// They must have been, and no other live reference may overlap `range`.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn written_range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, the rest by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// Writes a vector.
    ///
    /// # Safety
    /// No other live reference may overlap its place, which begins at `first`.
    #[inline(always)]
    pub(crate) unsafe fn write<S: pulp::Simd>(&self, _: S, first: usize, vector: T::Vector<S>) {
        assert!(first + T::lanes::<S>() <= self.len);
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise; a vector consists
        // of `lanes` elements.
        unsafe {
            self.start
                .add(first)
                .cast::<T::Vector<S>>()
                .write_unaligned(vector)
        };
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
    for_each(len.div_ceil(chunk), |i| {
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
    for_each_chunk(to, CHUNK, |i, to| {
        let first = i * CHUNK;
        add(to, &from[first..first + to.len()]);
    });
}

/// Adds a row to running sums.
pub(crate) fn add<T: Element>(sums: &mut [T], row: &[T]) {
    vectorized(
        #[inline(always)]
        || sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v),
    );
}

/// The largest of a row that is not empty, by sixteen lanes: one after another, every comparison
/// would wait for the one before. A NaN in the row may be passed over.
#[inline(always)]
pub(crate) fn lane_max<T: Element>(row: &[T]) -> T {
    const LANES: usize = 16;
    let mut lanes = [row[0]; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (max, &x) in lanes.iter_mut().zip(chunk) {
            *max = max.larger(x);
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(row[0], |max, &x| max.larger(x))
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
