//! The command as a user meets it: runs on phantoms, and every way of being wrong.

#[path = "../bench/mod.rs"]
mod bench;
mod data;
mod images;
mod networks;
mod runs;
mod wrong;

use bench::Bench;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Output;

impl Bench {
    /// Asserts that a command fails with `code` and one line that contains every part of `said`.
    fn fails(&self, args: &str, code: i32, said: &[&str]) {
        let output = self.cass(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(output.status.code(), Some(code), "{args}: {text}");
        assert_eq!(errors, text.lines().last().as_slice(), "{args}: {text}");
        for part in said {
            assert!(
                text.contains(part),
                "{args}: {text:?} does not say {part:?}"
            );
        }
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}\n{error}"))
}

/// A safetensors file that is as long as its header says.
fn is_whole(file: &Path) -> bool {
    let bytes = fs::read(file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let ends = header.as_object().unwrap().values();
    let end = ends
        .filter_map(|t| t["data_offsets"][1].as_u64())
        .max()
        .unwrap() as usize;
    let data = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    bytes.len() == data + end
}

const SMALL: &str = "--data-root data --size 16 --epochs 1 --batch 8 --threads 2 --device cpu";
const CASS: &str =
    "pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random";

#[test]
fn help_shows_an_example_of_every_command() {
    let bench = Bench::new();
    for command in [
        "",
        "pretrain",
        "probe",
        "data phantom",
        "data check",
        "data preview",
        "bench step",
        "bench loader",
        "bench features",
        "embed",
        "cka",
        "attend",
        "models fetch",
        "models list",
        "export",
        "predict",
        "compare",
        "metrics",
        "verify",
    ] {
        let output = bench.cass(&format!("{command} --help"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            code(&output) == 0 && text.contains("Example"),
            "{command}: {text}"
        );
    }
    assert_eq!(code(&bench.cass("pretrain --out x")), 2);
}
