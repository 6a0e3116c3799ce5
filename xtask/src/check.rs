//! `cargo xtask check`: what must be right before a change is merged.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cuda;
use crate::machine::{Device, cass, workspace};
use crate::networks;
use crate::progress::duration;

/// Runs every step, even after one failed; the tests last, so their summary ends the output.
pub fn check(with_cuda: bool) -> Result<ExitCode> {
    let members = members()?;
    let mut failed = Vec::new();
    let mut step = |name: &str, run: &dyn Fn() -> Result<()>| {
        eprintln!("==> {name}");
        let since = Instant::now();
        match run() {
            Ok(()) => eprintln!("    {}", duration(since.elapsed().as_secs_f64())),
            Err(error) => {
                eprintln!("    FAILED: {error:#}");
                failed.push(name.to_owned());
            }
        }
    };
    step("format", &|| cargo(&["fmt", "--all", "--check"], &[]));
    step("manifests", &|| {
        members.iter().try_for_each(|member| manifest(member))
    });
    step("clippy", &|| {
        let arguments = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        cargo(&arguments, &[])
    });
    step("docs", &|| {
        let flags = [("RUSTDOCFLAGS", "-D warnings")];
        cargo(&["doc", "--quiet", "--workspace", "--no-deps"], &flags)
    });
    // By itself each crate gets only the features it asks for.
    for member in &members {
        let name = name(member);
        step(&format!("{name} alone"), &|| {
            cargo(&["check", "--quiet", "--all-targets", "-p", &name], &[])
        });
    }
    step("cass-models without the hub", &|| {
        let arguments = ["check", "--quiet", "-p", "cass-models"];
        cargo(&[&arguments[..], &["--no-default-features"]].concat(), &[])
    });
    if with_cuda {
        step("cuda", &cuda::check);
    }
    step("demo", &demo);
    step("networks", &|| {
        let output = Command::new(cass(&Device("cpu".to_owned()))?)
            .args(["models", "list", "--json"])
            .output()
            .context("failed to start `cass`")?;
        networks::check(&String::from_utf8_lossy(&output.stdout))
    });
    step("doc tests", &|| {
        cargo(&["test", "--quiet", "--workspace", "--doc"], &[])
    });
    step("tests", &|| {
        if cargo_has("nextest") {
            cargo(
                &["nextest", "run", "--workspace", "--status-level", "fail"],
                &[],
            )
        } else {
            cargo(
                &[
                    "test",
                    "--workspace",
                    "--lib",
                    "--bins",
                    "--tests",
                    "--examples",
                ],
                &[],
            )
        }
    });
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

pub fn cargo_command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo_command();
    command.args(arguments).envs(variables.iter().copied());
    succeed(&mut command)
}

/// Runs a command, its output on ours.
pub fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("failed to start {program}"))?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

fn cargo_has(subcommand: &str) -> bool {
    cargo_command()
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The folders of all crates.
fn members() -> Result<Vec<PathBuf>> {
    let mut members = vec![workspace().join("xtask")];
    let crates = workspace().join("crates");
    let failed = || format!("failed to read folder {}", crates.display());
    for entry in fs::read_dir(&crates).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.join("Cargo.toml").is_file() {
            members.push(path);
        }
    }
    members.sort();
    Ok(members)
}

fn name(member: &Path) -> String {
    member
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Every crate inherits the workspace's lints and forwards the CUDA features; `xtask` links none of the others.
fn manifest(member: &Path) -> Result<()> {
    let path = member.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let manifest: toml::Table =
        toml::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
    let inherited = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(toml::Value::as_bool);
    ensure!(
        inherited == Some(true),
        "{} does not inherit the lints: expected `[lints] workspace = true`",
        path.display()
    );
    cuda::forwarded(&manifest).with_context(|| path.display().to_string())?;
    if name(member) == "xtask" {
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        let linked =
            dependencies.and_then(|table| table.keys().find(|name| name.starts_with("cass")));
        ensure!(
            linked.is_none(),
            "xtask links {linked:?}: it only starts `cass`"
        );
    }
    Ok(())
}

/// The main job on phantoms with one seed, and again, to see that it finds everything finished.
fn demo() -> Result<()> {
    let out = workspace().join("target/check-demo");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("failed to clear {}", out.display()))?;
    }
    let program = env::current_exe().context("failed to find xtask itself")?;
    let mut job = Command::new(program);
    job.args([
        "reproduce",
        "--table",
        "3",
        "--profile",
        "demo",
        "--seeds",
        "1",
        "--device",
        "cpu",
    ]);
    job.arg("--out").arg(&out);
    succeed(&mut job)?;
    shape(&out)?;

    let runs = |out: &Path| -> Result<Vec<_>> {
        let entries = fs::read_dir(out.join("runs"))?.collect::<Result<Vec<_>, _>>()?;
        let written = entries.iter().map(|run| {
            let metrics = run.path().join("metrics.json");
            Ok((metrics.clone(), fs::metadata(&metrics)?.modified()?))
        });
        written.collect()
    };
    let before = runs(&out)?;
    let again = job.stdout(Stdio::null()).stderr(Stdio::null());
    succeed(again)?;
    ensure!(before == runs(&out)?, "a finished run was run again");
    Ok(())
}

/// Every cell is there, computed; the report stands by itself.
fn shape(out: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = out.join(name);
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    };
    let results: Value =
        serde_json::from_str(&read("results.json")?).context("failed to read results.json")?;
    let cells = results["cells"]
        .as_array()
        .context("results.json has no cells")?;
    // 4 methods on frozen features, 3 fine-tuned; 2 arms, 3 shares of the labels.
    ensure!(
        cells.len() == 42,
        "results.json has {} cells, expected 42",
        cells.len()
    );
    for cell in cells {
        let mean = cell["mean"]
            .as_f64()
            .with_context(|| format!("a cell has no mean: {cell}"))?;
        ensure!(
            (0.0..=1.0).contains(&mean),
            "a cell's mean is {mean}, expected 0 to 1"
        );
        ensure!(cell["n"] == 1, "a cell has n = {}, expected 1", cell["n"]);
    }
    let claims = results["claims"]
        .as_array()
        .context("results.json has no claims")?;
    ensure!(!claims.is_empty(), "results.json has no claims");
    let html = read("report.html")?;
    ensure!(
        html.contains("<svg") && html.contains("phantoms"),
        "report.html lacks its charts or its notice"
    );
    for foreign in ["<script", "http://", "https://", "src="] {
        ensure!(!html.contains(foreign), "report.html contains `{foreign}`");
    }
    ensure!(
        read("report.md")?.contains("phantoms"),
        "report.md lacks its notice"
    );
    let rows = read("results.csv")?.lines().count();
    ensure!(
        rows == 1 + 5 * 42,
        "results.csv has {rows} lines, expected {}",
        1 + 5 * 42
    );
    Ok(())
}
