//! The commands of whole jobs, ours and PyTorch's, timed from outside by `whole.py`.

use super::row::Job;
use super::side::{Side, script};
use crate::checkout::succeed;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, process};

/// What a whole job is measured with.
pub struct Jobs<'a> {
    pub cass: &'a Path,
    pub python: &'a Path,
    /// Class folders.
    pub images: &'a Path,
}

/// The parts of the images, in percent, that both sides train on, choose by and test on.
const SPLIT: &str = "70/10/20";

impl Jobs<'_> {
    /// One job of one side. What it leaves goes before the next begins.
    pub fn command(&self, side: Side, job: Job, size: u32, threads: usize) -> Result<Command> {
        let out = scratch().join("out");
        clear(&out)?;
        let probe = scratch().join("probe");
        if side == Side::Ours && job == Job::Predict && !probe.join("metrics.json").exists() {
            let mut before = Command::new(self.cass);
            before.args(["probe", "--mode", "logistic", "--fraction", "0.05"]);
            before.args(["--weights", "random", "--arch", CNN, "--data", "folder"]);
            before.arg("--data-root").arg(self.images);
            before.args(["--size", &size.to_string(), "--out"]);
            before
                .arg(&probe)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
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
            command
                .args(["--size", &size.to_string(), "--out"])
                .arg(&out);
        }
        command.args(["--threads", &threads.to_string()]);
        Ok(command)
    }

    fn ours(&self, command: &mut Command, job: Job, size: u32, probe: &Path, out: &Path) {
        let size = size.to_string();
        let random = ["--weights", "random", "--size", &size];
        match job {
            Job::Pretrain => {
                // The script averages no weights.
                command.args([
                    "pretrain", "--method", "cass", "--epochs", "1", "--set", "swa=none",
                ]);
                command.args([
                    "--cnn",
                    CNN,
                    "--vit",
                    VIT,
                    "--data",
                    "images",
                    "--data-root",
                ]);
                command
                    .arg(self.images)
                    .args(random)
                    .args(["--out"])
                    .arg(out);
            }
            Job::Finetune | Job::Logistic => {
                command.args(["probe", "--mode", job.name(), "--arch", CNN]);
                if job == Job::Finetune {
                    command.args(["--epochs", "1"]);
                }
                command.args(["--data", "folder", "--split", SPLIT, "--data-root"]);
                command
                    .arg(self.images)
                    .args(random)
                    .args(["--out"])
                    .arg(out);
            }
            Job::Features => {
                command.args(["features", "--arch", CNN]).args(random);
                command
                    .arg("--out")
                    .arg(out.with_extension("npy"))
                    .arg(self.images);
            }
            Job::Predict => {
                command
                    .args(["predict", "--run"])
                    .arg(probe)
                    .arg(self.images);
            }
        }
    }
}

const CNN: &str = "resnet18";
const VIT: &str = "vit_tiny_patch16_224";

/// The folder that all of them write to.
pub fn scratch() -> PathBuf {
    env::temp_dir().join(format!("cass-bench-{}", process::id()))
}

/// Removes what jobs left in a folder.
pub fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("{} cannot be cleared", folder.display()))?;
    }
    Ok(())
}
