//! A run folder that two real processes want.

#![cfg(unix)]

mod bench;
mod running;

use bench::Bench;
use running::Running;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Exit code for a folder that another process works in.
const ELSEWHERE: Option<i32> = Some(75);

/// Small, and paused after the first step of six there are checkpoints to come.
const PRETRAIN: &str = "pretrain --method cass --cnn vit_tiny_patch16_224 --vit deit_tiny_patch16_224 \
    --weights random --data-root data --size 16 --epochs 1 --batch 4 --threads 1 --device cpu \
    --checkpoint-every 2 --out run";
const PROBE: &str = "probe --weights random --arch vit_tiny_patch16_224 --mode finetune --size 16 \
    --epochs 4 --batch 4 --threads 1 --device cpu --data-root data --out run";

#[test]
fn a_pretraining_that_was_taken_over_changes_nothing_when_it_wakes_up() {
    taken_over(&Bench::new(), PRETRAIN);
}

#[test]
fn a_probe_that_was_taken_over_changes_nothing_when_it_wakes_up() {
    taken_over(&Bench::new(), PROBE);
}

/// One process is paused, and its node taken for dead; a second one finishes the run; the first goes on.
fn taken_over(bench: &Bench, command: &str) {
    let run = bench.path("run");
    let mut first = bench.start(command);
    first.until(|| {
        fs::read_to_string(run.join("log.jsonl")).is_ok_and(|log| log.contains("\"step\""))
    });
    first.signal("-STOP");
    assert!(
        !run.join("metrics.json").exists(),
        "it ended before it was paused"
    );

    // The system's lock holds between two processes here, paused or not.
    let before = hashes(&run);
    let refused = bench.cass(command);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), ELSEWHERE, "{said}");
    let owner = format!("error: run cannot be used: process {} on ", first.0.id());
    assert!(
        said.contains(&owner) && said.contains("is running in it"),
        "{said}"
    );
    assert_eq!(hashes(&run), before);

    // Another node does not see that lock, only that the owner gives no sign of life.
    fs::remove_file(run.join(".lock")).unwrap();
    let generation = seen_from_elsewhere(&run);
    let second = bench.start(command);
    let id = second.0.id();
    let (code, said) = second.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(run.join("metrics.json").exists());
    let owners = names(&run, ".owner.");
    assert_eq!(owners, [format!(".owner.{}", generation + 1)]);

    let after = hashes(&run);
    first.signal("-CONT");
    let (code, said) = first.end();
    assert_eq!(code, ELSEWHERE, "{said}");
    let last = said.lines().last().unwrap_or_default();
    let lost = "error: run cannot be written: its lock is lost, process ";
    assert!(
        last.starts_with(lost) && last.ends_with("has taken the run over"),
        "{said}"
    );
    assert!(last.contains(&format!("process {id} on ")), "{last}");
    assert_eq!(hashes(&run), after);
}

/// Makes the owner's file one that a process on another computer keeps, which is to be waited for
/// for half a second; its generation.
fn seen_from_elsewhere(run: &Path) -> u64 {
    let owners = names(run, ".owner.");
    assert_eq!(owners.len(), 1, "{owners:?}");
    let path = run.join(&owners[0]);
    let mut owner: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(owner["released"], false);
    owner["host"] = "elsewhere".into();
    owner["silence"] = 500.into();
    fs::write(&path, owner.to_string()).unwrap();
    owners[0].strip_prefix(".owner.").unwrap().parse().unwrap()
}

#[test]
fn of_two_at_once_one_runs_and_one_is_refused() {
    let bench = Bench::new();
    let pair = [bench.start(PRETRAIN), bench.start(PRETRAIN)];
    let mut ended = pair.map(Running::end);
    ended.sort();
    let [(one, said), (other, refusal)] = &ended;
    assert_eq!((*one, *other), (Some(0), ELSEWHERE), "{said}\n{refusal}");
    assert!(refusal.contains("is running in it"), "{refusal}");
    assert!(bench.path("run/metrics.json").exists());
}

fn names(folder: &Path, start: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

/// SHA-256 of every file under a folder.
fn hashes(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            hashes.extend(self::hashes(&path));
        } else {
            let hash = format!("{:x?}", Sha256::digest(fs::read(&path).unwrap()));
            hashes.insert(path, hash);
        }
    }
    hashes
}
