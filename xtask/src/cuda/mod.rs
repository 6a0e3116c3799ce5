//! An `nvcc` from PyPI, so that the CUDA features can be compiled where there is neither CUDA nor a GPU.

pub mod kernels;

use crate::checkout::{cargo as cargo_command, succeed, workspace};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Together they hold what building Candle's kernels needs: CUDA 13.0, in which cuRAND counts from 10.
const WHEELS: [&str; 8] = [
    "nvidia-cuda-nvcc==13.0.*",
    "nvidia-nvvm==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-curand==10.4.0.*",
    "nvidia-cublas==13.0.*",
    NVRTC,
];

/// Driver 580 loads what CUDA 13.0 makes, and nothing newer.
const NVRTC: &str = "nvidia-cuda-nvrtc==13.0.*";

/// `cargo check` of every crate, test and example with the CUDA features, each of which holds the other crates';
/// about six minutes on two cores the first time.
pub fn check() -> Result<()> {
    let home = toolkit()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [home.join("bin")]
        .into_iter()
        .chain(env::split_paths(&path));
    let mut command = cargo_command();
    command
        .args(["check", "--quiet", "--workspace", "--exclude", "xtask"])
        .args(["--all-targets", "--features", "cudnn"])
        .env(
            "PATH",
            env::join_paths(paths).context("PATH cannot be extended")?,
        )
        .env("CUDA_HOME", &home)
        .env("CUDA_COMPUTE_CAP", "80");
    succeed(&mut command)
}

/// Both features of a crate name those of all its dependencies that have them.
pub fn forwarded(manifest: &toml::Table) -> Result<()> {
    let table = |name: &str| manifest.get(name).and_then(toml::Value::as_table);
    let names = table("dependencies")
        .into_iter()
        .flat_map(toml::Table::keys);
    let names: Vec<_> = names
        .filter(|name| name.starts_with("cass") || name.starts_with("candle"))
        .collect();
    for feature in ["cuda", "cudnn"] {
        let holds = table("features").and_then(|features| features.get(feature));
        let holds = holds.and_then(toml::Value::as_array);
        for name in &names {
            let wanted = format!("{name}/{feature}");
            ensure!(
                holds.is_some_and(|holds| holds.iter().any(|held| held.as_str() == Some(&wanted))),
                "feature `{feature}` does not hold `{wanted}`"
            );
        }
    }
    Ok(())
}

/// The toolkit's folder under `target/cuda`, installed once.
fn toolkit() -> Result<PathBuf> {
    let folder = workspace().join("target/cuda");
    let home = folder.join("nvidia/cu13");
    if !home.join("bin/nvcc").is_file() {
        install(&folder, &WHEELS)?;
    }
    // Build scripts look in lib64; the wheels have lib.
    let lib64 = home.join("lib64");
    if !lib64.exists() {
        #[cfg(unix)]
        std::os::unix::fs::symlink("lib", &lib64)
            .with_context(|| format!("{} cannot be linked", lib64.display()))?;
        #[cfg(not(unix))]
        fs::create_dir_all(&lib64)
            .with_context(|| format!("{} cannot be created", lib64.display()))?;
    }
    fs::canonicalize(&home).with_context(|| format!("{} cannot be found", home.display()))
}

/// Wheels from PyPI into a folder of their own.
fn install(folder: &Path, wheels: &[&str]) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(folder)
        .args(wheels);
    succeed(&mut pip)
}

#[cfg(test)]
mod tests {
    use super::forwarded;

    #[test]
    fn a_dependency_left_out_is_named() {
        let manifest = |cudnn: &str| {
            let text = format!(
                "[features]\ncuda = ['cass-ops/cuda']\ncudnn = [{cudnn}]\n[dependencies]\ncass-ops = {{ workspace = true }}\ncsv = '1'\n"
            );
            text.parse::<toml::Table>().unwrap()
        };
        assert!(forwarded(&manifest("'cuda', 'cass-ops/cudnn'")).is_ok());
        let error = forwarded(&manifest("'cuda'")).unwrap_err().to_string();
        assert!(
            error.contains("`cudnn` does not hold `cass-ops/cudnn`"),
            "{error}"
        );
        assert!(forwarded(&toml::Table::new()).is_ok());
    }
}
