//! What a job runs on, and where results came from.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

/// Cores this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Nine tenths of the memory that is free now, in MiB, where the system says so.
pub fn free_memory_mib() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(0.9 * kib / 1024.0)
}

/// The memory of a GPU in MiB, where `nvidia-smi` says so.
pub fn gpu_memory_mib(device: &Device) -> Option<f64> {
    let number = device.0.strip_prefix("cuda")?.trim_start_matches(':');
    let number = if number.is_empty() { "0" } else { number };
    let query = ["--query-gpu=memory.total", "--format=csv,noheader,nounits"];
    let text = says("nvidia-smi", &[&query[..], &["-i", number]].concat())?;
    text.lines().next()?.trim().parse().ok()
}

/// `--device` as the user asks for it: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Debug, PartialEq)]
pub struct Device(pub String);

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("cuda:").map(|n| n.parse::<u32>().is_ok());
        if ["auto", "cpu", "cuda"].contains(&text) || number == Some(true) {
            Ok(Device(text.to_owned()))
        } else {
            Err("expected auto, cpu, cuda or cuda:N".to_owned())
        }
    }
}

impl Device {
    /// `auto` becomes `cuda` where a GPU answers and the CUDA kernels can be built, else `cpu`.
    pub fn resolve(self) -> Device {
        if self.0 != "auto" {
            return self;
        }
        let gpu = Path::new("/dev/nvidia0").exists() || answers("nvidia-smi", "-L");
        Device(
            if gpu && answers("nvcc", "--version") {
                "cuda"
            } else {
                "cpu"
            }
            .to_owned(),
        )
    }

    /// A GPU by its number.
    pub fn gpu(number: u32) -> Device {
        Device(format!("cuda:{number}"))
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        self.0.starts_with("cuda")
    }
}

fn answers(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a run came from. Written next to it, so a report can be made of run folders alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Provenance {
    /// Git commit of the workspace, `-dirty` where files differed from it.
    pub commit: String,
    /// What `cass --version` prints.
    pub cass: String,
    /// What `rustc --version` prints, where there is one.
    pub rustc: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores that the job could use.
    pub cores: usize,
    /// Operating system and architecture.
    pub os: String,
    /// What runs computed on: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Threads of one run.
    pub threads: usize,
}

impl Provenance {
    /// Asks this computer and the `cass` program.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn read(
        cass: &Path,
        device: &Device,
        threads: usize,
        commit: Option<&str>,
    ) -> Result<Provenance> {
        let version = Command::new(cass)
            .arg("--version")
            .output()
            .with_context(|| format!("{} cannot be started", cass.display()))?;
        let unknown = || "unknown".to_owned();
        Ok(Provenance {
            commit: commit.map_or_else(unknown, str::to_owned),
            cass: String::from_utf8_lossy(&version.stdout).trim().to_owned(),
            rustc: says("rustc", &["--version"]).unwrap_or_else(unknown),
            cpu: cpu().unwrap_or_else(unknown),
            cores: cores(),
            os: format!("{} {}", env::consts::OS, env::consts::ARCH),
            device: device.0.clone(),
            threads,
        })
    }
}

impl Provenance {
    /// The kind of device: `cpu` or `cuda`.
    pub fn kind(&self) -> &str {
        self.device.split(':').next().unwrap_or_default()
    }

    /// Cores a run kept busy: its threads, or the one that feeds a GPU.
    pub fn cores_used(&self) -> f64 {
        if self.device.starts_with("cuda") {
            1.0
        } else {
            self.threads as f64
        }
    }
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// What a program prints, if it succeeds.
fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        for good in ["auto", "cpu", "cuda", "cuda:1"] {
            assert!(good.parse::<Device>().is_ok(), "{good}");
        }
        for bad in ["", "gpu", "cuda:", "cuda:x"] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
        assert_eq!(Device("cpu".into()).resolve(), Device("cpu".into()));
    }
}
