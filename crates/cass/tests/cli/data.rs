//! Data sets checked, drawn and measured.

use super::*;

#[test]
fn data_check_reports_and_exits_with_its_verdict() {
    let bench = Bench::new();
    let clean = bench.cass("data check --data-root data --json");
    let report = json(&clean);
    assert_eq!((code(&clean), &report["images"]), (0, &32.into()));
    assert_eq!(report["classes"]["glioma"]["train"], 6);
    assert_eq!(report["findings"].as_array().unwrap().len(), 0);

    let glioma = bench.path("data/Testing/glioma");
    fs::copy(
        bench.path("data/Training/glioma/glioma-00000.jpg"),
        glioma.join("a<b.jpg"),
    )
    .unwrap();
    let ill = bench.cass("data check --data-root data --html page.html");
    assert_eq!(code(&ill), 1);
    let text = String::from_utf8_lossy(&ill.stdout).into_owned();
    assert!(
        text.contains("duplicate-across-splits: 1\n  Testing/glioma/a<b.jpg is the same"),
        "{text}"
    );
    let page = fs::read_to_string(bench.path("page.html")).unwrap();
    assert!(page.contains("a&lt;b.jpg") && !page.contains("a<b"));
    bench.fails(
        "data check --data-root nowhere",
        2,
        &["nowhere is not there"],
    );
    bench.fails(
        "data check --data mnist --data-root data",
        2,
        &["\"mnist\"", "isic2019"],
    );
}

#[cfg(unix)]
#[test]
fn a_bad_file_of_any_name_is_told_of() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let bench = Bench::new();
    let name = OsStr::from_bytes(b"\xff.png");
    fs::write(bench.path("data/Training/glioma").join(name), "no image").unwrap();
    let report = json(&bench.cass("data check --data-root data --json"));
    assert_eq!(report["counts"]["unreadable"], 1);
    let file = report["findings"][0]["file"].as_str().unwrap();
    assert!(file.ends_with("Training/glioma/\u{fffd}.png"), "{file}");

    let preview = bench.cass("data preview --data-root data --skip-bad --size 24 --out p.png");
    let text = String::from_utf8_lossy(&preview.stdout).into_owned();
    assert!(text.contains("left out as unusable: 1\n"), "{text}");
    assert!(text.contains("\u{fffd}.png is none of JPEG"), "{text}");
}

#[test]
fn data_sets_are_drawn_looked_at_and_measured() {
    let bench = Bench::new();
    let draw = "data phantom --train-per-class 3 --test-per-class 1 --size 24";
    for (kind, images) in [("isic2019", 32), ("biopsies", 20)] {
        let drawn = bench.cass(&format!("{draw} --data {kind} --out {kind}"));
        assert_eq!(code(&drawn), 0, "{drawn:?}");
        let report = json(&bench.cass(&format!("data check --data {kind} --data-root . --json")));
        assert_eq!(report["images"], images);
    }
    bench.fails(
        &format!("{draw} --data mnist --out m"),
        2,
        &["\"mnist\"", "biopsies"],
    );

    let preview = "data preview --data isic2019 --data-root . --size 24 --out p.png --json";
    assert_eq!(json(&bench.cass(preview))["classes"][0], "MEL");
    assert!(
        fs::read(bench.path("p.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );

    let load = "bench loader --data isic2019 --data-root . --size 16 --batch 4 --threads 2";
    let report = json(&bench.cass(&format!(
        "{load} --cache disk --cache-dir pixels --epochs 2 --json"
    )));
    assert!(report["images_per_s"].as_f64().unwrap() > 0.0);
    assert_eq!(report["stages"]["decode"], 0.0, "the second epoch decodes");
    assert!(bench.path("pixels").is_dir());
    bench.fails(
        &format!("{load} --images 4"),
        2,
        &["expected at least 5 batches"],
    );

    // Several labels an image: each class has its own sigmoid, and both kinds are compared alike.
    let probe = "probe --weights random --arch resnet18 --data biopsies --data-root . --size 16";
    let probe = format!("{probe} --epochs 1 --batch 4 --threads 2 --device cpu --json");
    let metrics = json(&bench.cass(&format!("{probe} --out q")));
    assert_eq!(metrics["task"], "multi-label");
    let scored = "metrics --predictions q/predictions.csv --multi-label --json";
    let scored = json(&bench.cass(scored));
    assert_eq!(scored["f1_macro"], metrics["test"]["f1_macro"]);
    assert_eq!(scored["f1_macro_95"], metrics["test_f1_macro_95"]);
    json(&bench.cass(&format!("{probe} --mode knn --out r")));
    let compared = json(&bench.cass("compare q r --across --json"));
    assert_eq!(compared["differences"][0]["pairs"], 1);
    let exported = json(&bench.cass("export --run q --out e --json"));
    assert_eq!(exported["num_classes"], 5);
}
