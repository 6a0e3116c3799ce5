//! `cargo xtask onnx`: networks as ONNX files, and what onnxruntime makes of them.

use crate::checkout::{cargo, succeed, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

#[derive(clap::Args)]
pub struct Args {
    /// A Python with onnx, onnxruntime and safetensors.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Networks of the registry, each with an input size, instead of a small one of every kind.
    #[arg(value_name = "NAME SIZE")]
    networks: Vec<String>,
}

pub fn compare(args: &Args) -> Result<ExitCode> {
    let folder = workspace().join("target/onnx");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("{} cannot be cleared", folder.display()))?;
    }
    let example = [
        "run",
        "--quiet",
        "-p",
        "cass-models",
        "--example",
        "onnx_files",
        "--",
    ];
    succeed(cargo().args(example).arg(&folder).args(&args.networks))?;
    let script = workspace().join("crates/cass-models/tests/onnx/beside_onnxruntime.py");
    succeed(
        Command::new(&args.python)
            .arg("-B")
            .arg(script)
            .arg(&folder),
    )?;
    Ok(ExitCode::SUCCESS)
}
