//! What Slurm is asked: who is in the queue, and to empty it. A job is known by its name alone, which follows from
//! the out folder, so nothing that is lost can lose it.

use crate::plan::short_hash;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// A job's name in the queue.
pub fn name(out: &Path) -> String {
    let out = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let last = out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let last: String = last.unwrap_or_default().chars().map(plain).collect();
    format!("cass-{last}-{}", short_hash(&out.display().to_string()))
}

/// Tasks of a job that Slurm knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Queue {
    pub running: usize,
    pub waiting: usize,
    /// Those of the waiting that somebody has to release, as Slurm does with what it could not start.
    pub held: usize,
}

impl Queue {
    pub fn read(job: &str) -> Result<Queue> {
        let text = says(
            "squeue",
            &["--noheader", "--array", "--name", job, "--format=%T %r"],
        )?;
        Ok(Queue::parse(&text))
    }

    fn parse(text: &str) -> Queue {
        let mut queue = Queue::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (state, reason) = line.split_once(' ').unwrap_or((line, ""));
            match state {
                "RUNNING" | "COMPLETING" | "STAGE_OUT" | "SUSPENDED" => queue.running += 1,
                _ => queue.waiting += 1,
            }
            // JobHeldUser, JobHeldAdmin, launch failed requeued held.
            queue.held += usize::from(reason.to_lowercase().contains("held"));
        }
        queue
    }

    pub fn is_empty(self) -> bool {
        self == Queue::default()
    }
}

/// Ends every task of a job. One that runs is asked first, and leaves a checkpoint.
pub fn cancel(job: &str) -> Result<()> {
    says("scancel", &["--name", job]).map(drop)
}

/// What a program of Slurm prints.
fn says(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started: is Slurm on this computer?"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "Slurm cannot be asked ({program}): {}",
        stderr.lines().next().unwrap_or("it says nothing")
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_and_follows_from_the_folder() {
        let one = name(Path::new("/shared/it's here/out 1"));
        assert!(one.starts_with("cass-out-1-"), "{one}");
        assert_eq!(one, name(Path::new("/shared/it's here/out 1")));
        assert_ne!(one, name(Path::new("/other/out 1")));
    }

    #[test]
    fn states_are_counted() {
        let text = "RUNNING None\nPENDING Dependency\n PENDING \nREQUEUED\nCOMPLETING None\n\n";
        let queue = Queue::parse(text);
        assert_eq!((queue.running, queue.waiting, queue.held), (2, 3, 0));
        let text = "PENDING launch failed requeued held\nPENDING JobHeldUser\nPENDING Priority\n";
        assert_eq!(Queue::parse(text).held, 2);
        assert!(Queue::parse("\n").is_empty());
    }
}
