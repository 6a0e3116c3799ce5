//! The kernels of cass-ops without a GPU: compiled for every architecture, and run under sanitizers.

use super::{NVRTC, install};
use crate::checkout::{cargo, succeed, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// From the oldest that CUDA 13 compiles for to the newest: RTX 8000, A100, A6000, L40S, H100, RTX 5090.
const ARCHITECTURES: [&str; 6] = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120"];

/// Compiles all kernels by NVRTC, and prints their registers; none may spill.
pub fn compile() -> Result<()> {
    let library = nvrtc()?;
    let output = cargo()
        .args([
            "run",
            "--quiet",
            "-p",
            "cass-ops",
            "--example",
            "gpu_kernels",
        ])
        .output()
        .context("cargo cannot be started")?;
    ensure!(
        output.status.success(),
        "cass-ops does not print its kernels: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let source = workspace().join("target/nvrtc/kernels.cu");
    fs::write(&source, &output.stdout)
        .with_context(|| format!("{} cannot be written", source.display()))?;
    let mut command = Command::new("python3");
    command
        .args([
            "-B".as_ref(),
            workspace().join("xtask/cuda/nvrtc.py").as_os_str(),
        ])
        .args([library.as_os_str(), source.as_os_str()])
        .args(ARCHITECTURES)
        // Its own parts lie next to it.
        .env(
            "LD_LIBRARY_PATH",
            library.parent().unwrap_or(Path::new(".")),
        );
    succeed(&mut command)
}

/// NVRTC from PyPI, installed once: as `nvcc` is for the features, without needing it.
fn nvrtc() -> Result<PathBuf> {
    let folder = workspace().join("target/nvrtc");
    let library = folder.join("nvidia/cu13/lib/libnvrtc.so.13");
    if !library.is_file() {
        install(&folder, &[NVRTC])?;
    }
    Ok(library)
}

/// One sanitizer: its name, the runtime that is loaded before the tests' binary, and what its runs need.
struct Sanitizer {
    name: &'static str,
    runtime: &'static str,
    options: [(&'static str, &'static str); 2],
    /// Text of a kernel and, after a tab, what is wrong in its place, to see that it is found.
    mistake: &'static str,
}

const SANITIZERS: [Sanitizer; 2] = [
    Sanitizer {
        name: "thread",
        runtime: "libtsan.so",
        options: [("TSAN_OPTIONS", "exitcode=0"), ("RUST_TEST_THREADS", "1")],
        mistake: "BARRIER();\n    if (part == 0\tif (part == 0",
    },
    Sanitizer {
        name: "address",
        runtime: "libasan.so",
        options: [
            ("ASAN_OPTIONS", "detect_leaks=0"),
            ("RUST_TEST_THREADS", "1"),
        ],
        mistake: "a.mean[row] = mean;\ta.mean[row + a.rows] = mean;",
    },
];

/// Tests that launch every kernel, on few values: a block is 256 threads of the system here.
const TESTS: [&str; 3] = [
    "all_operations_but_rotary_have_kernels",
    "convolutions_in_bf16",
    "tensors_as_its_formula",
];

/// Runs the emulated kernels with a thread for each of the GPU's under ThreadSanitizer and AddressSanitizer, where `cc` has them. What
/// they say of anything but kernels is of Rust's own waiting, which they cannot see.
pub fn sanitize() -> Result<()> {
    let binary = tests_binary()?;
    for sanitizer in &SANITIZERS {
        let Some(runtime) = runtime(sanitizer.runtime) else {
            eprintln!("    cc has no {}", sanitizer.runtime);
            continue;
        };
        for test in TESTS {
            let found = run(sanitizer, &runtime, &binary, test, None)?;
            let reports = reports(&found);
            ensure!(reports.is_empty(), "{test}: {}", reports.join("\n"));
            let passed = String::from_utf8_lossy(&found.stdout).contains("test result: ok");
            ensure!(passed, "{test} under {}: {}", sanitizer.name, all(&found));
        }
        let found = run(
            sanitizer,
            &runtime,
            &binary,
            TESTS[0],
            Some(sanitizer.mistake),
        )?;
        let reports = reports(&found);
        ensure!(
            !reports.is_empty(),
            "{:?} is not found by the {} sanitizer: {}",
            sanitizer.mistake,
            sanitizer.name,
            all(&found)
        );
        eprintln!(
            "    {}: nothing but what was to be found ({})",
            sanitizer.name, reports[0]
        );
    }
    Ok(())
}

fn all(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    out + &err
}

/// What was said of kernels, a line each.
fn reports(output: &Output) -> Vec<String> {
    let text = all(output);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("SUMMARY: ") && line.contains(".cu:"));
    lines.map(str::to_owned).collect()
}

fn run(
    sanitizer: &Sanitizer,
    runtime: &Path,
    binary: &Path,
    test: &str,
    mistake: Option<&str>,
) -> Result<Output> {
    // Without random addresses, where `setarch` can be had: ThreadSanitizer wants its own places free.
    let mut command = Command::new("setarch");
    command.arg("-R").arg(binary);
    let output = command
        .args(["--nocapture", test])
        .current_dir(workspace().join("crates/cass-ops"))
        .env("LD_PRELOAD", runtime)
        .env(
            "CASS_EMULATOR_FLAGS",
            format!("-DTHREADS -fsanitize={}", sanitizer.name),
        )
        .envs(sanitizer.options)
        .envs(mistake.map(|mistake| ("CASS_EMULATOR_MISTAKE", mistake)))
        .output();
    output.with_context(|| format!("{} cannot be started by setarch", binary.display()))
}

/// A library of the C compiler, if it has it.
fn runtime(name: &str) -> Option<PathBuf> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    // Else it says the name alone.
    path.is_absolute().then_some(path)
}

/// The tests inside of cass-ops, built now.
fn tests_binary() -> Result<PathBuf> {
    let output = cargo()
        .args(["test", "--no-run", "-p", "cass-ops", "--lib"])
        .arg("--message-format=json")
        .output()
        .context("cargo cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut binaries = messages.filter(|message| message["profile"]["test"] == true);
    match binaries.find_map(|message| message["executable"].as_str().map(PathBuf::from)) {
        Some(binary) => Ok(binary),
        None => bail!(
            "cargo built no tests: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}
