//! One measurement of one side: what is started, and what it printed.

use super::job::Jobs;
use super::row::{Row, Work};
use crate::checkout::workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    Eager,
    Compiled,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Ours => "ours",
            Side::Eager => "PyTorch",
            Side::Compiled => "torch.compile",
        })
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// A step, or an image loaded.
    pub ms: f64,
    /// Memory of the whole process; none where workers are processes of their own.
    pub rss_mib: Option<f64>,
    /// Ours alone.
    pub roofline_share: Option<f64>,
}

/// How the sides are started.
pub struct Sides {
    pub cass: PathBuf,
    pub python: PathBuf,
    /// Instead of the row's.
    pub steps: Option<u32>,
    /// Class folders, where images are loaded.
    pub images: Option<PathBuf>,
    /// Both sides without AVX-512.
    pub avx2: bool,
    /// What whole jobs write to; it goes with this.
    pub scratch: TempDir,
}

/// What keeps PyTorch's libraries from AVX-512: its own kernels, oneDNN's and MKL's.
const AVX2: [(&str, &str); 3] = [
    ("ATEN_CPU_CAPABILITY", "avx2"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("MKL_ENABLE_INSTRUCTIONS", "AVX2"),
];

impl Sides {
    pub fn measure(&self, side: Side, row: &Row, threads: usize) -> Result<Sample> {
        let mut command = self.command(side, row, threads)?;
        if self.avx2 && side != Side::Ours {
            command.envs(AVX2);
        }
        let failed = || {
            format!(
                "{} on {} threads, {side}, cannot be measured",
                row.name, threads
            )
        };
        let output = command
            .stderr(Stdio::piped())
            .output()
            .with_context(failed)?;
        sample(&output).with_context(failed)
    }

    fn command(&self, side: Side, row: &Row, threads: usize) -> Result<Command> {
        match &row.work {
            Work::Step {
                method,
                nets,
                size,
                batch,
                steps,
            } => {
                let mut command = self.started(side, "step", "torch_step.py");
                command.args(["--method", method, "--threads", &threads.to_string()]);
                for (flag, name) in *nets {
                    command.args([flag, name]);
                }
                let numbers = [
                    ("--size", *size),
                    ("--batch", *batch),
                    ("--steps", self.steps.unwrap_or(*steps)),
                ];
                for (flag, number) in numbers {
                    command.args([flag, &number.to_string()]);
                }
                if side == Side::Compiled {
                    command.arg("--compile");
                }
                Ok(command)
            }
            Work::Load { size } => {
                let images = self.images()?;
                let mut command = self.started(side, "loader", "torch_loader.py");
                if side == Side::Ours {
                    let root = images.parent().unwrap_or(images);
                    command
                        .args(["--data", "brain-mri", "--data-root"])
                        .arg(root);
                    command.args(["--threads", &threads.to_string()]);
                } else {
                    command
                        .arg(images)
                        .args(["--workers", &threads.to_string()]);
                }
                command.args(["--size", &size.to_string()]);
                Ok(command)
            }
            Work::Job { job, size } => {
                let jobs = Jobs {
                    cass: &self.cass,
                    python: &self.python,
                    images: self.images()?,
                    scratch: self.scratch.path(),
                };
                jobs.command(side, *job, *size, threads)
            }
        }
    }

    /// A benchmark of ours, or the script that is PyTorch's.
    fn started(&self, side: Side, bench: &str, torch: &str) -> Command {
        if side == Side::Ours {
            let mut command = Command::new(&self.cass);
            command.args(["bench", bench, "--json"]);
            return command;
        }
        let mut command = Command::new(&self.python);
        command.arg(script(torch));
        command
    }

    fn images(&self) -> Result<&Path> {
        let images = self.images.as_deref();
        images.context("images to load cannot be found")
    }
}

/// A script of this checkout.
pub fn script(name: &str) -> PathBuf {
    workspace().join("xtask/bench").join(name)
}

/// The last line of standard output: one JSON object with `median_ms`, or `images_per_s` where there are no steps.
fn sample(output: &Output) -> Result<Sample> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        bail!(
            "it ended with {}: {}",
            output.status,
            last.unwrap_or("it said nothing")
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    parse(line.unwrap_or_default())
}

fn parse(line: &str) -> Result<Sample> {
    let value: Value = serde_json::from_str(line)
        .with_context(|| format!("it printed `{line}`: expected a JSON object"))?;
    let number = |key: &str| value[key].as_f64();
    let ms = number("median_ms").or_else(|| number("images_per_s").map(|rate| 1e3 / rate));
    let ms =
        ms.with_context(|| format!("it printed `{line}`: expected median_ms or images_per_s"))?;
    ensure!(
        ms.is_finite() && ms > 0.0,
        "it printed `{line}`: expected a time above 0"
    );
    Ok(Sample {
        ms,
        rss_mib: number("peak_rss_mib"),
        roofline_share: number("roofline_share"),
    })
}

/// Versions of Python's packages, by name.
pub struct Versions(pub BTreeMap<String, String>);

impl Versions {
    pub fn text(&self) -> String {
        let each = self
            .0
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Prints `{name: version}` of the packages named by arguments `module=name`, `null` for one that is not there.
const ASK: &str = "\
import importlib.metadata as meta, importlib.util as util, json, sys
def version(module, name):
    if not util.find_spec(module): return None
    try: return meta.version(name)
    except meta.PackageNotFoundError: return 'unknown'
print(json.dumps({pair.split('=')[1]: version(*pair.split('=')) for pair in sys.argv[1:]}))";

/// Versions of what the rows need.
///
/// # Errors
/// If there is no such Python, or it lacks one.
pub fn versions(python: &Path, rows: &[&Row]) -> Result<Versions> {
    let mut packages: Vec<_> = rows.iter().flat_map(|row| row.packages()).collect();
    packages.sort_unstable();
    packages.dedup();
    let names: Vec<_> = packages.iter().map(|(_, name)| *name).collect();
    let wanted = || {
        format!(
            "--against-torch {}: expected a Python with {}",
            python.display(),
            names.join(", ")
        )
    };
    let pairs = packages
        .iter()
        .map(|(module, name)| format!("{module}={name}"));
    let output = Command::new(python).args(["-c", ASK]).args(pairs).output();
    let output = output.with_context(wanted)?;
    let found: BTreeMap<String, Option<String>> = serde_json::from_slice(&output.stdout)
        .ok()
        .filter(|_| output.status.success())
        .with_context(wanted)?;
    let lacks: Vec<_> = names
        .iter()
        .filter(|name| !matches!(found.get(**name), Some(Some(_))))
        .copied()
        .collect();
    ensure!(
        lacks.is_empty(),
        "{}; it lacks {}",
        wanted(),
        lacks.join(", ")
    );
    let known = found
        .into_iter()
        .filter_map(|(name, version)| Some((name, version?)));
    Ok(Versions(known.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_prints() {
        let torch = parse(r#"{"median_ms": 459.25, "peak_rss_mib": 1246.5}"#).unwrap();
        let expected = Sample {
            ms: 459.25,
            rss_mib: Some(1246.5),
            roofline_share: None,
        };
        assert_eq!(torch, expected);
        let ours = r#"{"gflops":90.0,"median_ms":300,"peak_rss_mib":null,"roofline_share":0.5}"#;
        let ours = parse(ours).unwrap();
        assert_eq!(
            (ours.ms, ours.rss_mib, ours.roofline_share),
            (300.0, None, Some(0.5))
        );
    }

    #[test]
    fn a_rate_of_loading_becomes_a_time() {
        assert_eq!(parse(r#"{"images_per_s": 250}"#).unwrap().ms, 4.0);
    }

    #[test]
    fn anything_else_is_an_error_that_quotes_it() {
        for line in [
            "",
            "Traceback",
            "[1]",
            r#"{"ms": 3}"#,
            r#"{"median_ms": "3"}"#,
            r#"{"median_ms": 0}"#,
            r#"{"images_per_s": 0}"#,
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(&format!("`{line}`: expected")), "{error}");
        }
    }
}
