//! Settings of the whole process: threads, memory, logging.

use crate::failure::{Failure, Result};
use cass_run::{RunDir, Start};
use cass_train::Stop;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error; `RUST_LOG` filters them.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Lines);
    lines
        .without_time()
        .with_target(false)
        .with_level(false)
        .init();
}

/// Lines on standard error that show text of others, and let it do nothing.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let shown = cass_run::printable_lines(&text);
        io::stderr().write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Limits every pool of threads to `threads`, 0 for one a core, and tunes memory for training. To
/// be called once, before the first computation.
pub fn configure(threads: usize) -> Result<()> {
    // The heavy operations run on threads of cass-ops, images on rayon's. Candle's own pool, for the
    // little it computes here, would spin next to them.
    start(threads, 1)
}

/// Sets the threads where Candle's own operations are measured: they get as many.
pub fn configure_for_candle(threads: usize) -> Result<()> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    start(threads, if threads == 0 { cores() } else { threads })
}

fn start(threads: usize, candles: usize) -> Result<()> {
    keep_memory();
    // SAFETY: no other thread runs yet; Candle reads it when it first computes.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", candles.to_string()) };
    cass_ops::threads::set_threads(threads);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Failure::Failed(format!("{threads} threads cannot be started: {error}")))
}

/// What this program was built from, for a run's provenance.
pub fn built_from() -> BTreeMap<String, String> {
    let known = [
        ("commit", env!("CASS_COMMIT")),
        ("candle", env!("CASS_CANDLE")),
        ("rustc", env!("CASS_RUSTC")),
    ];
    known.map(|(key, value)| (key.into(), value.into())).into()
}

/// What a signal finds: whether the run has taken a step, and so something to leave a checkpoint of.
#[derive(Clone, Default)]
pub struct Begun {
    steps: Arc<AtomicBool>,
    start: Arc<Mutex<Option<Start>>>,
}

impl Begun {
    /// From now on there is.
    pub fn set(&self) {
        self.steps.store(true, Ordering::Relaxed);
    }

    /// The run has its folder, which is to be left as it was where nothing comes of the start.
    pub fn claimed(&self, run: &RunDir) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = run.start();
    }

    fn undo(&self) {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        start.iter().for_each(Start::undo);
    }
}

/// Makes a write beyond a limit of the system (`ulimit -f`) fail as one on a full disk does, and not end
/// the process without a word.
pub fn outlive_file_limits() {
    #[cfg(unix)]
    // SAFETY: it only sets what one signal does.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Makes the end of standard input a SIGTERM where who started this process asks for that: it holds the other end,
/// and lets go of it however it ends.
pub fn end_with_owner() {
    if std::env::var_os(cass_run::ENDS_WITH_STDIN).is_none() {
        return;
    }
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        #[cfg(unix)]
        // SAFETY: it sends this process a signal.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGTERM);
        }
        #[cfg(not(unix))]
        std::process::exit(130);
    });
}

/// Makes Ctrl-C, SIGTERM and SIGHUP (but under `nohup`) ask for a stop, and a second one end the process.
/// Until the run has begun to take steps the first one ends it, whatever it is at: files are whole or
/// not there.
pub fn on_signal(stop: Stop, begun: Begun) -> Result<()> {
    let handler = move || {
        if stop.is_requested() {
            std::process::exit(130);
        }
        if !begun.steps.load(Ordering::Relaxed) {
            begun.undo();
            eprintln!(
                "error: stopped by a signal before a step was taken; the same command continues"
            );
            std::process::exit(130);
        }
        stop.request();
        tracing::info!("stopping, with a checkpoint; once more to stop at once");
    };
    let ignored = ignore_hangup();
    let set = ctrlc::set_handler(handler);
    if ignored {
        // As `nohup` has it: the run continues when its terminal is closed.
        ignore_hangup();
    }
    set.map_err(|error| Failure::Failed(format!("the program cannot listen for signals: {error}")))
}

/// Makes the process ignore SIGHUP; whether it did before.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn ignore_hangup() -> bool {
    // SAFETY: it only sets what one signal does.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) == libc::SIG_IGN }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn ignore_hangup() -> bool {
    false
}

/// Lets glibc keep freed memory. By default it maps every large tensor anew, and the first touch of
/// each of its pages costs more than most tensor operations.
///
/// Mappings are turned off rather than left to a higher threshold: glibc refuses one above 32 MiB,
/// and, asked for it, stays at 128 KiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_memory() {
    const MEBI: i32 = 1 << 20;
    // SAFETY: mallopt only sets parameters of the allocator. A refusal is harmless.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2047 * MEBI);
        libc::mallopt(libc::M_TOP_PAD, 64 * MEBI);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}
