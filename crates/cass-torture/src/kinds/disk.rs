//! Disks that are full, and clocks that jump.

use super::{Case, Verdict};
use crate::process::Running;
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
    let ended = Running::start(&case.ground.cass, case.path(), &command, Some(limit))?.end()?;
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
