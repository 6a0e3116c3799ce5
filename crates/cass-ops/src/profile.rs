//! Where the time of a computation goes, by operation; measured only on request.

pub use crate::matrix::multiply_adds;

use crate::matrix::{Mat, matmul_blocked};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Direction of a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Values.
    Forward,
    /// Gradients.
    Backward,
}

/// Time that one operation took.
#[derive(Debug, Clone, PartialEq)]
pub struct OpTime {
    /// The operation's name.
    pub op: &'static str,
    /// Values or gradients.
    pub pass: Pass,
    /// Number of calls.
    pub calls: u64,
    /// Time that the calling thread waited for it, altogether.
    pub time: Duration,
}

static MEASURES: AtomicBool = AtomicBool::new(false);
/// Calls and time of each operation.
type Times = BTreeMap<(&'static str, Pass), (u64, Duration)>;

static TIMES: Mutex<Times> = Mutex::new(BTreeMap::new());

/// Measures every operation of this process from now on, until [`take_profile`].
pub fn start_profile() {
    take_profile();
    MEASURES.store(true, Ordering::Relaxed);
}

/// Ends the measurement and returns what each operation took, the longest first.
pub fn take_profile() -> Vec<OpTime> {
    MEASURES.store(false, Ordering::Relaxed);
    let times = std::mem::take(&mut *TIMES.lock().unwrap_or_else(PoisonError::into_inner));
    let mut times: Vec<OpTime> = times
        .into_iter()
        .map(|((op, pass), (calls, time))| OpTime {
            op,
            pass,
            calls,
            time,
        })
        .collect();
    times.sort_by_key(|t| std::cmp::Reverse(t.time));
    times
}

/// Runs `f`, and counts its time while operations are measured.
pub(crate) fn timed<R>(op: &'static str, pass: Pass, f: impl FnOnce() -> R) -> R {
    if !MEASURES.load(Ordering::Relaxed) {
        return f();
    }
    let started = Instant::now();
    let result = f();
    let took = started.elapsed();
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let (calls, time) = times.entry((op, pass)).or_default();
    *calls += 1;
    *time += took;
    result
}

/// Speed of an f32 product of two 1024 x 1024 matrices on all threads, in GFLOP/s, the best of ten:
/// what a computation of nothing but products would reach on this machine.
pub fn matmul_roofline() -> f64 {
    const N: usize = 1024;
    let (a, b) = (vec![1f32; N * N], vec![1f32; N * N]);
    let best = (0..10)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(matmul_blocked(Mat::new(&a, N, N), Mat::new(&b, N, N)));
            started.elapsed()
        })
        .min()
        .unwrap_or_default();
    2.0 * (N * N * N) as f64 / best.as_secs_f64() / 1e9
}
