//! Loops over slices, on all cores and with the widest vectors the machine has.
//!
//! Chunk borders depend on the length alone, never on the number of threads, so that a result is
//! the same to the bit whatever runs it.

use crate::element::Element;
use crate::pool;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Result, Tensor, bail};
use std::mem::{self, MaybeUninit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Elements that a task takes at once: large against the cost of handing one out, small against the L2 cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Runs `f`, and what is inlined into it, compiled for the best instruction set found at run time.
#[inline(always)]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Calls `f` with every number below `count`, on all threads; `init` makes what a thread keeps.
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

/// Calls `f` with every number below `count`, on all threads in no given order.
pub fn for_each(count: usize, f: impl Fn(usize) + Sync) {
    for_each_with(count, || (), |(), i| f(i));
}

/// An item on its way through a task.
enum Task<I, R> {
    Waiting(I),
    Claimed,
    Done(R),
}

/// Gives every item to a task, on all threads, and returns what `f` makes of them, in order; `init`
/// makes what a thread keeps for itself, and `f` is told the item's number.
pub(crate) fn share_with<S, I: Send, R: Send>(
    items: Vec<I>,
    init: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize, I) -> R + Sync,
) -> Vec<R> {
    let tasks = items
        .into_iter()
        .map(|item| Mutex::new(Task::Waiting(item)));
    let tasks: Vec<_> = tasks.collect();
    let exchange = |i: usize, new| {
        let mut task = tasks[i].lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut *task, new)
    };
    for_each_with(tasks.len(), init, |own, i| {
        if let Task::Waiting(item) = exchange(i, Task::Claimed) {
            exchange(i, Task::Done(f(own, i, item)));
        }
    });
    let done = |task: Mutex<Task<I, R>>| match task.into_inner() {
        Ok(Task::Done(result)) => Some(result),
        _ => None,
    };
    tasks.into_iter().filter_map(done).collect()
}

/// What `f` makes of every number below `count`, in order.
pub(crate) fn collect_with<S, R: Send>(
    count: usize,
    init: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize) -> R + Sync,
) -> Vec<R> {
    share_with(vec![(); count], init, |own, i, ()| f(own, i))
}

/// [`collect_with`] for threads that keep nothing.
pub(crate) fn collect<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    collect_with(count, || (), |(), i| f(i))
}

/// `f` of every piece of `chunk` elements, the last may be shorter, on all threads; what it returns,
/// in order.
pub(crate) fn for_each_chunk<T: Send, R: Send>(
    data: &mut [T],
    chunk: usize,
    f: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<R> {
    let pieces = data.chunks_mut(chunk).collect();
    share_with(pieces, || (), |(), i, piece| f(i, piece))
}

/// [`for_each_chunk`]; `init` makes what a thread keeps for itself.
pub(crate) fn for_each_chunk_with<T: Send, S>(
    data: &mut [T],
    chunk: usize,
    init: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize, &mut [T]) + Sync,
) {
    share_with(data.chunks_mut(chunk).collect(), init, f);
}

/// Writes every element and returns what was written.
#[inline(always)]
pub(crate) fn write_each<T: Element>(
    to: &mut [MaybeUninit<T>],
    mut f: impl FnMut(usize) -> T,
) -> &mut [T] {
    for (i, to) in to.iter_mut().enumerate() {
        to.write(f(i));
    }
    // SAFETY: every element was written, and a `MaybeUninit` has the layout of what it may hold.
    unsafe { &mut *(to as *mut [MaybeUninit<T>] as *mut [T]) }
}

/// Writes `f` of the elements at the same place of slices that are as long.
#[inline(always)]
pub(crate) fn write_from<'a, T: Element, const N: usize>(
    to: &'a mut [MaybeUninit<T>],
    from: [&[T]; N],
    f: impl Fn([T; N]) -> T,
) -> &'a mut [T] {
    let len = to.len();
    assert!(from.iter().all(|from| from.len() == len));
    let from = from.map(|from| &from[..len]);
    write_each(to, |i| f(from.map(|from| from[i])))
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
