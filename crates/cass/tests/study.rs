//! One's own images in one command.

mod bench;
mod running;

use bench::Bench;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// The least study: every kind of run, each as short as it can be.
const LEAST: &str =
    "--seeds 1 --size 16 --epochs 1 --finetune-epochs 1 --budget 1m --device cpu --threads 2";

fn report(bench: &Bench, out: &str) -> Value {
    let text = fs::read_to_string(bench.path(&format!("{out}/report.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Macro F1 of every run.
fn scores(bench: &Bench, out: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(bench.path(&format!("{out}/results.csv"))).unwrap();
    let rows = text.lines().skip(1).map(|row| {
        let fields: Vec<&str> = row.split(',').collect();
        (fields[..5].join(" "), fields[6..8].join(" "))
    });
    rows.collect()
}

#[test]
fn a_folder_of_classes_becomes_a_verdict_and_a_network_to_use_however_often_it_is_stopped() {
    let bench = Bench::new();
    let draw = "data phantom --out all --seed 3 --train-per-class 12 --test-per-class 1 --size 24";
    assert!(bench.cass(draw).status.success());
    // A flat tree of classes, with a picture that is there twice.
    let scans = bench.path("scans");
    fs::rename(bench.path("all/Training"), &scans).unwrap();
    let first = fs::read_dir(scans.join("glioma"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::copy(first.path(), scans.join("glioma/copy.png")).unwrap();

    let command = format!("study scans {LEAST} --out whole");
    let output = bench.cass(&command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("2 have a copy") && said.contains("plan: 25 runs"),
        "{said}"
    );
    let whole = report(&bench, "whole");
    let verdicts = whole["verdicts"].as_array().unwrap();
    // Two arms by two kinds of frozen probes and by fine-tuning, each with few labels and with all.
    assert_eq!(verdicts.len(), 12);
    let sentence = verdicts[0]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with(
            "Whether pretraining helps the CNN (resnet18) cannot be said from 1 training"
        ),
        "{sentence}"
    );
    assert_eq!(
        (&verdicts[0]["decided"], &verdicts[0]["downstream"]),
        (&false.into(), &"logistic".into())
    );
    for file in [
        "report.html",
        "report.md",
        "forest.svg",
        "results.csv",
        "verdicts.csv",
        "features.csv",
        "best/README.md",
        "best/config.json",
    ] {
        assert!(bench.path(&format!("whole/{file}")).is_file(), "{file}");
    }
    let page = fs::read_to_string(bench.path("whole/report.html")).unwrap();
    assert!(page.contains(sentence) && page.contains("For a methods section"));

    // What it leaves predicts, and says of the test images what it said before.
    let best = fs::read_to_string(bench.path("whole/best/predictions.csv")).unwrap();
    let row = best.lines().nth(1).unwrap();
    let file = row.split(',').next().unwrap();
    let predicted = bench.cass(&format!(
        "predict --run whole/best --device cpu --threads 2 {file}"
    ));
    let predicted = String::from_utf8_lossy(&predicted.stdout).into_owned();
    let fields = |row: &str| -> (String, Vec<f64>) {
        let mut fields = row.rsplitn(6, ',').collect::<Vec<_>>();
        fields.truncate(5);
        let numbers = fields[..4].iter().map(|text| text.parse().unwrap());
        (fields[4].to_owned(), numbers.collect())
    };
    let (was, is) = (fields(row), fields(predicted.lines().nth(1).unwrap()));
    assert_eq!(was.0, is.0);
    // Alone an image goes another way through the products than in a batch.
    let close = was.1.iter().zip(&is.1).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close, "{row}: {predicted}");

    // Stopped by kill -9 while it pretrains and while it probes, and continued, it says the same.
    let command = command.replace("whole", "again");
    for started in [1, 6, 14] {
        let mut running = bench.start(&command);
        let runs = bench.path("again/runs");
        let finished = || {
            fs::read_dir(&runs).map_or(0, |entries| {
                entries
                    .flatten()
                    .filter(|entry| entry.path().join("recipe.toml").is_file())
                    .count()
            })
        };
        running.until(|| finished() >= started);
        running.signal("-KILL");
        running.end();
    }
    assert!(bench.cass(&command).status.success());
    assert_eq!(scores(&bench, "again"), scores(&bench, "whole"));

    let other = bench.cass(&command.replace("--size 16", "--size 32"));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(
        said.contains("holds a study with another networks"),
        "{said}"
    );
}

#[test]
fn a_table_labels_some_images_and_another_hospitals_are_tested_on() {
    let bench = Bench::new();
    for (out, seed) in [("here", 4), ("there", 5)] {
        let draw = format!(
            "data phantom --out {out} --seed {seed} --train-per-class 12 --test-per-class 1 --size 24"
        );
        assert!(bench.cass(&draw).status.success());
    }
    // All images in one folder; a table that has labels for two thirds of them.
    let flat = bench.path("flat");
    fs::create_dir(&flat).unwrap();
    let mut table = String::from("path,label\n");
    for class in ["glioma", "meningioma", "notumor", "pituitary"] {
        let folder = bench.path(&format!("here/Training/{class}"));
        for (place, entry) in fs::read_dir(folder).unwrap().flatten().enumerate() {
            let name = format!("{class}-{place}.png");
            fs::copy(entry.path(), flat.join(&name)).unwrap();
            if place < 8 {
                table += &format!("{name},{class}\n");
            }
        }
    }
    fs::write(bench.path("labels.csv"), table).unwrap();
    let less = LEAST.replace("--finetune-epochs 1", "--finetune-epochs 0");
    let command =
        format!("study flat --labels labels.csv --test there/Training {less} --out study --json");
    let output = bench.cass(&command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["images"]["images"], 48 + 48);
    assert_eq!(
        (&told["images"]["labelled"], &told["images"]["test"]),
        (&80.into(), &48.into())
    );
    assert_eq!(told["verdicts"][0]["images"], 48);
    let manifest = fs::read_dir(bench.path("study/runs")).unwrap().flatten();
    let pretraining = manifest
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("pretrain"))
        .unwrap();
    let manifest = fs::read_to_string(pretraining.join("manifest.tsv")).unwrap();
    let trained = manifest
        .lines()
        .filter(|line| line.contains("train"))
        .count();
    // All without a label, and those with one but for the tenth that validates.
    assert_eq!(trained, 16 + 28, "{manifest}");

    // The same patient here and there.
    let leak = fs::read_dir(bench.path("there/Training/glioma"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::copy(leak.path(), flat.join("leak.png")).unwrap();
    let output = bench.cass(&command.replace("--out study", "--out leak --dry-run"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("1 of the 48 test images") && said.contains("--accept-leakage"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_studied_is_said_in_one_line() {
    let bench = Bench::new();
    fs::create_dir(bench.path("empty")).unwrap();
    for (arguments, said) in [
        ("study nowhere", "nowhere is no folder"),
        ("study empty", "expected folders <class>"),
        ("study data --budget soon", "expected a time such as 30m"),
        (
            "study data/Testing --cnn resnet51",
            "unknown network `resnet51`",
        ),
    ] {
        let output = bench.cass(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{arguments}: {text}");
        assert!(!bench.path("study").exists(), "{arguments} left a folder");
    }
}

#[test]
fn a_folder_has_one_study_at_a_time() {
    let bench = Bench::new();
    let command = format!("study data/Training {LEAST}");
    let mut running = bench.start(&command);
    running.until(|| bench.path("study/.job.lock").exists());
    let second = bench.cass(&command);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{said}");
    running.signal("-KILL");
    running.end();
}
