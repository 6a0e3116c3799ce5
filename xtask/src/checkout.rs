//! This checkout: its folder, its commit, and the `cass` built of it.

use anyhow::{Context, Result, bail, ensure};
use cass_reproduce::{Device, Host};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(Path::to_owned).unwrap_or(manifest)
}

/// What the commands of a reproduction have to know of the checkout.
pub fn host() -> Host<'static> {
    Host {
        caller: "cargo xtask",
        base: workspace(),
        cass: &cass,
        commit: &commit,
    }
}

/// The `cass` binary for a device: `CASS_BIN`, or built now in release.
pub fn cass(device: &Device) -> Result<PathBuf> {
    if let Some(path) = env::var_os("CASS_BIN") {
        return Ok(path.into());
    }
    let mut command = release();
    let mut hint = "";
    if device.is_gpu() {
        command.args(["--features", "cuda"]);
        hint = "; one built where there is a CUDA toolkit can be named by CASS_BIN";
    }
    built(command, hint)
}

/// A `cass` that knows no AVX-512, in a target folder of its own: only the build can leave it out, since the crate of
/// matrix products asks the CPU alone.
pub fn cass_avx2() -> Result<PathBuf> {
    let mut command = release();
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg cass_avx2"));
    command.env("CARGO_TARGET_DIR", target().join("avx2"));
    built(command, "")
}

/// What builds `cass` in release, and says where it is.
fn release() -> Command {
    let mut command = cargo();
    command
        .args(["build", "--release", "-p", "cass"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    command
}

/// The binary that was built.
fn built(mut command: Command, hint: &str) -> Result<PathBuf> {
    let output = command.output().context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("the `cass` binary cannot be built: cargo says why above{hint}");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "cass")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no `cass` binary")
}

/// The `cass` that the tests start: `CASS_BIN`, or built now.
pub fn debug_cass() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CASS_BIN") {
        return Ok(path.into());
    }
    succeed(cargo().args(["build", "--quiet", "-p", "cass"]))?;
    let binary = format!("debug/cass{}", env::consts::EXE_SUFFIX);
    Ok(target().join(binary))
}

/// The folder of what is built.
pub fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    workspace().join(target)
}

/// Cargo, in the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// The commit that is checked out, `-dirty` where files differ from it.
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git.args(arguments).current_dir(workspace()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let dirty = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    Some(if dirty { commit + "-dirty" } else { commit })
}

/// Runs a command, its output on ours.
pub fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{program} cannot be started"))?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}
