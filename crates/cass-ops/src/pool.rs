//! Threads that stand ready for the next loop.
//!
//! A training step is hundreds of loops of a millisecond or less, one after the other. A pool whose
//! threads sleep in between pays for waking them more than they save, most of all in a virtual
//! machine. These wait for the next loop awake for a moment, and sleep when none comes. The caller
//! works along and never waits for a thread that is still waking up.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread waits awake: longer than what lies between two loops of a step.
const AWAKE: Duration = Duration::from_micros(1000);
/// Looks for work between two looks at the clock.
const LOOKS: u32 = 256;
/// The gate's value while no job may be joined.
const CLOSED: usize = usize::MAX;

static THREADS: AtomicUsize = AtomicUsize::new(0);
static TEAM: OnceLock<Team> = OnceLock::new();

thread_local! {
    /// Whether this thread is inside a job: a loop inside it runs on this thread alone.
    static WORKING: Cell<bool> = const { Cell::new(false) };
}

/// Limits the operations of this crate to `threads` threads, 0 for one on each core.
///
/// It has to come before the first operation: threads, once started, remain.
///
/// Returns whether it came in time.
pub fn set_threads(threads: usize) -> bool {
    THREADS.store(threads, Ordering::Relaxed);
    TEAM.get().is_none()
}

/// Threads that operations run on.
pub fn threads() -> usize {
    team().workers.len() + 1
}

/// Runs `job` on this thread and on every other that is ready before it ends; it has to share out
/// the work itself. A job inside a job, or while another thread's job runs, stays on its thread.
pub(crate) fn run(job: &(dyn Fn() + Sync)) {
    if WORKING.get() || team().workers.is_empty() {
        return job();
    }
    let team = team();
    let Ok(_only) = team.leader.try_lock() else {
        return job();
    };
    let shared = &*team.shared;
    // SAFETY: the gate is closed, so no worker reads the place. The lifetime is let go, but the gate
    // is closed again below, after the last worker has left and before `job` can end.
    unsafe {
        *shared.job.get() = Some(std::mem::transmute::<
            &(dyn Fn() + Sync),
            &'static (dyn Fn() + Sync),
        >(job));
    }
    shared.gate.store(0, Ordering::Release);
    shared.number.fetch_add(1, Ordering::SeqCst);
    for worker in &team.workers {
        if worker.asleep.load(Ordering::SeqCst) {
            worker.thread.unpark();
        }
    }
    let own = work(job);
    let mut looks = 0u32;
    while shared
        .gate
        .compare_exchange_weak(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed)
        .is_err()
    {
        pause(&mut looks);
    }
    let theirs = shared
        .panic
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(panic) = own.err().or(theirs) {
        resume_unwind(panic);
    }
}

/// Lets others run where a wait takes long.
fn pause(looks: &mut u32) {
    // A wait may take longer than the counter lasts. It must not end in an overflow's panic: workers
    // that are still inside would run a job that has gone.
    *looks = looks.wrapping_add(1);
    if looks.is_multiple_of(16 * LOOKS) {
        thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

fn work(job: &(dyn Fn() + Sync)) -> Result<(), Box<dyn Any + Send>> {
    WORKING.set(true);
    let result = catch_unwind(AssertUnwindSafe(job));
    WORKING.set(false);
    result
}

struct Team {
    /// Held by the thread whose job it is.
    leader: Mutex<()>,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

struct Worker {
    thread: Thread,
    asleep: Arc<AtomicBool>,
}

struct Shared {
    job: UnsafeCell<Option<&'static (dyn Fn() + Sync)>>,
    /// The job's number, counted up.
    number: AtomicU64,
    /// Workers inside the job, or [`CLOSED`].
    gate: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only while the gate is closed, and read only by workers that have passed it.
unsafe impl Sync for Shared {}

fn team() -> &'static Team {
    TEAM.get_or_init(|| {
        let threads = match THREADS.load(Ordering::Relaxed) {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            number: AtomicU64::new(0),
            gate: AtomicUsize::new(CLOSED),
            panic: Mutex::new(None),
        });
        let worker = |number: usize| {
            let asleep = Arc::new(AtomicBool::new(false));
            let (shared, flag) = (shared.clone(), asleep.clone());
            let name = format!("cass-ops {number}");
            // If a thread cannot be started, the others do its work.
            let handle = thread::Builder::new()
                .name(name)
                .spawn(move || serve(&shared, &flag))
                .ok()?;
            let thread = handle.thread().clone();
            Some(Worker { thread, asleep })
        };
        Team {
            leader: Mutex::new(()),
            workers: (1..threads).filter_map(worker).collect(),
            shared,
        }
    })
}

/// Serves jobs until the process ends.
fn serve(shared: &Shared, asleep: &AtomicBool) {
    let mut done = 0;
    loop {
        done = next_number(shared, asleep, done);
        let join = |inside: usize| (inside != CLOSED).then(|| inside + 1);
        let joined = shared
            .gate
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, join);
        if joined.is_err() {
            continue;
        }
        // SAFETY: the gate was passed: the job is there, and stays until the gate is left.
        let job = unsafe { *shared.job.get() };
        if let Some(Err(panic)) = job.map(work) {
            *shared.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        shared.gate.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits for a job with another number than `done`, at first awake.
fn next_number(shared: &Shared, asleep: &AtomicBool, done: u64) -> u64 {
    let started = Instant::now();
    let mut looks = 0;
    loop {
        let number = shared.number.load(Ordering::SeqCst);
        if number != done {
            return number;
        }
        if looks % LOOKS == LOOKS - 1 && started.elapsed() > AWAKE {
            asleep.store(true, Ordering::SeqCst);
            // Once more: a caller that has not seen the flag has not woken this thread.
            while shared.number.load(Ordering::SeqCst) == done {
                thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
        }
        pause(&mut looks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_by(count: usize) -> usize {
        let (next, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(&|| {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    return;
                }
                sum.fetch_add(i, Ordering::Relaxed);
            }
        });
        sum.into_inner()
    }

    #[test]
    fn every_part_is_done_once() {
        for round in 0..2000 {
            let count = round % 37;
            assert_eq!(sum_by(count), count * count.saturating_sub(1) / 2);
            if round % 500 == 0 {
                thread::sleep(2 * AWAKE); // the workers fall asleep
            }
        }
    }

    #[test]
    fn jobs_of_several_threads_and_inside_each_other_end() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        run(&|| assert_eq!(sum_by(10), 45));
                    }
                });
            }
        });
    }

    /// A panic in the wait would end the caller's loop while workers still run its job.
    #[test]
    fn a_wait_outlasts_its_counter() {
        let mut looks = u32::MAX;
        pause(&mut looks);
        assert_eq!(looks, 0);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_next_job_runs() {
        for _ in 0..20 {
            assert!(catch_unwind(|| run(&|| panic!("a test's"))).is_err());
            assert_eq!(sum_by(10), 45);
        }
    }
}
