//! The fuzz targets of `fuzz/src/lib.rs` on damaged and on random bytes: a short, repeatable stand-in for a fuzzer.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use cass_probe::fit::{ProbeMode, ProbeRecipe};
use cass_rng::Rng;
use cass_run::{Common, PretrainMetrics, RunDir};
use cass_train::{Method, Protocol, Recipe};
use std::fs;
use std::path::{Path, PathBuf};

/// Words that mean something to one of the readers.
const WORDS: [&str; 24] = [
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "=",
    "\n",
    ",",
    ".",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "[[row]]",
    "9223372036854775808",
    "\u{202e}",
    "\0",
    "null",
    "size",
    "\"seal\"",
    "PK\x03\x04",
    "__metadata__",
];

/// Calls `target` with each seed, with `inputs` damaged ones in all, and with a tenth as many of random bytes.
fn fuzz(seeds: &[Vec<u8>], inputs: u64, target: fn(&[u8])) {
    seeds.iter().for_each(|seed| target(seed));
    for round in 0..inputs {
        let mut rng = Rng::new(11, "fuzz", [round, 0], 0);
        let mut bytes = seeds[rng.below(seeds.len())].clone();
        for _ in 0..1 + rng.below(6) {
            let place = rng.below(bytes.len().max(1)).min(bytes.len());
            match rng.below(6) {
                0 => bytes.truncate(place),
                1 => drop(bytes.splice(place..place, WORDS[rng.below(WORDS.len())].bytes())),
                2 => drop(bytes.drain(place..(place + rng.below(40)).min(bytes.len()))),
                3 => {
                    let end = (place + 1 + rng.below(60)).min(bytes.len());
                    let part = bytes[place..end].to_vec();
                    let at = rng.below(bytes.len() + 1);
                    bytes.splice(at..at, part);
                }
                _ if place < bytes.len() => bytes[place] ^= 1 << rng.below(8),
                _ => {}
            }
        }
        target(&bytes);
        if round % 10 == 0 {
            let random: Vec<u8> = (0..rng.below(300)).map(|_| rng.next_u32() as u8).collect();
            target(&random);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn recipes() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for method in Method::all() {
        for protocol in [Protocol::Paper, Protocol::Notebook] {
            let recipe = Recipe::preset(protocol, method.clone());
            seeds.push(recipe.to_toml().into());
        }
    }
    for mode in [ProbeMode::Logistic, ProbeMode::Linear, ProbeMode::Finetune] {
        let recipe = ProbeRecipe::preset(Protocol::Paper, mode);
        seeds.push(recipe.to_toml().into());
    }
    fuzz(&seeds, 20_000, targets::recipe);
}

#[test]
fn table_files() {
    let folder = root().join("crates/cass-reproduce/tables");
    let mut seeds = Vec::new();
    for name in ["03.toml", "16.toml"] {
        seeds.push(fs::read(folder.join(name)).unwrap());
    }
    // A table takes milliseconds where TOML is not optimised.
    fuzz(&seeds, 3_000, targets::table_file);
}

#[test]
fn files_of_weights() {
    let mut header = br#"{"head.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"x":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}}"#.to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut whole = (header.len() as u64).to_le_bytes().to_vec();
    whole.extend(&header);
    whole.extend([0x3f; 28]);
    let mut seeds = vec![whole];
    for entry in fs::read_dir(root().join("fixtures/golden/torch_zip")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if bytes.starts_with(b"PK") {
            seeds.push(bytes);
        }
    }
    assert!(seeds.len() > 1, "no file of torch.save");
    fuzz(&seeds, 20_000, targets::weights);
}

#[test]
fn folders_of_runs() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::open(folder.path(), "epochs = 1\n").unwrap();
    run.write("checkpoint-net.safetensors", b"weights").unwrap();
    let metrics = PretrainMetrics {
        common: Common {
            files: run.sums(),
            ..Common::new(1.0)
        },
        ..PretrainMetrics::default()
    };
    run.finish(&metrics).unwrap();
    let metrics = fs::read(folder.path().join("metrics.json")).unwrap();
    let older = br#"{"kind": "pretrain", "epochs": [{"epoch": 0, "loss": null}], "seconds": 1.5, "collapse": {}}"#;
    let log = b"{\"event\":\"done\",\"seconds\":1}\n".as_slice();
    let seeds = [&metrics[..], older].map(|metrics| [&b"epochs = 1\n"[..], metrics, log].join(&0));
    fuzz(&seeds, 20_000, targets::run_folder);
}
