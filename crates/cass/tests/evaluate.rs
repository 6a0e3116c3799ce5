//! A finished probe on other images, and features for other programs.

mod bench;

use bench::Bench;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

const PROBE: &str = "probe --weights random --arch resnet18 --mode knn --data-root data --size 16 --batch 8 \
    --threads 2 --device cpu --out run";

/// The JSON object that a command that succeeds prints last.
fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn refused(output: &Output, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let errors: Vec<&str> = said.lines().filter(|l| l.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(part), "{said}");
}

#[test]
fn a_probe_is_judged_on_all_images_of_another_origin() {
    let bench = Bench::new();
    assert!(bench.cass(PROBE).status.success());
    let draw = "data phantom --out other --seed 9 --train-per-class 4 --test-per-class 2 --size 24";
    assert!(bench.cass(draw).status.success());
    let evaluate = "evaluate --run run --device cpu --threads 2 --json --data-root";
    let other = json(&bench.cass(&format!("{evaluate} other --out external")));
    assert_eq!(
        (&other["kind"], &other["samples"]),
        (&"evaluate".into(), &24.into())
    );
    assert_eq!(
        (&other["seen"], &other["absent_classes"]),
        (&0.into(), &Value::Array(vec![]))
    );
    // Predictions are those of `predict`, and score as `metrics` scores them.
    let predicted = bench.cass("predict --run run --device cpu --threads 2 other/Testing/glioma");
    let written = fs::read_to_string(bench.path("external/predictions.csv")).unwrap();
    for line in String::from_utf8_lossy(&predicted.stdout).lines().skip(1) {
        let (file, said) = line.split_once(',').unwrap();
        let name = file.strip_prefix("other/").unwrap();
        let row = written
            .lines()
            .find(|row| row.starts_with(&format!("{name},glioma,")));
        assert_eq!(row.unwrap().splitn(3, ',').last().unwrap(), said);
    }
    let scores = json(&bench.cass("metrics --json --predictions external/predictions.csv"));
    assert_eq!(scores["f1_macro"], other["f1_macro"]);
    // Its own images: those that it was fitted on are left out, the test images are those that it was tested on.
    let own = json(&bench.cass(&format!("{evaluate} data")));
    assert_eq!((&own["seen"], &own["samples"]), (&24.into(), &8.into()));
    let metrics = fs::read_to_string(bench.path("run/metrics.json")).unwrap();
    let metrics: Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(own["f1_macro"], metrics["test"]["f1_macro"]);
}

#[test]
fn a_pretraining_is_no_probe_and_the_command_that_makes_one_is_named() {
    let bench = Bench::new();
    let pretrain = "pretrain --method dino --net vit_tiny_patch16_224 --weights random --data-root data --size 32 \
        --set method.num_classes_k=64 --epochs 1 --batch 8 --threads 2 --device cpu --out pre";
    assert!(bench.cass(pretrain).status.success());
    let named = "`cass probe --run pre --out PROBE` fits them";
    refused(&bench.cass("predict --run pre --device cpu data"), named);
    refused(
        &bench.cass("evaluate --run pre --device cpu --data-root data"),
        named,
    );
}

#[test]
fn classes_are_told_by_name() {
    let bench = Bench::new();
    assert!(bench.cass(PROBE).status.success());
    // Two of the four classes, in another order of labels.
    for class in ["pituitary", "meningioma"] {
        let (from, to) = (
            bench.path(&format!("data/Testing/{class}")),
            bench.path("two").join(class),
        );
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(from, to).unwrap();
    }
    let evaluate = "evaluate --run run --device cpu --threads 2 --json --data folder --data-root";
    let two = json(&bench.cass(&format!("{evaluate} two")));
    assert_eq!(two["samples"], 4);
    assert_eq!(
        two["absent_classes"],
        serde_json::json!(["glioma", "notumor"])
    );
    fs::rename(bench.path("two/pituitary"), bench.path("two/hypophysis")).unwrap();
    refused(
        &bench.cass(&format!("{evaluate} two")),
        "knows no class \"hypophysis\"",
    );
    refused(&bench.cass(&format!("{evaluate} nowhere")), "nowhere");
    refused(
        &bench.cass("evaluate --run run --device cpu"),
        "--data-root is missing",
    );
    let full = format!("{evaluate} two --out data");
    refused(
        &bench.cass(&full),
        "--out data: expected a new or an empty folder",
    );
}

