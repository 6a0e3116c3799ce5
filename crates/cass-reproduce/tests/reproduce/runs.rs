//! What is started, shared, skipped, redone and isolated.

use super::{Job, data_set, refused, succeeded, text};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

fn count(lines: &[impl AsRef<str>], part: &str) -> usize {
    lines
        .iter()
        .filter(|line| line.as_ref().contains(part))
        .count()
}

fn plan(arguments: &str) -> Vec<String> {
    let job = Job::new();
    let output = job.run(&format!(
        "reproduce --table 3 --device cpu --dry-run --out {{out}} {arguments}"
    ));
    succeeded(&output);
    assert!(!job.out().exists(), "a dry run wrote something");
    assert!(job.started().is_empty(), "a dry run started cass");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn one_pretraining_serves_both_arms_and_all_fractions() {
    let lines = plan("--seeds 1 --downstream all");
    // The name opens the line; further on it says what a probe starts from.
    let starts = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((starts("pretrain-cass"), starts("pretrain-dino")), (2, 2));
    for downstream in ["linear-", "logistic-", "knn-", "finetune-"] {
        assert_eq!(starts(downstream), 24, "{downstream}");
    }
    assert_eq!(count(&lines, "from pretrain-cass-brain-mri"), 24);
    assert_eq!(count(&lines, "finetune-supervised"), 6);
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("100 runs, 0 done; about "),
        "{lines:?}"
    );
}

#[test]
fn notebooks_pretrain_on_the_labelled_images() {
    let lines = plan("--seeds 1 --protocol notebook --downstream finetune");
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("pretrain-"))
            .count(),
        12
    );
    assert_eq!(
        count(&lines, "-s77-"),
        lines.len() - 3,
        "the notebooks' seed is 77"
    );
    assert!(lines.iter().all(|line| !line.starts_with("linear-")));
}

#[test]
fn profiles_follow_the_data() {
    let job = Job::new();
    let root = job.dir.path().join("mri");
    data_set(&root);
    let root = root.display();
    let names = |lines: Vec<String>| -> Vec<String> {
        let first = |line: &String| line.split_whitespace().next().map(str::to_owned);
        lines.iter().filter_map(first).collect()
    };
    let small = names(plan(&format!("--data-root {root}")));
    assert_eq!(
        small,
        names(plan(&format!("--data-root {root} --profile small")))
    );
    assert_ne!(small, names(plan("--profile demo --seeds 3")));
    assert_eq!(count(&small, "pretrain-cass-brain-mri"), 3);
}

#[test]
fn finished_runs_are_skipped_and_damaged_ones_redone() {
    let job = Job::new();
    succeeded(&job.demo());
    assert_eq!(job.started().len(), 1 + 100, "the phantoms and every run");
    succeeded(&job.demo());
    assert!(job.started().is_empty());

    fs::remove_file(job.folder("linear-cass-cnn-1pct").join("metrics.json")).unwrap();
    fs::write(
        job.folder("linear-dino-vit-10pct").join("metrics.json"),
        "{\"kind\":",
    )
    .unwrap();
    fs::remove_dir_all(job.folder("finetune-supervised-vit-100pct")).unwrap();
    let other = job.folder("finetune-cass-cnn-100pct").join("run.json");
    let edited = fs::read_to_string(&other).unwrap().replace(
        "\"finetune\",\n      \"--fraction\"",
        "\"x\",\n      \"--fraction\"",
    );
    assert!(edited.contains("\"x\""));
    fs::write(&other, edited).unwrap();
    succeeded(&job.demo());
    let started = job.started();
    assert_eq!(started.len(), 4, "{started:?}");
}

#[test]
fn a_changed_scale_shares_nothing() {
    let job = Job::new();
    let root = job.dir.path().join("mri");
    data_set(&root);
    let arguments = format!(
        "reproduce --table 3 --seeds 1 --device cpu --only linear-untrained --data-root {} --out {{out}}",
        root.display()
    );
    succeeded(&job.run(&arguments));
    assert_eq!(job.started().len(), 6);
    // Other images: other runs.
    fs::write(root.join("Training/glioma/2.jpg"), "xy").unwrap();
    succeeded(&job.run(&arguments));
    assert_eq!(job.started().len(), 6);
}

