//! `run.sh`, a task at a time: signals, twins, images.

use super::super::text;
use super::{Cluster, HERE, signal, until};
use std::fs;
use std::path::PathBuf;

/// What a task came to that got a signal while `cass` was at work.
struct Ended {
    code: Option<i32>,
    requeued: Vec<String>,
    failures: Vec<String>,
    /// Whether `cass` was asked to stop.
    asked: bool,
}

/// Starts a task of `run`, and sends the signal: to the shell alone, as ahead of the time limit, or to all of it.
fn ended(array: &str, run: &str, name: &str, to_all: bool) -> Ended {
    let cluster = Cluster::new();
    let scripts = cluster.submit("cass-cnn", &[]);
    cluster.job.started();
    let mut task = cluster.task(&scripts, array, 0);
    let mut task = task.env("FAKE_SLEEP", "60").spawn().unwrap();
    let folder = cluster.job.folder(run);
    until(&mut task, || folder.join("asleep").exists());
    let pid = i64::from(task.id());
    signal(name, if to_all { -pid } else { pid });
    let code = task.wait().unwrap().code();
    Ended {
        code,
        requeued: cluster.stub("scontrol"),
        failures: cluster.failures(run),
        asked: folder.join("asked").exists(),
    }
}

#[test]
fn ahead_of_the_time_limit_a_pretraining_stops_and_is_requeued() {
    let ended = ended("pretrain", "pretrain-cass", "USR1", false);
    assert!(ended.asked, "cass was not asked for a checkpoint");
    assert_eq!(ended.requeued, ["requeue 70"]);
    assert!(ended.failures.is_empty(), "{:?}", ended.failures);
}

#[test]
fn a_probe_that_the_time_limit_ends_has_failed() {
    let ended = ended("pretrain-probe-00", "linear-cass-cnn-1pct", "USR1", false);
    assert!(ended.asked);
    assert_eq!(ended.requeued, ["requeue 70"]);
    assert_eq!(ended.failures.len(), 1, "{:?}", ended.failures);
    assert!(ended.failures[0].ends_with(": the time limit came first"));
}

#[test]
fn a_cancelled_task_stops_and_is_no_failure() {
    for (array, run) in [
        ("pretrain", "pretrain-cass"),
        ("pretrain-probe-00", "linear-cass-cnn-1pct"),
    ] {
        let ended = ended(array, run, "TERM", true);
        assert!(ended.asked, "{run}");
        assert_eq!(ended.code, Some(130), "{run}");
        assert!(
            ended.requeued.is_empty() && ended.failures.is_empty(),
            "{run}"
        );
    }
}

#[test]
fn a_twin_waits_for_the_owner_and_is_no_failure() {
    let cluster = Cluster::new();
    let scripts = cluster.submit("cass-cnn", &[]);
    cluster.job.started();
    let busy = cluster.path("busy");
    fs::write(&busy, "").unwrap();
    let mut task = cluster.task(&scripts, "pretrain", 0);
    let status = task.env("FAKE_BUSY", &busy).status().unwrap();
    assert!(status.success());
    assert_eq!(cluster.job.started().len(), 2);
    assert!(cluster.failures("pretrain-cass").is_empty());
    assert!(cluster.stub("scontrol").is_empty());
}

/// A job whose images are copied to the nodes; its scripts.
fn staged(cluster: &Cluster) -> PathBuf {
    let root = cluster.path("mri").display().to_string();
    let file = format!("{HERE}/cluster.toml");
    cluster.submit(
        "linear-untrained",
        &["--data-root", &root, "--cluster", &file],
    )
}

/// The folders of the copies on the node.
fn copies(cluster: &Cluster) -> Vec<String> {
    let entries = fs::read_dir(cluster.path("scratch/images")).unwrap();
    let folders = entries
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn images_are_copied_once_a_node() {
    let cluster = Cluster::new();
    let scripts = staged(&cluster);
    let start = |index| cluster.task(&scripts, "probe", index).spawn().unwrap();
    for mut task in [0, 1, 2].map(start) {
        assert!(task.wait().unwrap().success());
    }
    assert_eq!(cluster.stub("cp").len(), 1);
    let copies = copies(&cluster);
    assert_eq!(copies.len(), 1, "{copies:?}");
    let copy = cluster.path("scratch/images").join(&copies[0]);
    let of = |root: PathBuf| fs::read(root.join("Training/glioma/1.jpg")).unwrap();
    assert_eq!(of(copy.clone()), of(cluster.path("mri")));
    let recipe = cluster
        .job
        .folder("linear-untrained-cnn-1pct")
        .join("recipe.toml");
    let command = fs::read_to_string(recipe).unwrap();
    assert!(
        command.contains(&format!("\"--data-root\", \"{}\"", copy.display())),
        "{command}"
    );
}

#[test]
fn a_copy_that_is_not_what_was_submitted_is_not_used() {
    let cluster = Cluster::new();
    let scripts = staged(&cluster);
    cluster.job.started();
    fs::write(cluster.path("mri/Training/glioma/1.jpg"), "y").unwrap();
    let output = cluster.task(&scripts, "probe", 0).output().unwrap();
    assert!(!output.status.success(), "{}", text(&output.stderr));
    assert!(cluster.job.started().is_empty(), "cass read unknown images");
    let failures = cluster.failures("linear-untrained-cnn-1pct");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(
        failures[0].contains(": the images cannot be copied: "),
        "{failures:?}"
    );
    assert!(copies(&cluster).iter().all(|name| name.ends_with(".part")));
    assert_eq!(cluster.stub("scontrol"), ["requeue 70"]);

    // And one that is mended is.
    fs::write(cluster.path("mri/Training/glioma/1.jpg"), "x").unwrap();
    assert!(
        cluster
            .task(&scripts, "probe", 0)
            .status()
            .unwrap()
            .success()
    );
    assert!(cluster.failures("linear-untrained-cnn-1pct").is_empty());
}
