//! What lies in a run's folder, or in its way: the user's files, links, pipes, and what earlier attempts left.
#![cfg(unix)]

mod bench;
mod running;

use bench::Bench;
use running::Running;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PRETRAIN: &str = "pretrain --method cass --cnn vit_tiny_patch16_224 --vit deit_tiny_patch16_224 \
    --weights random --data-root data --size 16 --epochs 4 --batch 8 --threads 2 --device cpu \
    --checkpoint-every 1";
const PROBE: &str = "probe --weights random --arch vit_tiny_patch16_224 --mode knn --data-root data --size 16 \
    --batch 8 --threads 2 --device cpu";

impl Bench {
    /// Runs a command; its exit code and what it said. A command that waits for ever fails.
    fn told(&self, args: &str) -> (i32, String) {
        let since = Instant::now();
        let mut running = self.start(args);
        while running.0.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < Duration::from_secs(120), "{args} hangs");
            std::thread::sleep(Duration::from_millis(10));
        }
        let (code, said) = running.end();
        (code.unwrap(), said)
    }

    fn refused(&self, args: &str, part: &str) {
        let (code, said) = self.told(args);
        // A probe says first how it reads its images.
        let errors: Vec<&str> = said
            .lines()
            .filter(|line| !line.contains(" in data: "))
            .collect();
        assert_eq!((code, errors.len()), (2, 1), "{args}: {said}");
        assert!(errors[0].contains(part), "{args}: {said}");
    }

    /// A pretraining that was killed after its first step.
    fn killed(&self, out: &str) {
        let mut running = self.start(&format!("{PRETRAIN} --out {out}"));
        let resume = self.path(out).join("resume");
        running.until(|| {
            let states = fs::read_dir(&resume).into_iter().flatten().flatten();
            states
                .map(|e| e.file_name())
                // Its checksum is there before it.
                .any(|name| name.to_string_lossy().ends_with(".safetensors"))
        });
        running.signal("-KILL");
        running.end();
    }
}

fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.display().to_string(),
                fs::read(&path).unwrap_or_default(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_folder_of_the_users_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    let recipe = "# mine\nnot = 'a recipe of a run'\n";
    for (names, args) in [
        (["recipe.toml", "resume"], format!("{PRETRAIN} --out mine")),
        (["log.jsonl", "features"], format!("{PROBE} --out mine")),
        (["thesis.txt", "runs"], format!("{PRETRAIN} --out mine")),
    ] {
        let mine = bench.path("mine");
        fs::create_dir_all(mine.join(names[1])).unwrap();
        fs::write(mine.join(names[0]), recipe).unwrap();
        fs::write(
            mine.join(names[1]).join("step-000000001.safetensors"),
            "mine",
        )
        .unwrap();
        let before = (listing(&mine), listing(&mine.join(names[1])));
        bench.refused(&args, "mine is no run folder and not empty");
        assert_eq!((listing(&mine), listing(&mine.join(names[1]))), before);
        fs::remove_dir_all(mine).unwrap();
    }
}

