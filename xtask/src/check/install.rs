//! Both ways to install `cass`, each tried in a bare environment: `cargo install`, and a wheel that carries the program.

use crate::checkout::{cargo, succeed, target, workspace};
use anyhow::{Context, Result, ensure};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// By `cargo install`, into a folder of its own. As the tests are built: a release build takes long and proves no more.
pub fn by_cargo() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut install = cargo();
    install
        .args([
            "install",
            "--quiet",
            "--debug",
            "--locked",
            "--no-track",
            "--path",
        ])
        .arg(workspace().join("crates/cass"))
        .arg("--target-dir")
        .arg(target())
        .arg("--root")
        .arg(folder.path())
        .stderr(Stdio::inherit());
    succeed(&mut install)?;
    works(&folder.path().join("bin").join(program("cass")))
}

/// By pip, from a wheel that maturin makes, into an environment with nothing else.
pub fn by_pip() -> Result<()> {
    let Some(python) = ["python3", "python"]
        .into_iter()
        .find(|python| runs(python, &["-c", "import venv, ensurepip"]))
    else {
        skipped("no Python with venv and pip is there");
        return Ok(());
    };
    let maturin = env::var_os("MATURIN").unwrap_or_else(|| "maturin".into());
    if !runs(&maturin, &["--version"]) {
        skipped("maturin is not there (`pip install maturin`, or name it by MATURIN)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let wheels = folder.path().join("wheels");
    let mut build = Command::new(maturin);
    build
        .args([
            "build",
            "--quiet",
            "--profile",
            "dev",
            "--compatibility",
            "linux",
            "--out",
        ])
        .arg(&wheels)
        .arg("--target-dir")
        .arg(target())
        .current_dir(workspace());
    succeed(&mut build)?;
    let made: Vec<PathBuf> = fs::read_dir(&wheels)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    let [wheel] = &made[..] else {
        anyhow::bail!("maturin made {} files, expected one wheel", made.len());
    };
    let venv = folder.path().join("venv");
    succeed(Command::new(python).args(["-m", "venv"]).arg(&venv))?;
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let pip = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"];
    succeed(
        Command::new(bin.join(program("python")))
            .args(pip)
            .arg(wheel),
    )?;
    works(&bin.join(program("cass")))
}

/// Draws images, counts them and names the networks, with nothing of this computer's environment but an empty home.
fn works(cass: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for arguments in [
        &["--version"][..],
        &[
            "data",
            "phantom",
            "--out",
            "images",
            "--train-per-class",
            "2",
            "--test-per-class",
            "1",
            "--size",
            "16",
        ],
        &["data", "check", "--data-root", "images", "--json"],
        &["models", "list", "vit_tiny*"],
        &["completions", "bash"],
    ] {
        let mut command = Command::new(cass);
        command
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path());
        let output = command
            .output()
            .with_context(|| format!("{} cannot be started", cass.display()))?;
        let line = arguments.join(" ");
        // Of so few images a check may have something to say: 1.
        let fits = output.status.success()
            || arguments[..2] == ["data", "check"] && output.status.code() == Some(1);
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            fits,
            "`cass {line}` ended with {}: {}",
            output.status,
            said.trim()
        );
        ensure!(!output.stdout.is_empty(), "`cass {line}` printed nothing");
    }
    Ok(())
}

fn skipped(why: &str) {
    eprintln!("    skipped: {why}");
}

fn runs(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn program(name: &str) -> String {
    format!("{name}{}", env::consts::EXE_SUFFIX)
}
