//! A whole job: submitted, waited for or left alone, failing, taken up again.

use super::super::{Job, succeeded, text};
use super::Cluster;
use serde_json::Value;

#[test]
fn a_cluster_comes_to_the_local_results() {
    let cluster = Cluster::new();
    let output = cluster.reproduce("cass-cnn").output().unwrap();
    succeeded(&output);
    let submitted = cluster.stub("submitted");
    assert_eq!(submitted[0], "--parsable pretrain.sbatch");
    let after =
        "--parsable --dependency=aftercorr:101 --kill-on-invalid-dep=yes pretrain-probe-00.sbatch";
    assert_eq!(submitted[1], after);

    let local = Job::new();
    let arguments = "reproduce --table 3 --seeds 1 --only cass-cnn --downstream linear,finetune --device cpu --out {out}";
    succeeded(&local.run(arguments));
    let cells = |results: Value| results["cells"].clone();
    assert_eq!(cells(cluster.job.results()), cells(local.results()));
    let (mut here, mut there) = (local.started(), cluster.job.started());
    here.sort();
    there.sort();
    assert_eq!(here, there);

    // What is finished is not submitted again.
    succeeded(&cluster.reproduce("cass-cnn").output().unwrap());
    assert!(cluster.job.started().is_empty());
}

#[test]
fn a_detached_job_is_left_to_slurm() {
    let cluster = Cluster::new();
    let mut command = cluster.reproduce("cass-cnn");
    let output = command
        .arg("--detach")
        .env("STUB_IDLE", "1")
        .output()
        .unwrap();
    succeeded(&output);
    let said = text(&output.stderr);
    let out = cluster.job.out().display().to_string();
    assert!(
        said.contains(&format!("`cass-reproduce status {out}`")),
        "{said}"
    );
    assert!(!cluster.job.out().join("report.html").exists());
    let status = cluster.job.run("status {out} --json");
    let status: Value = serde_json::from_str(&text(&status.stdout)).unwrap();
    assert_eq!(status["waiting"].as_array().unwrap().len(), 7);

    let mut cancel = cluster.job.command("cancel {out}");
    cluster.at_hand(&mut cancel);
    succeeded(&cancel.output().unwrap());
    let cancelled = cluster.stub("scancel");
    assert!(
        cancelled[0].starts_with("--name cass-out-"),
        "{cancelled:?}"
    );
}

#[test]
fn what_slurm_refuses_in_the_middle_is_submitted_by_the_same_command() {
    let cluster = Cluster::new();
    let detached = |name: &str, value: &str| {
        let mut command = cluster.reproduce("cass-cnn");
        let command = command.arg("--detach").env("STUB_IDLE", "1");
        command.env(name, value).output().unwrap()
    };
    let output = detached("STUB_REFUSE", "probe-01");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("Slurm accepted 2 of 7 job arrays"), "{said}");
    assert!(
        cluster.stub("scancel").is_empty(),
        "what was accepted stays"
    );
    let before = cluster.stub("submitted");
    succeeded(&detached("STUB_QUEUE", "1"));
    let submitted = cluster.stub("submitted");
    assert_eq!(submitted.len(), 7, "{submitted:?}");
    assert_eq!(submitted[..2], before[..2]);
    assert!(submitted[2].contains("aftercorr:101"), "{submitted:?}");
}

#[test]
fn a_run_that_fails_three_times_is_given_up_alone() {
    let cluster = Cluster::new();
    let mut command = cluster.reproduce("cass-cnn");
    let output = command
        .env("FAKE_FAIL", "linear-cass-cnn-1pct")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let started = cluster.job.started();
    let poisoned = |line: &&String| line.contains("linear-cass-cnn-1pct");
    assert_eq!(started.iter().filter(poisoned).count(), 3);
    assert_eq!(
        started.len(),
        1 + 3 + 6,
        "the phantoms, the poisoned, the others"
    );
    assert_eq!(cluster.stub("scontrol").len(), 2);
    let failures = cluster.failures("linear-cass-cnn-1pct");
    assert_eq!(failures.len(), 3, "{failures:?}");
    let reason = ": exit status 1: error: failed to go on: made to <fail> & stop";
    assert!(
        failures.iter().all(|line| line.ends_with(reason)),
        "{failures:?}"
    );
    let status = cluster.job.run("status {out}");
    let said = text(&status.stdout);
    assert_eq!(status.status.code(), Some(1));
    assert!(said.contains("failed   linear-cass-cnn-1pct"), "{said}");
    assert!(said.contains("| error: failed to go on"), "{said}");
    assert!(
        said.contains("7 runs: 6 done, 0 running, 0 waiting, 1 failed"),
        "{said}"
    );

    // Whoever asks again wants it tried again.
    succeeded(&cluster.reproduce("cass-cnn").output().unwrap());
    assert_eq!(cluster.job.started().len(), 1);
}

#[test]
fn wrong_input_is_not_tried_again_and_stops_what_needs_it() {
    let cluster = Cluster::new();
    let mut command = cluster.reproduce("cass-cnn");
    let command = command
        .env("FAKE_FAIL", "pretrain-cass")
        .env("FAKE_EXIT", "2");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(
        cluster.job.started().len(),
        1 + 1,
        "the phantoms and the pretraining"
    );
    assert_eq!(cluster.failures("pretrain-cass").len(), 1);
    assert!(cluster.stub("scontrol").is_empty());
    let said = text(&cluster.job.run("status {out}").stdout);
    assert!(said.contains("1 failed, 6 not run for those"), "{said}");
}
