//! A `cass` that is started, mistreated and waited for.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
#[cfg(unix)]
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A process that takes longer has hung: the longest of an undisturbed run takes seconds.
const LONGEST: Duration = Duration::from_secs(300);
/// So long a process may take until it hears signals.
const BEGINNING: Duration = Duration::from_secs(3);
/// The exit codes that the documentation names.
const CODES: [i32; 5] = [0, 1, 2, 75, 130];
/// What nobody should ever read.
const NEVER: [&str; 5] = [
    "panicked at",
    "RUST_BACKTRACE",
    "stack overflow",
    "memory allocation of",
    "unreachable code",
];

/// A process of ours; ended with its owner.
pub(crate) struct Running {
    child: Child,
    said: PathBuf,
    args: String,
    since: Instant,
    /// Whether its end by a signal is ours.
    killed: bool,
}

/// What a process is allowed.
#[derive(Clone, Copy)]
pub(crate) enum Allowed {
    All,
    /// Files of at most so many KiB.
    Files(u64),
    /// What a user is who owns nothing: to write where a folder's permissions let everybody. For root, to whom
    /// permissions say nothing, it is another user.
    Little,
}

/// How a process ended.
pub(crate) struct Ended {
    /// None of one that we killed.
    pub(crate) code: Option<i32>,
    /// On standard error.
    pub(crate) said: String,
    /// On standard output.
    pub(crate) out: String,
}

impl Running {
    /// Starts a command line in a folder.
    pub(crate) fn start(
        cass: &Path,
        folder: &Path,
        args: &[String],
        allowed: Allowed,
    ) -> Result<Self> {
        let mut command = Command::new(cass);
        #[cfg(unix)]
        if let Allowed::Files(limit) = allowed {
            command = Command::new("sh");
            command.args([
                "-c",
                &format!("ulimit -f {}; exec \"$0\" \"$@\"", 2 * limit),
            ]);
            command.arg(cass);
        }
        #[cfg(unix)]
        if let Allowed::Little = allowed
            // SAFETY: it reads a number and cannot fail.
            && unsafe { libc::geteuid() } == 0
        {
            const NOBODY: u32 = 65_534;
            command.uid(NOBODY).gid(NOBODY);
        }
        #[cfg(not(unix))]
        let _ = allowed;
        let place = tempfile::Builder::new()
            .prefix("said-")
            .tempfile_in(folder.join(".."))?;
        let (_, said) = place.keep()?;
        let out = said.with_extension("out");
        command
            .args(args)
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&said)?);
        Ok(Self {
            child: command.spawn().context("`cass` cannot be started")?,
            said,
            args: args.join(" "),
            since: Instant::now(),
            killed: false,
        })
    }

    pub(crate) fn kill(&mut self) {
        self.killed = true;
        let _ = self.child.kill();
    }

    /// Sends a signal by its number; whether the process was there to hear it.
    #[cfg(unix)]
    pub(crate) fn signal(&mut self, signal: i32) -> bool {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return false;
        }
        // One that has hardly begun may not have said yet what signals are to do.
        self.killed |= self.since.elapsed() < BEGINNING;
        // SAFETY: the process is ours and not waited for, so the number is its own.
        unsafe { libc::kill(self.child.id() as i32, signal) == 0 }
    }

    #[cfg(not(unix))]
    pub(crate) fn signal(&mut self, _: i32) -> bool {
        false
    }

    pub(crate) fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, and holds it to what holds of every end.
    ///
    /// # Errors
    /// What was lost.
    pub(crate) fn end(mut self) -> Result<Ended> {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if since.elapsed() > LONGEST {
                bail!("`{}` hangs: {} s are over", self.args, LONGEST.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        };
        self.judge(status)
    }

    fn judge(&self, status: ExitStatus) -> Result<Ended> {
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let (said, out) = (read(&self.said), read(&self.said.with_extension("out")));
        for text in NEVER {
            ensure!(
                !said.contains(text),
                "`{}` says {text:?}: {}",
                self.args,
                last(&said)
            );
        }
        let code = status.code();
        match code {
            None => ensure!(
                self.killed,
                "`{}` ended by itself with {status}: {}",
                self.args,
                last(&said)
            ),
            Some(code) => {
                ensure!(
                    CODES.contains(&code),
                    "`{}` ended with {code}: {}",
                    self.args,
                    last(&said)
                );
                let errors = said
                    .lines()
                    .filter(|line| line.starts_with("error: "))
                    .count();
                let told = code != 2 || errors == 1;
                ensure!(
                    told,
                    "`{}` ended with {code} and {errors} lines of errors: {}",
                    self.args,
                    last(&said)
                );
            }
        }
        Ok(Ended { code, said, out })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.said);
        let _ = fs::remove_file(self.said.with_extension("out"));
    }
}

/// The end of what was said, on one line.
fn last(said: &str) -> String {
    let lines: Vec<_> = said.lines().rev().take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
