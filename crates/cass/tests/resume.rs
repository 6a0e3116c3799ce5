//! Real processes, killed at any moment, that go on to the same bytes.

#![cfg(unix)]

mod bench;
mod running;

use bench::Bench;
use cass_rng::Rng;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn log_lines(run: &Path) -> usize {
    let log = fs::read(run.join("log.jsonl")).unwrap_or_default();
    log.iter().filter(|&&byte| byte == b'\n').count()
}

/// Names in the folder of the states that `wanted` fits.
fn states(run: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(run.join("resume")).into_iter().flatten();
    let names = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| wanted(name)).collect();
    names.sort();
    names
}

/// JSON without what a clock or the system decides.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            object.retain(|key, _| !cass_run::WALL_CLOCK.contains(&key.as_str()));
            object.values_mut().for_each(|v| *v = timeless(v.take()));
        }
        Value::Array(values) => values.iter_mut().for_each(|v| *v = timeless(v.take())),
        _ => {}
    }
    value
}

fn json_lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    values.map(|value| timeless(value.unwrap())).collect()
}

/// Three epochs of three steps, averaged from the second on; every second step a checkpoint.
const CASS: &str = "pretrain --method cass --cnn vit_tiny_patch16_224 --vit deit_tiny_patch16_224 \
    --weights random --data-root data --size 16 --epochs 3 --batch 8 --threads 2 --device cpu \
    --checkpoint-every 2";

/// When an attempt is killed.
enum Moment {
    /// So many milliseconds after the log has so many lines.
    After(usize, u64),
    /// While a checkpoint is written that is not there yet.
    Writing,
}

#[test]
fn killed_ten_times_it_ends_with_the_same_bytes() {
    let bench = Bench::new();
    assert!(bench.cass(&format!("{CASS} --out whole")).status.success());
    let (run, whole) = (bench.path("run"), bench.path("whole"));
    let lines = log_lines(&whole);

    let mut rng = Rng::new(6, "kill", [0, 0], 0);
    let mut after: Vec<usize> = (0..7).map(|_| rng.below(lines - 2)).collect();
    after.sort_unstable();
    let after = after.into_iter();
    let mut moments: Vec<Moment> = after
        .map(|line| Moment::After(line, rng.below(30) as u64))
        .collect();
    for place in [2, 5, 7] {
        moments.insert(place, Moment::Writing);
    }
    let (mut said, mut damaged) = (String::new(), String::new());
    for (attempt, moment) in moments.into_iter().enumerate() {
        said += &killed(&bench, &moment);
        if attempt == 4 {
            stopped_politely(&bench);
            stopped_by_a_full_disk(&bench);
            damaged = damage_the_newest(&run);
        }
    }
    let last = bench.cass(&format!("{CASS} --out run"));
    said += &String::from_utf8_lossy(&last.stderr);
    assert_eq!(last.status.code(), Some(0), "{said}");
    let warned = format!("warning: the checkpoint run/resume/{damaged} cannot be used");
    assert!(said.contains(&warned), "{warned}: {said}");

    for name in [
        "checkpoint-cnn.safetensors",
        "checkpoint-vit.safetensors",
        "manifest.tsv",
    ] {
        let same = fs::read(run.join(name)).unwrap() == fs::read(whole.join(name)).unwrap();
        assert!(same, "{name} differs");
    }
    for name in ["metrics.json", "log.jsonl"] {
        let (run, whole) = (json_lines(&run.join(name)), json_lines(&whole.join(name)));
        assert_eq!(run, whole, "{name}");
    }
    assert!(!run.join("resume").exists());
}

/// An attempt that is killed; what it said.
fn killed(bench: &Bench, moment: &Moment) -> String {
    let run = bench.path("run");
    let mut running = bench.start(&format!("{CASS} --out run"));
    let is_new = |name: &str| name.starts_with('.');
    match moment {
        Moment::After(line, wait) => {
            running.until(|| log_lines(&run) >= *line);
            std::thread::sleep(Duration::from_millis(*wait));
        }
        Moment::Writing => {
            let left = states(&run, is_new);
            running.until(|| {
                let now = states(&run, is_new);
                now.iter().any(|name| !left.contains(name))
            });
        }
    }
    running.0.kill().unwrap();
    let (code, said) = running.end();
    assert_eq!(code, None, "it was not killed: {said}");
    assert!(!run.join("metrics.json").exists());
    said
}

