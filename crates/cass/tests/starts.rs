//! How runs start and start again: from which folder, with which layout, with how many threads, and what is left of a
//! start that came to nothing.

#![cfg(unix)]

mod bench;
mod running;

use bench::Bench;
use std::fs;
use std::path::Path;
use std::process::Output;

const CASS: &str = "pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random \
    --data-root data --size 16 --epochs 2 --batch 8 --device cpu";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

fn fails(output: &Output, parts: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let error = said.lines().last().unwrap_or_default();
    assert!(error.starts_with("error: "), "{said}");
    for part in parts {
        assert!(error.contains(part), "no {part:?}: {error}");
    }
}

/// The bytes of a run that no clock decides.
fn result(run: &Path) -> Vec<Vec<u8>> {
    let names = [
        "checkpoint-cnn.safetensors",
        "checkpoint-vit.safetensors",
        "manifest.tsv",
    ];
    names.map(|name| fs::read(run.join(name)).unwrap()).into()
}

#[test]
fn a_run_continues_with_another_number_of_threads_to_the_same_bytes() {
    let bench = Bench::new();
    succeeds(&bench.cass(&format!("{CASS} --threads 2 --out whole")));
    let run = bench.path("run");
    let every = "--checkpoint-every 1";
    let mut running = bench.start(&format!("{CASS} {every} --threads 1 --out run"));
    running.until(|| {
        run.join("resume/step-000000002.safetensors.sha256")
            .exists()
    });
    running.signal("-TERM");
    let (code, text) = running.end();
    assert_eq!(code, Some(130), "{text}");
    let continued = succeeds(&bench.cass(&format!("{CASS} {every} --threads 3 --out run")));
    assert!(continued.contains("continuing after step "), "{continued}");
    assert!(
        result(&run) == result(&bench.path("whole")),
        "the bytes differ"
    );
    // What is finished is not repeated for it, either.
    let again = succeeds(&bench.cass(&format!("{CASS} --threads 1 --out run")));
    assert!(again.contains("is finished already"), "{again}");
}

#[test]
fn a_recipe_means_the_same_images_from_any_folder() {
    let bench = Bench::new();
    succeeds(&bench.cass(&format!("{CASS} --threads 2 --out runs/first")));
    let recipe = fs::read_to_string(bench.path("runs/first/recipe.toml")).unwrap();
    // As the system names the folder that a process is in, whichever links led there.
    let data = bench.path("data").canonicalize().unwrap();
    let data = data.display().to_string();
    assert!(recipe.contains(&format!("root = {data:?}")), "{recipe}");
    // By a run's recipe, and by one that names its images relative to itself.
    fs::create_dir_all(bench.path("elsewhere/recipes")).unwrap();
    let own = recipe.replace(&data, "../../data");
    fs::write(bench.path("elsewhere/recipes/own.toml"), own).unwrap();
    for (recipe, out) in [
        ("../runs/first/recipe.toml", "a"),
        ("recipes/own.toml", "b"),
    ] {
        let mut command = bench.command(&format!("pretrain --recipe {recipe} --out {out}"));
        let output = command
            .current_dir(bench.path("elsewhere"))
            .output()
            .unwrap();
        succeeds(&output);
        let run = bench.path("elsewhere").join(out);
        assert!(
            result(&run) == result(&bench.path("runs/first")),
            "{recipe}"
        );
    }
    // A probe finds the images of its pretraining from there as well.
    let probe = "probe --run ../runs/first --arm cnn --mode knn --device cpu --out knn";
    let mut command = bench.command(probe);
    succeeds(
        &command
            .current_dir(bench.path("elsewhere"))
            .output()
            .unwrap(),
    );
    // A run whose recipe an earlier version wrote, relative to the folder it was started in, is the same run.
    let file = bench.path("runs/first/recipe.toml");
    let metrics = bench.path("runs/first/metrics.json");
    fs::write(&file, recipe.replace(&data, "data")).unwrap();
    fs::remove_file(&metrics).unwrap();
    succeeds(&bench.cass(&format!("{CASS} --threads 2 --out runs/first")));
}

#[test]
fn a_start_that_fails_leaves_no_folder() {
    let bench = Bench::new();
    let broken = bench.path("data/Training/glioma/broken.jpg");
    fs::write(&broken, b"\xff\xd8\xff no picture").unwrap();
    fails(
        &bench.cass(&format!("{CASS} --out runs/today/x")),
        &["broken.jpg"],
    );
    assert!(!bench.path("runs").exists());
    fs::remove_file(broken).unwrap();
    // Nor does one that a person stops before its first step, and another may begin there.
    let stopped = bench.path("runs/y");
    let mut running = bench
        .start(&format!("{CASS} --size 64 --threads 1 --out runs/y").replace("--size 16 ", ""));
    running.until(|| stopped.join("manifest.tsv").exists() || stopped.join("log.jsonl").exists());
    running.signal("-INT");
    let (code, text) = running.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("before a step was taken"), "{text}");
    assert!(
        !bench.path("runs").exists(),
        "{:?}",
        fs::read_dir(&stopped).map(|d| d.count())
    );
    succeeds(&bench.cass(&format!("{CASS} --out runs/y")));
}

#[test]
fn the_layout_is_recognised_or_asked_for_with_all_names() {
    let bench = Bench::new();
    let check = |root: &str| bench.cass(&format!("data check --data-root {root}"));
    let layout = |root: &str| {
        let output = check(root);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(layout("data"), "brain-mri");
    fs::rename(bench.path("data/Testing"), bench.path("classes")).unwrap();
    assert_eq!(layout("classes"), "folder");
    assert_eq!(layout("classes/glioma"), "images");
    fs::write(bench.path("classes/glioma/all.csv"), "path\n").unwrap();
    let ambiguous = [
        "folder (a folder a class",
        "images (any images",
        "isic2024 (",
    ];
    fails(&check("."), &ambiguous);
    fails(
        &bench.cass("data check --data-root gone"),
        &["gone is not there", ambiguous[0]],
    );
    let pretrain = CASS.replace("--data-root data", "--data-root classes");
    let text = succeeds(&bench.cass(&format!("{pretrain} --out run --threads 2")));
    assert!(
        text.contains("classes is laid out as --data folder"),
        "{text}"
    );
}
