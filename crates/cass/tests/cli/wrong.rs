//! Wrong usage, bad files and outputs that cannot be written.

use super::*;

#[test]
fn wrong_usage_is_one_line_that_helps() {
    let bench = Bench::new();
    let wrong = |args: &str, said: &[&str]| bench.fails(args, 2, said);
    let with = |flags: &str| format!("{CASS} {SMALL} --out x {flags}");
    wrong(
        &with("--net resnet18"),
        &["--net is not for method cass", "--cnn and --vit"],
    );
    wrong(
        &with("").replace("resnet18", "resnet81"),
        &["resnet81", "resnet18"],
    );
    wrong(
        &with("").replace("--data-root data", ""),
        &["--data-root is missing"],
    );
    wrong(
        &with("").replace("--data-root data", "--data-root gone"),
        &["gone", "Training"],
    );
    wrong(
        &with("").replace("--batch 8", "--batch 1"),
        &["`batch` is 1", "at least 2"],
    );
    wrong(&with("--data mri"), &["\"mri\"", "brain-mri"]);
    wrong(&with("--fraction 2"), &["`fraction` is 2"]);
    wrong(&with("").replace("--size 16", "--size 17"), &["17"]);
    wrong(
        &with("").replace("random", "none.safetensors"),
        &["none.safetensors"],
    );
    wrong(
        &with("--set zero_gard=false"),
        &["`zero_gard=false`", "did you mean `zero_grad`?"],
    );
    wrong(&with("--set swa.start=2"), &["`swa.start` is 2"]);
    wrong(
        &with("--precision bf16"),
        &[
            "`precision` is bf16; expected f32 on a CPU",
            "`device` = cpu",
        ],
    );
    wrong(&with("--accumulate 5"), &["`accumulate` is 5", "2 images"]);
    let no_gpu = with("").replace("--device cpu", "--device cuda");
    if cfg!(not(feature = "cuda")) {
        wrong(&no_gpu, &["`device` is cuda", "without the feature cuda"]);
    }

    fs::write(bench.path("r.toml"), "epoch = 3\n").unwrap();
    wrong(
        "pretrain --recipe r.toml --out x",
        &["r.toml", "line 1", "did you mean `epochs`?"],
    );
    wrong("pretrain --recipe gone.toml --out x", &["gone.toml"]);

    // A start that its input stopped claims no folder.
    let right = bench.cass(&format!("{CASS} {SMALL} --out x"));
    assert_eq!(
        code(&right),
        0,
        "{}",
        String::from_utf8_lossy(&right.stderr)
    );
}

#[test]
fn bad_files_stop_the_run_before_training_unless_skipped() {
    let bench = Bench::new();
    let file = bench.path("data/Training/glioma/broken.jpg");
    fs::write(&file, b"\xff\xd8\xff no picture").unwrap();
    let run = format!("{CASS} {SMALL} --out x");
    bench.fails(&run, 2, &["broken.jpg"]);
    let metrics = json(&bench.cass(&format!("{run} --skip-bad --json")));
    assert!(
        metrics["skipped"][0]["file"]
            .as_str()
            .unwrap()
            .ends_with("broken.jpg")
    );

    fs::create_dir(bench.path("data/Training/kidney")).unwrap();
    bench.fails(&format!("{CASS} {SMALL} --out y"), 2, &["kidney", "glioma"]);
    fs::remove_dir(bench.path("data/Training/kidney")).unwrap();
    fs::remove_dir_all(bench.path("data/Testing/pituitary")).unwrap();
    bench.fails(
        &format!("{CASS} {SMALL} --out y"),
        2,
        &["Testing", "pituitary"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_one_line() {
    let bench = Bench::new();
    bench.fails(
        &format!("{CASS} {SMALL} --out /proc/run"),
        1,
        &["/proc/run cannot be created"],
    );
    bench.fails("data phantom --out /proc/phantoms", 1, &["/proc/phantoms"]);
}
