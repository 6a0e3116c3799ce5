//! A folder that `cass` is started in.

use std::path::PathBuf;
use std::process::{Command, Output};

pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// A folder with phantoms in `data`.
    pub fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let draw = "data phantom --out data --train-per-class 6 --test-per-class 2 --size 24";
        assert!(bench.cass(draw).status.success());
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cass"));
        command
            .args(args.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG");
        command
    }

    pub fn cass(&self, args: &str) -> Output {
        self.command(args).output().unwrap()
    }
}
