//! What a job runs on and with: the `cass` binary, the device, and where results came from.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(Path::to_owned).unwrap_or(manifest)
}

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

/// The `cass` binary for a device: `CASS_BIN`, or built now in release.
pub fn cass(device: &Device) -> Result<PathBuf> {
    if let Some(path) = env::var_os("CASS_BIN") {
        return Ok(path.into());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--release",
            "-p",
            "cass",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(workspace())
        .stderr(Stdio::inherit());
    if device.is_gpu() {
        command.args(["--features", "cuda"]);
    }
    let output = command.output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!(
            "failed to build the `cass` binary: cargo says why above{}",
            if device.is_gpu() {
                "; one built where there is a CUDA toolkit can be named by CASS_BIN"
            } else {
                ""
            }
        );
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "cass")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("failed to find the `cass` binary in what cargo built")
}

/// Where a run came from. Written beside it, so a report can be made of run folders alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Provenance {
    /// Git commit of the workspace, `-dirty` where files differed from it.
    pub commit: String,
    pub cass: String,
    pub rustc: String,
    pub cpu: String,
    pub cores: usize,
    pub os: String,
    pub device: String,
    pub threads: usize,
}

impl Provenance {
    pub fn read(cass: &Path, device: &Device, threads: usize) -> Result<Provenance> {
        let version = Command::new(cass)
            .arg("--version")
            .output()
            .with_context(|| format!("failed to start {}", cass.display()))?;
        let unknown = || "unknown".to_owned();
        Ok(Provenance {
            commit: commit().unwrap_or_else(unknown),
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
    /// Cores a run kept busy: its threads, or the one that feeds a GPU.
    pub fn cores_used(&self) -> f64 {
        if self.device.starts_with("cuda") {
            1.0
        } else {
            self.threads as f64
        }
    }
}

fn commit() -> Option<String> {
    let commit = says("git", &["rev-parse", "HEAD"])?;
    let dirty = says("git", &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    Some(if dirty { commit + "-dirty" } else { commit })
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
        .current_dir(workspace())
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