#[test]
fn features_are_those_of_a_probe_and_say_what_they_are_of() {
    let bench = Bench::new();
    assert!(bench.cass(PROBE).status.success());
    let features = "features --device cpu --threads 2 --json";
    let arch = "--weights random --arch resnet18 --size 16";
    let npy = json(&bench.cass(&format!("{features} {arch} --data-root data --out all.npy")));
    assert_eq!((&npy["images"], &npy["dim"]), (&32.into(), &512.into()));
    let bytes = fs::read(bench.path("all.npy")).unwrap();
    let values = &bytes[bytes.len() - 32 * 512 * 4..];
    let header = String::from_utf8_lossy(&bytes[10..bytes.len() - values.len()]).into_owned();
    assert!(
        bytes.starts_with(b"\x93NUMPY\x01\x00") && (bytes.len() - values.len()).is_multiple_of(64)
    );
    assert!(
        header.contains("'<f4'") && header.contains("(32, 512)"),
        "{header}"
    );
    let values: Vec<f32> = (values.as_chunks().0.iter())
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    // The table has the same numbers.
    assert!(
        bench
            .cass(&format!("{features} {arch} --data-root data --out all.csv"))
            .status
            .success()
    );
    let table = fs::read_to_string(bench.path("all.csv")).unwrap();
    let list = fs::read_to_string(bench.path("all.files.csv")).unwrap();
    for (row, (line, file)) in table.lines().zip(list.lines()).skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[..3].join(","), file);
        let class = fields[0].split('/').nth(1).unwrap();
        assert_eq!((fields[1], fields.len()), (class, 3 + 512));
        let own: Vec<f32> = fields[3..].iter().map(|f| f.parse().unwrap()).collect();
        assert_eq!(own, values[row * 512..(row + 1) * 512]);
    }
    // Each row is of the image that it says: alone, an image has the same features.
    for row in [0, 7, 31] {
        let line = table.lines().nth(1 + row).unwrap();
        let file = line.split(',').next().unwrap();
        let one = format!("{features} {arch} --out one.csv data/{file}");
        assert!(bench.cass(&one).status.success());
        let one = fs::read_to_string(bench.path("one.csv")).unwrap();
        let values = |line: &str| -> Vec<f32> {
            let fields = line.split(',').skip(3);
            fields.map(|f| f.parse().unwrap()).collect()
        };
        let pairs = values(line)
            .into_iter()
            .zip(values(one.lines().nth(1).unwrap()));
        let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most < 1e-4, "{file}: {most}");
    }
    // And so has the other table.
    let parquet = json(&bench.cass(&format!(
        "{features} {arch} --data-root data --out all.parquet"
    )));
    assert_eq!(
        (&parquet["images"], &parquet["list"]),
        (&32.into(), &Value::Null)
    );
    let bytes = fs::read(bench.path("all.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    // Any images, without labels, of a run's network.
    let some = json(&bench.cass(&format!(
        "{features} --run run --out some.csv data/Testing data/Training/glioma"
    )));
    assert_eq!(some["images"], 8 + 6);
    refused(
        &bench.cass(&format!("{features} --run run --out some.txt data")),
        "FILE.npy, FILE.csv or FILE.parquet",
    );
    refused(
        &bench.cass(&format!("{features} --run run --out some.csv nowhere")),
        "nowhere",
    );
}

/// What `predict` said, by the file's name: the class and the probabilities.
fn predicted(output: &Output) -> BTreeMap<String, String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().skip(1).filter_map(|line| line.split_once(','));
    let name = |file: &str| file.rsplit('/').next().unwrap().to_owned();
    rows.map(|(file, said)| (name(file), said.to_owned()))
        .collect()
}

