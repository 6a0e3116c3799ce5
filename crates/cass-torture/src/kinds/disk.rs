//! Disks that are full or only read, and clocks that jump.

use super::{Case, Verdict};
use crate::ground::{ALL, READ_ONLY, permit};
use crate::process::{Allowed, Running};
use crate::subject::walk;
use anyhow::{Result, ensure};
use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

/// No file may grow beyond a limit, as on a full disk; then there is room again.
pub(super) fn full(case: &mut Case) -> Result<Verdict> {
    if cfg!(not(unix)) {
        return Ok(Verdict::Skipped("files have no limits here".into()));
    }
    let subject = case.subject();
    // From a line of the log to a state with everything in it.
    let limit = (2f64.powf(17.0 * case.rng.uniform())) as u64;
    case.tell(format!("files of at most {limit} KiB"));
    let command = subject.command(&case.out());
    let ended = Running::start(
        &case.ground.cass,
        case.path(),
        &command,
        Allowed::Files(limit),
    )?
    .end()?;
    let fits = matches!(ended.code, Some(0..=2));
    ensure!(
        fits,
        "it ended with {:?} on a full disk: {}",
        ended.code,
        ended.said
    );
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &case.out())?;
    case.survived()
}

/// The folder of a run that has begun, or the one that it is to be made in, may only be read; then it may be written to.
pub(super) fn read_only(case: &mut Case) -> Result<Verdict> {
    if cfg!(not(unix)) {
        return Ok(Verdict::Skipped("folders have no permissions here".into()));
    }
    let subject = case.subject();
    if case.rng.bernoulli(0.5) {
        case.kill_midway(subject)?;
    }
    let out = case.out();
    let closed = if out.is_dir() { &out } else { case.path() };
    let whole = subject.expect_whole(&out).is_ok();
    permit(closed, READ_ONLY)?;
    let command = subject.command(&out);
    let started = Running::start(&case.ground.cass, case.path(), &command, Allowed::Little);
    let ended = started.map(Running::end);
    permit(closed, ALL)?;
    let Ok(ended) = ended else {
        return Ok(Verdict::Skipped("another user may not start `cass`".into()));
    };
    let ended = ended?;
    // What is finished is only read.
    let fits = matches!(ended.code, Some(1 | 2)) || whole && ended.code == Some(0);
    ensure!(
        fits,
        "it ended with {:?} in a folder that may only be read: {}",
        ended.code,
        ended.said
    );
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &out)?;
    case.survived()
}

/// Between two attempts the files' times jump, by years.
pub(super) fn clock(case: &mut Case) -> Result<Verdict> {
    let subject = case.subject();
    case.kill_midway(subject)?;
    let mut files = Vec::new();
    walk(&case.out(), "", &mut |_, path| {
        files.push(path.to_path_buf());
        Ok(())
    })?;
    for path in files {
        let years = case.rng.uniform_in(-40.0, 40.0);
        let jump = Duration::from_secs_f64(years.abs() * 365.0 * 86400.0);
        let now = SystemTime::now();
        let time = if years < 0.0 { now - jump } else { now + jump };
        let file = File::options().append(true).open(path)?;
        file.set_times(FileTimes::new().set_modified(time).set_accessed(time))?;
    }
    let ended = case.again(subject)?;
    subject.expect_done(&ended, &case.out())?;
    case.survived()
}
