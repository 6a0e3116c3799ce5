//! The commands of whole jobs, ours and PyTorch's, timed from outside by `whole.py`.

use super::row::Job;
use super::side::{Side, script};
use crate::checkout::succeed;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a whole job is measured with.
pub struct Jobs<'a> {
    pub cass: &'a Path,
    pub python: &'a Path,
    /// Class folders.
    pub images: &'a Path,
    /// The folder that they write to.
    pub scratch: &'a Path,
}

impl Jobs<'_> {
    /// One job of one side. What it leaves goes before the next begins.
    pub fn command(&self, side: Side, job: Job, size: u32, threads: usize) -> Result<Command> {
        // Features have to have a name that tells their kind; a run may have any.
        let out = self.scratch.join("out.npy");
        clear(&out)?;
        let probe = self.scratch.join("probe");
        if side == Side::Ours && job == Job::Predict && !probe.join("metrics.json").exists() {
            let words = format!(
                "probe --mode logistic --fraction 0.05 --weights random --arch {CNN} --data folder --size {size}"
            );
            let mut before = Command::new(self.cass);
            before.args(words.split_whitespace());
            before.arg("--data-root").arg(self.images);
            before.arg("--out").arg(&probe);
            before.stdout(Stdio::null()).stderr(Stdio::null());
            succeed(&mut before)?;
        }
        let mut command = Command::new(self.python);
        command.arg(script("whole.py"));
        if side == Side::Ours {
            command.arg(self.cass);
            self.ours(&mut command, job, size, &probe, &out);
        } else {
            command.arg(self.python).arg(script("torch_job.py"));
            command.arg(job.name()).arg(self.images);
            command.args(["--size", &size.to_string()]);
            command.arg("--out").arg(&out);
        }
        command.args(["--threads", &threads.to_string()]);
        Ok(command)
    }

    fn ours(&self, command: &mut Command, job: Job, size: u32, probe: &Path, out: &Path) {
        let name = job.name();
        let words = match job {
            // The script averages no weights.
            Job::Pretrain => {
                format!(
                    "{name} --method cass --epochs 1 --set swa=none --cnn {CNN} --vit {VIT} --data images"
                )
            }
            Job::Finetune => format!("probe --mode {name} --epochs 1 --arch {CNN} {FOLDER}"),
            Job::Logistic => format!("probe --mode {name} --arch {CNN} {FOLDER}"),
            Job::Features => format!("{name} --arch {CNN}"),
            Job::Predict => name.to_owned(),
        };
        command.args(words.split_whitespace());
        match job {
            Job::Predict => command.arg("--run").arg(probe).arg(self.images),
            _ => {
                command.args(["--weights", "random", "--size", &size.to_string()]);
                command.arg("--data-root").arg(self.images);
                command.arg("--out").arg(out)
            }
        };
    }
}

/// How both sides read the images of the jobs with labels, in percent to train on, to choose by and to test on.
const FOLDER: &str = "--data folder --split 70/10/20";
const CNN: &str = "resnet18";
const VIT: &str = "vit_tiny_patch16_224";

/// Removes what a job left: a folder, or a file.
fn clear(left: &Path) -> Result<()> {
    let removed = match left.is_dir() {
        true => fs::remove_dir_all(left),
        false if left.exists() => fs::remove_file(left),
        false => Ok(()),
    };
    removed.with_context(|| format!("{} cannot be removed", left.display()))
}
