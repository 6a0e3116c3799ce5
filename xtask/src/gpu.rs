//! `cargo xtask gpu pack`: a folder that checks `cass` on a machine with a GPU, in one command and without Rust or a network.

use crate::checkout::{cass, workspace};
use anyhow::{Context, Result, ensure};
use cass_reproduce::Device;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `gpu`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write a folder to take to a machine with a GPU: there `sh gpu/check.sh` checks values, gradients, training and speed.
    Pack(PackArgs),
}

#[derive(clap::Args)]
struct PackArgs {
    /// The folder, empty or written by this command before.
    #[arg(long, value_name = "DIR", default_value = "gpu")]
    out: PathBuf,
    /// The `cass` to take along [default: built now with the feature cuda, which needs a CUDA toolkit].
    #[arg(long, value_name = "FILE")]
    cass: Option<PathBuf>,
}

/// What the check needs besides `cass`, and its name in the folder.
const FILES: [(&str, &str); 4] = [
    ("xtask/gpu/check.sh", "check.sh"),
    ("xtask/gpu/torch_gpu.py", "torch_gpu.py"),
    ("xtask/bench/torch_step.py", "torch_step.py"),
    ("fixtures/golden/model_reference.py", "model_reference.py"),
];

/// Folders of `fixtures/golden` that it replays.
const TRAJECTORIES: [&str; 9] = [
    "trajectory_cass",
    "trajectory_cass_sgd",
    "trajectory_cass_notebook",
    "trajectory_cass_double",
    "trajectory_dino_cnn",
    "trajectory_dino_vit",
    "trajectory_vicreg",
    "trajectory_simsiam",
    "trajectory_byol",
];

/// What goes through the channels that lead to machines with GPUs.
const MOST: u64 = 64 << 20;

/// The files that say whose folder it is; the folder of the scripts' source has but one of them.
const MARKS: [&str; 2] = ["cass", "check.sh"];

pub fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Pack(args) => pack(args),
    }
}

fn pack(args: PackArgs) -> Result<ExitCode> {
    let PackArgs { out, cass: given } = args;
    if out.exists() {
        let ours = MARKS.iter().all(|mark| out.join(mark).is_file());
        let empty = fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_none());
        ensure!(
            ours || empty,
            "{} is neither empty nor written by this command",
            out.display()
        );
        fs::remove_dir_all(&out).with_context(|| format!("{} cannot be cleared", out.display()))?;
    }
    let program = match given {
        Some(given) => given,
        None => cass(&Device("cuda".to_owned()))?,
    };
    copy(&program, &out.join("cass"))?;
    for (from, to) in FILES {
        copy(&workspace().join(from), &out.join(to))?;
    }
    for name in TRAJECTORIES {
        let from = workspace().join("fixtures/golden").join(name);
        copy(&from, &out.join("golden").join(name))?;
    }
    let mut total = 0;
    for (name, size) in listing(&out, &out)? {
        println!("{size:>10}  {name}");
        total += size;
    }
    println!("{total:>10}  bytes in {}", out.display());
    ensure!(
        total <= MOST,
        "{} holds {total} bytes; expected at most {MOST}: strip {}",
        out.display(),
        program.display()
    );
    println!(
        "there: sh {}/check.sh smoke, then parity, then speed",
        out.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// A file or a folder, without scripts that made it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        for entry in
            fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))?
        {
            let entry = entry?;
            if entry.path().extension().is_none_or(|end| end != "py") {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
    }
    fs::copy(from, to)
        .with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
    Ok(())
}

/// Every file below a folder with its size, by name.
fn listing(root: &Path, folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(listing(root, &path)?);
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            found.push((name, path.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command as Program;

    fn packed(folder: &Path, script: &str) -> PathBuf {
        let (out, cass) = (folder.join("gpu"), folder.join("fake"));
        fs::write(&cass, script).unwrap();
        let given = Some(cass);
        pack(PackArgs {
            out: out.clone(),
            cass: given,
        })
        .unwrap();
        out
    }

    /// Every kind of check with a `cass` of which one command fails: all run, and all failures are told.
    #[test]
    #[cfg(unix)]
    fn the_check_runs_on_after_a_failure_and_tells_it() {
        let folder = tempfile::tempdir().unwrap();
        let fake = "#!/bin/sh\ncase $* in *gelu*) echo a line of sorrow; exit 1 ;; esac\necho '{\"median_ms\": 12.5, \"launches\": 7}'\n";
        let out = packed(folder.path(), fake);
        assert!(
            out.join("golden/trajectory_cass/trajectory.safetensors")
                .is_file()
        );
        assert!(!out.join("golden/trajectory_cass/export.py").exists());
        let run = |part: &str| {
            let mut check = Program::new("sh");
            check.arg(out.join("check.sh")).arg(part);
            check.envs([("DEVICE", "cpu"), ("PYTHON", "true"), ("SCALE", "tiny")]);
            // The copy is executable only where the original is.
            check.output().unwrap()
        };
        Program::new("chmod")
            .arg("+x")
            .arg(out.join("cass"))
            .status()
            .unwrap();
        let smoke = run("smoke");
        let text = String::from_utf8_lossy(&smoke.stdout).into_owned();
        assert_eq!(smoke.status.code(), Some(1), "{text}");
        assert!(
            text.contains("FAILED") && text.contains("| a line of sorrow"),
            "{text}"
        );
        assert!(text.contains("2 passed, 1 failed"), "{text}");
        let speed = run("speed");
        let text = String::from_utf8_lossy(&speed.stdout).into_owned();
        assert!(text.contains("cass f32") && text.contains("12.5"), "{text}");
        assert!(speed.status.success(), "{text}");
        assert_eq!(run("other").status.code(), Some(2));
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("check.sh"), "of another").unwrap();
        let args = PackArgs {
            out: folder.path().to_owned(),
            cass: None,
        };
        let error = pack(args).unwrap_err().to_string();
        assert!(
            error.contains("is neither empty nor written by this command"),
            "{error}"
        );
    }
}
