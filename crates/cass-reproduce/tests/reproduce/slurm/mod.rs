//! `--executor slurm` where there is no Slurm: its programs are stand-ins (`bin`), and `run.sh` is run by hand.

mod executor;
mod scripts;
mod tasks;

use super::Job;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// This folder.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reproduce/slurm");

/// A job, and the cluster that it is for.
struct Cluster {
    job: Job,
}

impl Cluster {
    fn new() -> Cluster {
        let cluster = Cluster { job: Job::new() };
        for folder in ["stub", "scratch"] {
            fs::create_dir(cluster.path(folder)).unwrap();
        }
        super::data_set(&cluster.path("mri"));
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.job.dir.path().join(name)
    }

    /// The stand-ins before all else, in a process group of its own.
    fn at_hand(&self, command: &mut Command) {
        let mut path = OsString::from(format!("{HERE}/bin:"));
        path.push(env::var_os("PATH").unwrap());
        command
            .env("PATH", path)
            .env("SLURM_STUB", self.path("stub"))
            .env("SCRATCH", self.path("scratch"))
            .env("FAKE_LOG", self.path("started"))
            .env("CASS_TWIN_SECONDS", "0")
            .process_group(0);
    }

    /// One seed of some runs of table 3 on phantoms, by Slurm.
    fn reproduce(&self, only: &str) -> Command {
        let mut command = self.job.command(&format!(
            "reproduce --table 3 --seeds 1 --only {only} --downstream linear,finetune --device cpu --executor slurm --out {{out}}"
        ));
        self.at_hand(&mut command);
        command
    }

    /// The same, submitted to a cluster that starts nothing; returns the folder of the scripts.
    fn submit(&self, only: &str, more: &[&str]) -> PathBuf {
        let mut command = self.reproduce(only);
        let output = command
            .arg("--detach")
            .args(more)
            .env("STUB_IDLE", "1")
            .output();
        super::succeeded(&output.unwrap());
        self.job.out().join("slurm/1")
    }

    /// Starts a task of an array as Slurm does.
    fn task(&self, scripts: &Path, array: &str, index: usize) -> Command {
        let mut command = Command::new("sh");
        self.at_hand(&mut command);
        command
            .arg(format!("{array}.sbatch"))
            .current_dir(scripts)
            .env("SLURM_JOB_ID", format!("7{index}"))
            .env("SLURM_ARRAY_TASK_ID", index.to_string())
            .stdin(Stdio::null());
        command
    }

    /// Lines of a file, none if it is not there.
    fn lines(&self, path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lines that a stand-in has left.
    fn stub(&self, name: &str) -> Vec<String> {
        self.lines(&self.path("stub").join(name))
    }

    /// A run's failures.
    fn failures(&self, run: &str) -> Vec<String> {
        self.lines(&self.job.folder(run).join("failures.txt"))
    }
}

/// Sends a signal to a process, or to a whole group for a negative number.
fn signal(name: &str, pid: i64) {
    let mut command = Command::new("kill");
    let sent = command.args(["-s", name, "--", &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits until a process that goes on has come so far.
fn until(child: &mut Child, mut there: impl FnMut() -> bool) {
    let since = Instant::now();
    while !there() {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        assert!(since.elapsed() < Duration::from_secs(60), "it hangs");
        thread::sleep(Duration::from_millis(5));
    }
}