/// Asked to stop, it says where it did; while it runs, a second process is turned away.
fn stopped_politely(bench: &Bench) {
    let run = bench.path("run");
    // The log is another file once the run continues, and grows once it takes steps.
    let log = || fs::metadata(run.join("log.jsonl")).map_or(0, |log| log.ino());
    let before = log();
    let mut running = bench.start(&format!("{CASS} --out run"));
    running.until(|| log() != before);
    let begun = log_lines(&run);
    running.until(|| log_lines(&run) > begun);
    running.signal("-STOP");
    let second = bench.cass(&format!("{CASS} --out run"));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains("is running in it"), "{said}");
    running.signal("-TERM");
    running.signal("-CONT");
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.contains("the same command continues from there"),
        "{said}"
    );
}

/// Files may have 40 MB, and a checkpoint has over 100: a write fails as on a full disk.
fn stopped_by_a_full_disk(bench: &Bench) {
    let whole = |name: &str| name.ends_with(".safetensors");
    let before = states(&bench.path("run"), whole);
    let cass = env!("CARGO_BIN_EXE_cass");
    let script = format!("trap '' XFSZ; ulimit -f 80000; exec {cass} {CASS} --out run");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(bench.folder.path());
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: run/resume/step-"), "{said}");
    assert_eq!(states(&bench.path("run"), whole), before);
}

/// Changes one bit of the newest checkpoint; its name.
fn damage_the_newest(run: &Path) -> String {
    let mut kept = states(run, |name| name.ends_with(".safetensors"));
    assert_eq!(kept.len(), 2, "{kept:?}");
    let newest = kept.remove(1);
    let file = run.join("resume").join(&newest);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    newest
}

#[test]
fn a_killed_probe_starts_again() {
    let bench = Bench::new();
    let probe = "probe --weights random --arch vit_tiny_patch16_224 --mode finetune --size 16 \
        --epochs 3 --batch 4 --threads 2 --device cpu --data-root data";
    assert!(bench.cass(&format!("{probe} --out whole")).status.success());
    let (run, whole) = (bench.path("run"), bench.path("whole"));
    let mut running = bench.start(&format!("{probe} --out run"));
    running.until(|| log_lines(&run) >= 4);
    running.0.kill().unwrap();
    running.end();
    assert!(bench.cass(&format!("{probe} --out run")).status.success());
    for name in ["checkpoint.safetensors", "predictions.csv"] {
        let same = fs::read(run.join(name)).unwrap() == fs::read(whole.join(name)).unwrap();
        assert!(same, "{name} differs");
    }
    for name in ["metrics.json", "log.jsonl"] {
        assert_eq!(
            json_lines(&run.join(name)),
            json_lines(&whole.join(name)),
            "{name}"
        );
    }
}

/// Steps of a run that its log tells of.
fn steps(run: &Path) -> usize {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap_or_default();
    log.lines()
        .filter(|line| line.contains("\"event\":\"step\""))
        .count()
}

#[test]
fn a_step_is_left_in_its_middle_and_the_run_ends_with_the_same_bytes() {
    let bench = Bench::new();
    // Over a second a step, wherever the tests run.
    let cass = "pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random --data-root data \
        --size 160 --epochs 2 --batch 12 --accumulate 2 --threads 1 --device cpu --set zero_grad=false";
    assert!(bench.cass(&format!("{cass} --out whole")).status.success());
    let (run, whole) = (bench.path("run"), bench.path("whole"));
    let (mut left, mut said) = (0, String::new());
    for wait in [150, 400, 250] {
        let begun = steps(&run);
        let mut running = bench.start(&format!("{cass} --out run"));
        running.until(|| steps(&run) > begun);
        std::thread::sleep(Duration::from_millis(wait));
        let at = steps(&run);
        running.signal("-TERM");
        let (code, text) = running.end();
        assert_eq!(code, Some(130), "{text}");
        // One that ended in this very moment is no sign of not having heard.
        left += usize::from(steps(&run) == at);
        said += &text;
    }
    assert!(left > 0, "every step was taken to its end: {said}");
    assert!(bench.cass(&format!("{cass} --out run")).status.success());
    for name in ["checkpoint-cnn.safetensors", "checkpoint-vit.safetensors"] {
        let same = fs::read(run.join(name)).unwrap() == fs::read(whole.join(name)).unwrap();
        assert!(same, "{name} differs");
    }
    for name in ["metrics.json", "log.jsonl"] {
        let (run, whole) = (json_lines(&run.join(name)), json_lines(&whole.join(name)));
        assert_eq!(run, whole, "{name}");
    }
}