#[test]
fn whatever_images_are_in_every_kind_of_probe_predicts_and_evaluates_them() {
    let bench = Bench::new();
    // Five scans without an ending, in a folder of their own; a table names them, too.
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/dicom/window-12.dcm"
    );
    fs::create_dir(bench.path("scans")).unwrap();
    let mut table = "image;diagnosis\n".to_owned();
    for scan in 1..=5 {
        fs::copy(golden, bench.path(&format!("scans/IM{scan}"))).unwrap();
        table += &format!("scans/IM{scan};{}\n", ["glioma", "notumor"][scan % 2]);
    }
    fs::write(bench.path("scans.csv"), table).unwrap();
    for mode in [
        "knn",
        "logistic",
        "linear --epochs 1",
        "finetune --epochs 1",
    ] {
        let run = mode.split(' ').next().unwrap();
        let probe = PROBE.replace("--mode knn", &format!("--mode {mode}"));
        let probe = bench.cass(&probe.replace("--out run", &format!("--out {run}")));
        assert!(
            probe.status.success(),
            "{mode}: {}",
            String::from_utf8_lossy(&probe.stderr)
        );
        let predict = |inputs: &str| {
            predicted(&bench.cass(&format!(
                "predict --run {run} --device cpu --threads 2 {inputs}"
            )))
        };
        let folder = predict("scans");
        let names: Vec<&str> = folder.keys().map(String::as_str).collect();
        assert_eq!(names, ["IM1", "IM2", "IM3", "IM4", "IM5"], "{mode}");
        let columns = "--columns path=image";
        for inputs in [
            format!("scans.csv {columns}"),
            "scans/IM[1-5]".into(),
            "scans/IM1 scans/IM2 scans/IM3 scans/IM4 scans/IM5".into(),
            "--data images --data-root scans".into(),
            format!("--data-root scans.csv {columns}"),
        ] {
            assert_eq!(predict(&inputs), folder, "{mode}: {inputs}");
        }
        // Their labels, by another name of the column, and how far they are from heads that were drawn.
        let evaluate = format!(
            "evaluate --run {run} --device cpu --threads 2 --json --data-root scans.csv {columns},label=diagnosis"
        );
        let scores = json(&bench.cass(&evaluate));
        assert_eq!(scores["samples"], 5, "{mode}");
        let shift = &scores["shift"];
        assert_eq!(
            (&shift["images"], &shift["held_out_images"]),
            (&5.into(), &8.into()),
            "{mode}"
        );
        let (far, kernel) = (&shift["farther_share"], &shift["kernel_distance"]);
        assert_eq!(far, 1.0, "{mode}: {shift}");
        assert!(
            kernel.as_f64() > shift["kernel_distance_held_out"].as_f64(),
            "{mode}: {shift}"
        );
    }
    let twice = "predict --run knn --device cpu scans --data-root scans";
    refused(&bench.cass(twice), "images are named twice");
    // A file that a table names and that is not there stops no other.
    fs::remove_file(bench.path("scans/IM3")).unwrap();
    let four = bench.cass("predict --run knn --device cpu scans.csv --columns path=image");
    let said = String::from_utf8_lossy(&four.stderr);
    assert_eq!(four.status.code(), Some(1), "{said}");
    assert!(
        said.contains("scans.csv") && said.contains("scans/IM3"),
        "{said}"
    );
    assert_eq!(String::from_utf8_lossy(&four.stdout).lines().count(), 1 + 4);
}

#[test]
fn images_of_the_same_origin_show_no_shift_and_an_older_probe_says_that_it_cannot_tell() {
    let bench = Bench::new();
    assert!(bench.cass(PROBE).status.success());
    let draw = "data phantom --out other --seed 9 --train-per-class 4 --test-per-class 2 --size 24";
    assert!(bench.cass(draw).status.success());
    let evaluate = "evaluate --run run --device cpu --threads 2 --data-root other";
    let text = bench.cass(evaluate);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("features: no shift beyond chance: "),
        "{text}"
    );
    fs::remove_file(bench.path("run/reference.safetensors")).unwrap();
    let text = bench.cass(evaluate);
    assert!(String::from_utf8_lossy(&text.stdout).contains("features: not compared"));
    assert!(json(&bench.cass(&format!("{evaluate} --json")))["shift"].is_null());
}
