//! `reproduce`, `report` and their sisters from outside, with a stand-in for `cass` (`examples/fake_cass.rs`).

#![cfg(unix)]

mod bad_input;
mod report;
mod runs;
mod slurm;
mod tables;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A job's output folder, and a list of what the stand-in was started for.
struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Job {
        Job {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// `cass-reproduce ARGUMENTS`; `{out}` stands for the output folder.
    fn command(&self, arguments: &str) -> Command {
        let out = self.out().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cass-reproduce"));
        command
            .args(
                arguments
                    .split_whitespace()
                    .map(|word| word.replace("{out}", &out)),
            )
            .env("CASS_BIN", fake_cass())
            .env("FAKE_LOG", self.dir.path().join("started"));
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// One seed of table 3 on phantoms, everything trained on the labels.
    fn demo(&self) -> Output {
        self.run("reproduce --table 3 --seeds 1 --downstream all --device cpu --out {out}")
    }

    /// What the stand-in was started for since the last call.
    fn started(&self) -> Vec<String> {
        let log = self.dir.path().join("started");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text.lines().map(str::to_owned).collect()
    }

    fn results(&self) -> Value {
        serde_json::from_str(&self.read("results.json")).unwrap()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.out().join(file)).unwrap()
    }

    /// The folder of the one run whose name starts so.
    fn folder(&self, start: &str) -> PathBuf {
        let mut found: Vec<_> = fs::read_dir(self.out().join("runs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(start)
            })
            .collect();
        assert_eq!(found.len(), 1, "{start}: {found:?}");
        found.remove(0)
    }
}

/// The stand-in, which Cargo builds with the tests of the package.
fn fake_cass() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_cass-reproduce"));
    let fake = built.with_file_name("examples").join("fake_cass");
    assert!(
        fake.is_file(),
        "{} is not built: cargo build -p cass-reproduce --examples",
        fake.display()
    );
    fake
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Exit code 2 and one line on standard error that holds `expected`.
#[track_caller]
fn refused(output: &Output, expected: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let lines: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(stderr.ends_with(&format!("{}\n", lines[0])), "{stderr}");
    for part in expected {
        assert!(lines[0].contains(part), "`{part}` is not in `{}`", lines[0]);
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A data set with the curator's layout and no real image.
fn data_set(root: &Path) {
    for part in ["Training", "Testing"] {
        for class in ["glioma", "meningioma", "notumor", "pituitary"] {
            write(&root.join(part).join(class).join("1.jpg"), "x");
        }
    }
}