#[test]
fn links_in_a_run_folder_are_not_followed() {
    let bench = Bench::new();
    let own = bench.path("own.txt");
    let kept = bench.path("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("step-000000001.safetensors"), "dear").unwrap();
    for (name, is_hard) in [
        (".lock", false),
        (".lock", true),
        (".recipe.toml.new.1", false),
        (".owner.1", false),
        ("resume", false),
        ("log.jsonl", false),
        ("checkpoint-cnn.safetensors", true),
    ] {
        fs::write(&own, "dear").unwrap();
        let out = bench.path("run");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        let target = if name == "resume" { &kept } else { &own };
        match is_hard {
            true => fs::hard_link(target, out.join(name)).unwrap(),
            false => symlink(target, out.join(name)).unwrap(),
        }
        let (code, said) = bench.told(&format!("{PRETRAIN} --out run"));
        assert!([0, 1, 2].contains(&code), "{name}: {code}, {said}");
        assert_eq!(fs::read(&own).unwrap(), b"dear", "{name}: {said}");
        assert_eq!(listing(&kept).len(), 1, "{name}: {said}");
    }
    // In a run that has begun, too.
    bench.killed("begun");
    let out = bench.path("begun");
    for name in [
        "log.jsonl",
        "checkpoint-vit.safetensors",
        "events.out.tfevents.cass",
        "manifest.tsv",
    ] {
        let _ = fs::remove_file(out.join(name));
        symlink(&own, out.join(name)).unwrap();
    }
    let (code, said) = bench.told(&format!("{PRETRAIN} --out begun"));
    assert_eq!(code, 0, "{said}");
    assert_eq!(fs::read(&own).unwrap(), b"dear");
}

#[test]
fn a_lost_log_stops_no_resume_and_leftovers_go() {
    let bench = Bench::new();
    assert_eq!(bench.told(&format!("{PRETRAIN} --out whole")).0, 0);
    bench.killed("run");
    let out = bench.path("run");
    let log = fs::read(out.join("log.jsonl")).unwrap();
    fs::write(out.join("log.jsonl"), &log[..log.len() / 2]).unwrap();
    fs::write(out.join("events.out.tfevents.cass"), "").unwrap();
    let (code, said) = bench.told(&format!("{PRETRAIN} --out run"));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning: "), "{said}");
    for name in ["checkpoint-cnn.safetensors", "checkpoint-vit.safetensors"] {
        let read = |run: &str| fs::read(bench.path(run).join(name)).unwrap();
        assert!(read("run") == read("whole"), "{name}");
    }
    // As a kill between metrics.json and the clean-up leaves it.
    let resume = out.join("resume");
    fs::create_dir(&resume).unwrap();
    for name in [
        "step-000000006.safetensors",
        "step-000000006.safetensors.sha256",
    ] {
        fs::write(resume.join(name), "large").unwrap();
    }
    assert_eq!(bench.told(&format!("{PRETRAIN} --out run")).0, 0);
    assert!(!resume.exists());
}

#[test]
fn a_folder_that_goes_while_its_run_is_going_has_its_own_sentence() {
    let bench = Bench::new();
    let mut running = bench.start(&format!("{PRETRAIN} --set epochs=400 --out run"));
    let out = bench.path("run");
    running.until(|| out.join("resume").exists());
    // All at once: of a folder that is half removed the run says which file it missed.
    fs::rename(&out, bench.path("gone")).unwrap();
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("was removed while the run was going"),
        "{said}"
    );
    assert!(!said.contains("taken the run over"), "{said}");
}

#[test]
fn metrics_that_are_none_are_no_finished_run() {
    let bench = Bench::new();
    assert_eq!(bench.told(&format!("{PROBE} --out run")).0, 0);
    for text in ["[]", "", "null", "{}", "{\"kind\": \"probe\"}", "\"x\""] {
        fs::write(bench.path("run/metrics.json"), text).unwrap();
        bench.refused(
            &format!("{PROBE} --out run"),
            "run/metrics.json cannot be used",
        );
        bench.refused("predict --run run data", "run/metrics.json cannot be used");
    }
}