#[test]
fn only_keeps_what_a_run_needs() {
    let job = Job::new();
    let output =
        job.run("reproduce --table 3 --seeds 1 --device cpu --only linear-cass-vit --out {out}");
    succeeded(&output);
    let started = job.started();
    assert_eq!(started.len(), 1 + 1 + 3, "{started:?}");
    assert_eq!(count(&started, "pretrain-cass"), 1);
    assert_eq!(count(&started, "linear-cass-vit"), 3);
}

#[test]
fn a_failed_run_is_one_line_and_stops_only_what_needs_it() {
    let job = Job::new();
    let arguments =
        "reproduce --table 3 --seeds 1 --downstream all --device cpu --jobs 3 --out {out}";
    let output = job
        .command(arguments)
        .env("FAKE_FAIL", "pretrain-dino-vit")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(count(&lines, "failed and is tried again"), 1, "{stderr}");
    assert_eq!(
        count(
            &lines,
            "FAILED (exit status: 1): failed to go on: made to <fail>"
        ),
        1,
        "{stderr}"
    );
    assert_eq!(
        count(&lines, "not run: it needs pretrain-dino-vit"),
        12,
        "{stderr}"
    );
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("error: 12 cells are incomplete"),
        "{stderr}"
    );
    assert_eq!(
        job.started().len(),
        1 + 100 - 12 + 1,
        "the failed one twice"
    );

    let results = job.results();
    for cell in results["cells"].as_array().unwrap() {
        let lost = cell["method"] == "DINO" && cell["arm"] == "vit";
        assert_eq!(cell["mean"].is_null(), lost, "{cell}");
        assert_eq!(
            cell["missing"].as_array().unwrap().is_empty(),
            !lost,
            "{cell}"
        );
    }
    // Another time it works, and only what was lost is run.
    succeeded(&job.run(arguments));
    assert_eq!(job.started().len(), 1 + 12);
}

#[test]
fn gpus_have_one_run_at_a_time_each() {
    let job = Job::new();
    let arguments = "reproduce --table 3 --seeds 1 --downstream knn --devices 0,3 --out {out}";
    let mut command = job.command(arguments);
    succeeded(&command.env("FAKE_SLEEP", "0.2").output().unwrap());
    let mut count = std::collections::BTreeMap::new();
    let mut ran = Vec::new();
    for folder in fs::read_dir(job.out().join("runs")).unwrap() {
        let folder = folder.unwrap().path();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        let run: serde_json::Value = serde_json::from_str(&read("run.json")).unwrap();
        let device = run["provenance"]["device"].as_str().unwrap().to_owned();
        assert!(
            read("recipe.toml").contains(&device),
            "{}",
            folder.display()
        );
        *count.entry(device.clone()).or_insert(0) += 1;
        let modified = |file: &str| fs::metadata(folder.join(file)).unwrap().modified().unwrap();
        ran.push((device, modified("run.json"), modified("metrics.json")));
    }
    assert_eq!(count.keys().collect::<Vec<_>>(), ["cuda:0", "cuda:3"]);
    assert!(count.values().all(|&runs| runs > 3), "{count:?}");
    for (i, (device, begun, ended)) in ran.iter().enumerate() {
        for (other, its_begin, its_end) in &ran[..i] {
            let apart = begun >= its_end || its_begin >= ended;
            assert!(device != other || apart, "{ran:?}");
        }
    }
    // What is there counts on any GPU.
    job.started();
    succeeded(&job.run(&arguments.replace("0,3", "1")));
    assert_eq!(job.started(), Vec::<String>::new());
}

#[test]
fn wrong_input_or_a_folder_in_use_stops_the_job_at_its_first_run() {
    for code in ["2", "75"] {
        let job = Job::new();
        let output = job
            .command("reproduce --table 3 --seeds 1 --device cpu --out {out}")
            .env("FAKE_FAIL", "pretrain")
            .env("FAKE_EXIT", code)
            .output()
            .unwrap();
        refused(&output, &["made to <fail> & stop"]);
        // The folder may have been in use a moment ago: it is looked at once more.
        let runs = if code == "75" { 2 } else { 1 };
        assert_eq!(job.started().len(), 1 + runs, "the phantoms and the run");
    }
}

#[test]
fn phantoms_that_are_not_as_they_were_drawn_are_drawn_again() {
    let job = Job::new();
    succeeded(&job.demo());
    job.started();
    let image = job.out().join("data/brain-mri/Training/glioma/1.png");
    let drawn = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    for _ in 0..2 {
        succeeded(&job.demo());
        assert_eq!(job.started().len(), 1, "the phantoms, and no run");
        assert_eq!(fs::read(&image).unwrap(), drawn);
        fs::write(&image, "y").unwrap();
    }
}

