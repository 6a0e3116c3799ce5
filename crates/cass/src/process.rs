//! Settings of the whole process: threads, memory, logging.

use crate::failure::{Failure, Result};
use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error; `RUST_LOG` filters them.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    lines
        .without_time()
        .with_target(false)
        .with_level(false)
        .init();
}

/// Limits every pool of threads to `threads`, 0 for one a core, and tunes memory for training. To
/// be called once, before the first computation.
pub fn configure(threads: usize) -> Result<()> {
    keep_memory();
    // The heavy operations run on rayon's pool. Candle's own spins while it waits: on a busy machine
    // its additions alone tripled the time of a backward pass.
    // SAFETY: no other thread runs yet; Candle reads it when it first computes.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Failure::Failed(format!("failed to start {threads} threads: {error}")))
}

/// Lets glibc keep freed memory. By default it returns every large tensor to the system, and the
/// next one pays for zeroed pages again, which costs more than most tensor operations.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_memory() {
    const MEBI: i32 = 1 << 20;
    // SAFETY: mallopt only sets parameters of the allocator. A refusal is harmless.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1024 * MEBI);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2047 * MEBI);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}
