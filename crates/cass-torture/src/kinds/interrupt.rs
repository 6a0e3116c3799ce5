//! Processes that end too early, or are one too many.

use super::{Case, Verdict};
use anyhow::{Result, ensure};
use std::thread;
use std::time::Duration;

/// `kill -9`, up to three times.
pub(super) fn kill(case: &mut Case) -> Result<Verdict> {
    let subject = case.subject();
    for _ in 0..1 + case.rng.below(3) {
        case.kill_midway(subject)?;
    }
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &case.out())?;
    case.survived()
}

/// Signals that ask: once, twice, or after a pause in which the process stands still.
pub(super) fn signal(case: &mut Case) -> Result<Verdict> {
    const HANGUP: i32 = 1;
    const INTERRUPT: i32 = 2;
    const TERMINATE: i32 = 15;
    if cfg!(not(unix)) {
        return Ok(Verdict::Skipped("there are no signals here".into()));
    }
    let subject = case.subject();
    let asks = [HANGUP, INTERRUPT, TERMINATE][case.rng.below(3)];
    let (wait, twice, stands) = (
        case.moment(subject),
        case.rng.bernoulli(0.3),
        case.rng.bernoulli(0.3),
    );
    let mut running = case.start(&subject.command(&case.out()))?;
    // Before it has said what signals are to do, one ends any process.
    thread::sleep(wait.max(Duration::from_millis(400)));
    #[cfg(target_os = "linux")]
    if stands {
        running.signal(libc::SIGSTOP);
        thread::sleep(Duration::from_millis(300));
    }
    let heard = running.signal(asks);
    if twice {
        running.signal(asks);
    }
    #[cfg(target_os = "linux")]
    if stands {
        running.signal(libc::SIGCONT);
    }
    case.tell(format!(
        "signal {asks}, twice: {twice}, stopped: {stands}, after {wait:?}"
    ));
    let ended = running.end()?;
    let fits = matches!(ended.code, None | Some(130 | 0)) || !heard;
    ensure!(
        fits,
        "it ended with {:?} on a signal: {}",
        ended.code,
        ended.said
    );
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &case.out())?;
    case.survived()
}

/// The same command twice at once.
pub(super) fn two(case: &mut Case) -> Result<Verdict> {
    let subject = case.subject();
    let command = subject.command(&case.out());
    let first = case.start(&command)?;
    let wait = case.moment(subject).mul_f64(case.rng.uniform());
    thread::sleep(wait);
    let second = case.start(&command)?;
    case.tell(format!("the second after {wait:?}"));
    let codes = [first.end()?.code, second.end()?.code];
    let known = codes.iter().all(|code| matches!(code, Some(0 | 75)));
    ensure!(
        known && codes.contains(&Some(0)),
        "they ended with {codes:?}"
    );
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &case.out())?;
    case.survived()
}
