//! `cargo xtask check`: what must be right before a change is merged. `cargo xtask test`: the tests alone.

mod demo;
mod features;
mod imports;
mod install;
mod manifests;
mod style;

use crate::checkout::{cargo as cargo_command, debug_cass, succeed, workspace};
use crate::cuda;
use anyhow::{Context, Result, ensure};
use cass_reproduce::{check_networks, duration};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Arguments of `check`.
#[derive(clap::Args)]
pub struct Args {
    /// Compile the kernels for every GPU, run them under sanitizers, and check that the CUDA features compile; brings its own
    /// NVRTC and nvcc, needs no GPU.
    #[arg(long)]
    cuda: bool,
    /// Check each crate by itself too, with the features that it asks for alone.
    #[arg(long)]
    alone: bool,
    /// Install `cass` by cargo and, as a wheel, by pip, and try both in a bare environment.
    #[arg(long)]
    install: bool,
    /// Only steps whose names contain this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Arguments of `test`.
#[derive(clap::Args)]
pub struct TestArgs {
    /// Leave out tests that start whole programs or train networks: under a minute after a build.
    #[arg(long)]
    fast: bool,
    /// Only tests whose names contain this.
    filter: Option<String>,
}

/// Steps that are known, whether any was run, and those that failed.
struct Steps<'a> {
    only: Option<&'a str>,
    known: Vec<&'static str>,
    any: bool,
    failed: Vec<String>,
}

impl Steps<'_> {
    /// Runs a step if it is wanted, even after one failed.
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        self.known.push(name);
        if !self.only.is_none_or(|only| name.contains(only)) {
            return;
        }
        self.any = true;
        eprintln!("==> {name}");
        let since = Instant::now();
        match step() {
            Ok(()) => eprintln!("    {}", duration(since.elapsed().as_secs_f64())),
            Err(error) => {
                eprintln!("    FAILED: {error:#}");
                self.failed.push(name.to_owned());
            }
        }
    }
}

/// Runs every step; the tests last, so that their summary ends the output.
pub fn check(args: &Args) -> Result<ExitCode> {
    let members = members()?;
    let mut steps = Steps {
        only: args.only.as_deref(),
        known: Vec::new(),
        any: false,
        failed: Vec::new(),
    };
    steps.run("format", || cargo(&["fmt", "--all", "--check"], &[]));
    steps.run("manifests", || {
        members
            .iter()
            .try_for_each(|member| manifests::check(member))
    });
    steps.run("style", || {
        style::maps(&members)?;
        members.iter().try_for_each(|member| style::check(member))
    });
    steps.run("imports", || {
        if args.only.is_some() {
            members
                .iter()
                .try_for_each(|member| imports::print(member))?;
        }
        members.iter().try_for_each(|member| imports::check(member))
    });
    steps.run("candle-free", manifests::candle_free);
    for (tool, arguments) in [
        ("typos", &["--format", "brief"][..]),
        ("cargo-deny", &["--log-level", "error", "check"]),
    ] {
        if has(tool) {
            steps.run(tool, || {
                succeed(Command::new(tool).args(arguments).current_dir(workspace()))
            });
        }
    }
    steps.run("clippy", || {
        let clippy = ["clippy", "--quiet", "--workspace", "--all-targets"];
        cargo(&[&clippy[..], &["--", "-D", "warnings"]].concat(), &[])
    });
    steps.run("docs", || {
        let flags = [("RUSTDOCFLAGS", "-D warnings")];
        cargo(&["doc", "--quiet", "--workspace", "--no-deps"], &flags)
    });
    // By itself a crate, as its users build it, gets only the features it asks for. Where those are what the workspace
    // has, that was checked.
    if args.alone {
        steps.run("each crate alone", || {
            for name in features::differing(&members)? {
                eprintln!("    {name}");
                cargo(&["check", "--quiet", "-p", &name], &[])?;
            }
            let without_hub = ["check", "--quiet", "-p", "cass-models"];
            cargo(
                &[&without_hub[..], &["--no-default-features"]].concat(),
                &[],
            )
        });
    }
    if args.cuda {
        steps.run("kernels for GPUs", cuda::kernels::compile);
        steps.run("kernels under sanitizers", cuda::kernels::sanitize);
        steps.run("cuda", cuda::check);
    }
    if args.install {
        steps.run("install by cargo", install::by_cargo);
        steps.run("install by pip", install::by_pip);
    }
    // The binary of the tests: the demonstration takes longer with it, but building another takes longer still.
    steps.run("demo", || demo::demo(&debug_cass()?));
    steps.run("networks", || {
        let output = Command::new(debug_cass()?)
            .args(["models", "list", "--json"])
            .output()
            .context("`cass` cannot be started")?;
        check_networks(&String::from_utf8_lossy(&output.stdout))
    });
    steps.run("torture", || {
        let args = cass_torture::Args {
            minutes: 2,
            ..cass_torture::Args::default()
        };
        let lost = cass_torture::torture(&args, &debug_cass()?)? != ExitCode::SUCCESS;
        ensure!(!lost, "a case was lost");
        Ok(())
    });
    steps.run("doc tests", || {
        cargo(&["test", "--quiet", "--workspace", "--doc"], &[])
    });
    // Off by default: it asks for a newer compiler than the rest.
    steps.run("codecs", || {
        let test = ["test", "--quiet", "-p", "cass-data"];
        let codecs = ["--features", "dicom-codecs", "--test", "dicom_codecs"];
        cargo(&[&test[..], &codecs].concat(), &[])
    });
    steps.run("tests", || tests(false, None));
    ensure!(
        steps.any,
        "--only {} names no step; expected a part of one of {}",
        args.only.as_deref().unwrap_or_default(),
        steps.known.join(", ")
    );
    if steps.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: failed: {}", steps.failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// `cargo xtask test`.
pub fn test(args: &TestArgs) -> Result<ExitCode> {
    let passed = tests(args.fast, args.filter.as_deref()).is_ok();
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All tests; the fast ones are those inside the libraries.
fn tests(fast: bool, filter: Option<&str>) -> Result<()> {
    let nextest = cargo_has("nextest");
    let mut arguments = match nextest {
        true => vec!["nextest", "run", "--workspace", "--status-level", "fail"],
        false => vec!["test", "--quiet", "--workspace"],
    };
    if fast {
        arguments.extend(["--lib", "--bins"]);
    } else if !nextest {
        // Not the doc tests.
        arguments.extend(["--lib", "--bins", "--tests", "--examples"]);
    }
    arguments.extend(filter);
    cargo(&arguments, &[])
}

fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo_command();
    command.args(arguments).envs(variables.iter().copied());
    succeed(&mut command)
}

fn cargo_has(subcommand: &str) -> bool {
    answers(cargo_command().args([subcommand, "--version"]))
}

fn has(program: &str) -> bool {
    answers(Command::new(program).arg("--version"))
}

fn answers(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The folders of all crates.
fn members() -> Result<Vec<PathBuf>> {
    let mut members = vec![workspace().join("xtask")];
    let crates = workspace().join("crates");
    let failed = || format!("{} cannot be read", crates.display());
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
    let name = member.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
