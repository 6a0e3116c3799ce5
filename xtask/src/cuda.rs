//! An `nvcc` from PyPI, so that the CUDA features can be compiled where there is neither CUDA nor a GPU.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::check::{cargo_command, succeed};
use crate::machine::workspace;

/// Together they hold what building Candle's kernels needs: CUDA 13.0, in which cuRAND counts from 10.
const WHEELS: [&str; 8] = [
    "nvidia-cuda-nvcc==13.0.*",
    "nvidia-nvvm==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-curand==10.4.0.*",
    "nvidia-cublas==13.0.*",
    "nvidia-cuda-nvrtc==13.0.*",
];

/// `cargo check` with the CUDA features; about six minutes on two cores the first time.
pub fn check() -> Result<()> {
    let home = toolkit()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [home.join("bin")]
        .into_iter()
        .chain(env::split_paths(&path));
    let mut command = cargo_command();
    command
        .args(["check", "--quiet", "-p", "cass", "--features", "cuda"])
        .env(
            "PATH",
            env::join_paths(paths).context("failed to extend PATH")?,
        )
        .env("CUDA_HOME", &home)
        .env("CUDA_COMPUTE_CAP", "80");
    succeed(&mut command)
}

/// The toolkit's folder under `target/cuda`, installed once.
fn toolkit() -> Result<PathBuf> {
    let folder = workspace().join("target/cuda");
    let home = folder.join("nvidia/cu13");
    if !home.join("bin/nvcc").is_file() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder);
        pip.args(WHEELS);
        succeed(&mut pip)?;
    }
    // Build scripts look in lib64; the wheels have lib.
    let lib64 = home.join("lib64");
    if !lib64.exists() {
        #[cfg(unix)]
        std::os::unix::fs::symlink("lib", &lib64)
            .with_context(|| format!("failed to link {}", lib64.display()))?;
        #[cfg(not(unix))]
        fs::create_dir_all(&lib64)
            .with_context(|| format!("failed to create {}", lib64.display()))?;
    }
    fs::canonicalize(&home).with_context(|| format!("failed to find {}", home.display()))
}