#[test]
fn pipes_and_devices_hold_nobody_up() {
    let bench = Bench::new();
    assert_eq!(bench.told(&format!("{PROBE} --out whole")).0, 0);
    let fifo = |path: &Path| {
        let _ = fs::remove_file(path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    for (name, reader) in [
        (
            "predictions.csv",
            "metrics --predictions whole/predictions.csv",
        ),
        ("metrics.json", "predict --run whole data"),
        ("recipe.toml", "predict --run whole data"),
        ("neighbours.safetensors", "predict --run whole data"),
        (
            "checkpoint.safetensors",
            "export --run whole --out exported",
        ),
        (".lock", &format!("{PROBE} --out whole")),
    ] {
        let path = bench.path("whole").join(name);
        let kept = fs::read(&path).unwrap();
        fifo(&path);
        let (code, said) = bench.told(reader);
        assert!([1, 2].contains(&code), "{name}: {code}, {said}");
        assert!(said.contains("error: "), "{name}: {said}");
        fs::remove_file(&path).unwrap();
        fs::write(&path, kept).unwrap();
    }
    // Images, and a table of labels.
    let class = bench.path("odd/a");
    fs::create_dir_all(&class).unwrap();
    symlink("/dev/zero", class.join("1.png")).unwrap();
    fifo(&class.join("2.png"));
    let (code, said) = bench.told("predict --run whole odd");
    assert_eq!(code, 1, "{said}");
    assert_eq!(said.matches("regular file").count(), 2, "{said}");
    fifo(&bench.path("labels.csv"));
    let (code, said) = bench.told("data check --data csv --data-root labels.csv");
    assert_eq!(code, 2, "{said}");
    assert!(bench.path("labels.csv").metadata().unwrap().mode() & 0o170_000 == 0o010_000);
}

#[test]
fn ten_thousand_classes_are_refused_at_once() {
    let bench = Bench::new();
    let names: Vec<String> = (0..10_000).map(|n| format!("class-{n}")).collect();
    let zeros = ",0".repeat(10_000);
    let text = format!(
        "file,true,predicted,{}\na,class-1,class-2{zeros}\n",
        names.join(",")
    );
    fs::write(bench.path("many.csv"), text).unwrap();
    let since = Instant::now();
    bench.refused("metrics --predictions many.csv", "at most 2000");
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn a_limit_of_the_system_is_an_error_and_not_a_signal() {
    let bench = Bench::new();
    let cass = env!("CARGO_BIN_EXE_cass");
    let script = format!("ulimit -f 200; exec {cass} {PROBE} --out run");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(bench.folder.path());
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
    assert_eq!(bench.told(&format!("{PROBE} --out run")).0, 0);
}

#[test]
fn a_killed_probe_counts_what_it_computed_before() {
    let bench = Bench::new();
    let probe = format!(
        "{} --mode linear --epochs 200",
        PROBE.replace("--mode knn", "--patience 200")
    );
    let probe = format!("{probe} --feature-cache kept --out run");
    let mut running = bench.start(&probe);
    let log = bench.path("run/log.jsonl");
    let lines = |part: &str| {
        fs::read_to_string(&log)
            .unwrap_or_default()
            .matches(part)
            .count()
    };
    running.until(|| lines("\"epoch\"") > 2);
    assert_eq!(lines("\"features\""), 1);
    running.0.kill().unwrap();
    running.end();
    let last = bench.path("run/recipe.toml");
    assert!(last.exists());
    let (code, said) = bench.told(&probe);
    assert_eq!(code, 0, "{said}");
    let metrics = fs::read_to_string(bench.path("run/metrics.json")).unwrap();
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(metrics["features_computed"], 24 + 8);
}

/// As a killed `reproduce` lets go of its runs.
#[test]
fn a_run_stops_when_who_started_it_lets_go_of_its_input() {
    let bench = Bench::new();
    let args = format!("{PRETRAIN} --set epochs=200 --out run");
    let mut command = bench.command(&args);
    command
        .env("CASS_ENDS_WITH_STDIN", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let log = bench.path("run/log.jsonl");
    running.until(|| fs::read_to_string(&log).is_ok_and(|log| log.contains("\"step\"")));
    drop(running.0.stdin.take());
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(bench.path("run/resume").is_dir());
}

#[test]
fn a_finished_run_says_which_of_its_files_are_not_there_any_more() {
    let bench = Bench::new();
    let probe = format!("{PROBE} --out run");
    assert_eq!(bench.told(&probe).0, 0);
    let predictions = bench.path("run/predictions.csv");
    let written = fs::read(&predictions).unwrap();
    let (code, said) = bench.told(&probe);
    assert!(code == 0 && !said.contains("removed"), "{said}");
    fs::remove_file(&predictions).unwrap();
    let (code, said) = bench.told(&probe);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("removed since it finished: predictions.csv ("),
        "{said}"
    );
    // As it says.
    fs::remove_file(bench.path("run/metrics.json")).unwrap();
    assert_eq!(bench.told(&probe).0, 0);
    assert_eq!(fs::read(&predictions).unwrap(), written);
}