/// Polls until `there` says so.
fn until(what: &str, there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !there() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The folder of the first run that sleeps.
fn asleep(job: &Job) -> Option<std::path::PathBuf> {
    let runs = fs::read_dir(job.out().join("runs")).ok()?.flatten();
    runs.map(|entry| entry.path())
        .find(|run| run.join("asleep").exists())
}

/// A job whose first run has started and sleeps, and that run's folder.
fn sleeping(job: &Job) -> (std::process::Child, std::path::PathBuf) {
    let child = job
        .command("reproduce --table 3 --seeds 1 --device cpu --out {out}")
        .env("FAKE_SLEEP", "60")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("no run was started", || asleep(job).is_some());
    (child, asleep(job).unwrap())
}

#[test]
fn a_second_job_in_the_same_folder_is_one_line_and_harms_nothing() {
    let job = Job::new();
    let (mut first, _) = sleeping(&job);
    let plan = job.read("plan.json");
    let second = job.run("reproduce --table 1 --seeds 2 --device cpu --out {out}");
    let said = text(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{said}");
    assert!(
        said.contains("another reproduce is running in it"),
        "{said}"
    );
    assert_eq!(job.read("plan.json"), plan);
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn runs_of_a_killed_job_end_with_it_and_the_next_job_waits_for_them() {
    let job = Job::new();
    let (mut killed, run) = sleeping(&job);
    killed.kill().unwrap();
    killed.wait().unwrap();
    until("its run goes on without it", || run.join("asked").exists());

    // A run that is still stopping: its lock is held, and `cass` says that it is.
    until("its run keeps the folder", || {
        cass_run::RunLock::claim(&run).is_ok()
    });
    let held = cass_run::RunLock::claim(&run).unwrap();
    let busy = job.dir.path().join("busy");
    fs::write(&busy, "").unwrap();
    let mut next = job
        .command("reproduce --table 3 --seeds 1 --device cpu --out {out}")
        .env("FAKE_BUSY", &busy)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it was not started", || !busy.exists());
    thread::sleep(Duration::from_secs(1));
    assert!(next.try_wait().unwrap().is_none(), "it waits");
    drop(held);
    assert!(next.wait().unwrap().success());
    assert!(job.out().join("results.json").exists());
}

#[test]
fn an_interrupted_job_ends_its_runs_and_goes_on_later() {
    let job = Job::new();
    let (mut child, begun) = sleeping(&job);
    let deadline = Instant::now() + Duration::from_secs(20);
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(Instant::now() < deadline, "it waited for its run");
    assert!(!job.out().join("results.json").exists());
    let asked = || fs::read_to_string(begun.join("asked")).unwrap();
    assert_eq!(
        asked(),
        "asked\n",
        "a second signal would stop it without a checkpoint"
    );

    job.started();
    succeeded(&job.demo());
    assert_eq!(asked(), "asked\n", "what it left was there to go on from");
    assert_eq!(
        job.started().len(),
        100,
        "all runs, and the phantoms were there"
    );
}

#[test]
fn an_entry_of_the_plan_is_a_whole_command_line() {
    let job = Job::new();
    succeeded(&job.demo());
    let entries: Vec<Value> = serde_json::from_str(&job.read("plan.json")).unwrap();
    assert_eq!(entries.len(), 100);
    let names: Vec<&str> = entries
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    for (index, entry) in entries.iter().enumerate() {
        let needs = entry["needs"].as_str();
        assert!(needs.is_none_or(|needs| names[..index].contains(&needs)));
        assert!(["pretrain", "probe"].contains(&entry["kind"].as_str().unwrap()));
    }
    // Any executor may do this, from anywhere.
    let entry = entries.iter().find(|e| e["kind"] == "probe").unwrap();
    let folder = std::path::Path::new(entry["folder"].as_str().unwrap());
    let before = fs::read(folder.join("metrics.json")).unwrap();
    fs::remove_file(folder.join("metrics.json")).unwrap();
    let command: Vec<&str> = entry["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    let status = std::process::Command::new(command[0])
        .args(&command[1..])
        .current_dir("/")
        .status();
    assert!(status.unwrap().success());
    assert!(fs::read(folder.join("metrics.json")).unwrap() == before);
    job.started();
    succeeded(&job.demo());
    assert!(job.started().is_empty(), "whoever ran it, it counts");
}
