//! Images without labels, tables of users, and what is said of them.

use super::*;

/// Folders and tables of the bench's phantoms, which have labels no more.
fn unlabelled(bench: &Bench) {
    for (number, class) in ["glioma", "meningioma", "notumor", "pituitary"]
        .iter()
        .enumerate()
    {
        for image in 0..6 {
            let from = bench.path(&format!("data/Training/{class}/{class}-{image:05}.jpg"));
            let folder = bench.path(&format!("flat/2021/0{}", 1 + image % 3));
            fs::create_dir_all(&folder).unwrap();
            fs::copy(from, folder.join(format!("{number}{image}.jpg"))).unwrap();
        }
    }
    fs::create_dir_all(bench.path("flat/__MACOSX")).unwrap();
    fs::write(bench.path("flat/__MACOSX/x.jpg"), "none").unwrap();
    let rows = |labelled: bool| -> String {
        let row = |i: usize| {
            let (class, image) = (i / 6, i % 6);
            let path = format!("2021\\0{}\\{class}{image}.jpg", 1 + image % 3);
            let part = ["train", "train", "train", "train", "val", "test"][image];
            match labelled {
                true => format!("{path};{};{part};{i}\r\n", ["a", "b"][class % 2]),
                false => format!("{path}\r\n"),
            }
        };
        (0..24).map(row).collect()
    };
    let labelled = format!("image_id;dx;split;Patient ID\r\n{}", rows(true));
    fs::write(bench.path("flat/labels.csv"), labelled).unwrap();
    fs::write(bench.path("paths.csv"), format!("path\r\n{}", rows(false))).unwrap();
}

const TINY: &str = "--size 16 --batch 8 --threads 2 --device cpu";

#[test]
fn images_without_labels_are_pretrained_on_and_a_table_is_probed() {
    let bench = Bench::new();
    unlabelled(&bench);
    let pretrain = format!("{CASS} {TINY} --epochs 1 --json");
    let run = bench.cass(&format!(
        "{pretrain} --data folder --data-root flat --exclude-test-of flat/labels.csv --out a"
    ));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(code(&run), 0, "{said}");
    assert!(
        said.contains("folder in flat: 24 images, 0 with a label"),
        "{said}"
    );
    assert!(
        said.contains("4 images are left out: they are of the 4 test images of flat/labels.csv"),
        "{said}"
    );
    let manifest = fs::read_to_string(bench.path("a/manifest.tsv")).unwrap();
    assert_eq!(manifest.lines().count(), 20);
    assert!(manifest.lines().all(|line| line.contains("\ttrain\t")));

    // Its own images have no labels to probe by.
    let probe = format!("probe --run a --arm cnn {TINY} --json");
    bench.fails(
        &format!("{probe} --out p"),
        2,
        &["has no labels, which a probe needs"],
    );
    let table = "--data csv --data-root flat/labels.csv";
    let run = bench.cass(&format!("{probe} {table} --out p"));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        said.contains("labels.csv: path = image_id; label = dx; split = split; group = Patient ID"),
        "{said}"
    );
    assert_eq!(json(&run)["task"], "multi-class");
    assert!(!said.contains("was trained on"), "{said}");

    // A pretraining that saw the test images is told, and they can be left out.
    let whole = format!("{pretrain} --data csv --data-root paths.csv --images flat --out b");
    assert_eq!(code(&bench.cass(&whole)), 0);
    let seen = format!("probe --run b --arm cnn {TINY} {table} --images flat");
    let told = bench.cass(&format!("{seen} --out q"));
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        said.contains("was trained on 4 of the 4 test images"),
        "{said}"
    );
    bench.fails(&format!("{seen} --exclude-seen --out r"), 2, &["test"]);
    let some = fs::read_to_string(bench.path("paths.csv")).unwrap();
    let some: String = some
        .lines()
        .filter(|l| !l.contains("05.jpg") && !l.contains("15.jpg"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(bench.path("some.csv"), some).unwrap();
    let part = format!("{pretrain} --data csv --data-root some.csv --images flat --out c");
    assert_eq!(code(&bench.cass(&part)), 0);
    let seen =
        format!("probe --run c --arm cnn {TINY} {table} --images flat --exclude-seen --out s");
    let left = bench.cass(&seen);
    let said = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(
        said.contains("left out: 2 test images that the pretraining was trained on"),
        "{said}"
    );
    let predictions = fs::read_to_string(bench.path("s/predictions.csv")).unwrap();
    assert_eq!(predictions.lines().count(), 1 + 2);
}

#[test]
fn what_is_not_known_is_left_out_of_loss_and_metrics() {
    let bench = Bench::new();
    unlabelled(&bench);
    let rows = |unsure: &str| -> String {
        let row = |i: usize| {
            let (class, image) = (i / 6, i % 6);
            let part = ["train", "train", "train", "val", "val", "test"][image];
            let fracture = if image % 2 == 0 {
                unsure
            } else {
                ["0", "1"][class % 2]
            };
            let edema = ["0", "1"][usize::from(class > 1)];
            format!(
                "2021/0{}/{class}{image},{part},{edema},{fracture}\n",
                1 + image % 3
            )
        };
        let rows: String = (0..24).map(row).collect();
        format!("Path,split,Edema,Fracture\n{rows}")
    };
    fs::write(bench.path("flat/labels.csv"), rows("-1")).unwrap();
    let probe = format!(
        "probe --weights random --arch resnet18 --data csv --data-root flat {TINY} --epochs 2 --json"
    );
    bench.fails(
        &format!("{probe} --out a"),
        2,
        &["expected --uncertain zero, one or ignore"],
    );
    let f1 = |flags: &str, out: &str| {
        let output = bench.cass(&format!("{probe} {flags} --out {out}"));
        assert_eq!(
            code(&output),
            0,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        json(&output)
    };
    for mode in ["logistic", "linear", "finetune"] {
        let ignored = f1(
            &format!("--uncertain ignore --mode {mode}"),
            &format!("i-{mode}"),
        );
        assert_eq!(ignored["task"], "multi-label");
    }
    // The test images are those of odd numbers: their labels are known, and the same either way.
    let rows = |out: &str| fs::read_to_string(bench.path(out).join("predictions.csv")).unwrap();
    assert!(!rows("i-logistic").contains('?'));
    f1("--uncertain zero --mode logistic", "z");
    assert_ne!(
        rows("i-logistic"),
        rows("z"),
        "the unknown labels were learned from"
    );
    let knn = format!("{probe} --uncertain ignore --mode knn --out k");
    bench.fails(&knn, 2, &["which knn cannot leave out"]);
    let recipe = fs::read_to_string(bench.path("z/recipe.toml")).unwrap();
    assert!(recipe.contains("uncertain = \"zero\""), "{recipe}");
}

#[test]
fn predict_reads_as_the_probe_did_and_sees_what_training_sees() {
    let bench = Bench::new();
    let probe = format!(
        "probe --weights random --arch resnet18 --data-root data {TINY} --mode logistic --levels min-max --exif --out p"
    );
    assert_eq!(code(&bench.cass(&probe)), 0);
    let recipe = fs::read_to_string(bench.path("p/recipe.toml")).unwrap();
    assert!(
        recipe.contains("levels = \"min-max\"\nexif = true"),
        "{recipe}"
    );
    let folder = bench.path("new");
    fs::create_dir_all(folder.join("@eaDir")).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    for (from, to) in [
        ("images/float.tif", "float.tif"),
        ("images/exif-6.jpg", "turned.jpg"),
        ("images/exif-6.jpg", "@eaDir/turned.jpg"),
        ("images/twelve.pgm", "twelve.pgm"),
        ("dicom/window-12.dcm", "IM0001"),
        ("dicom/no-preamble.dcm", "IM0002"),
    ] {
        fs::copy(golden.join(from), folder.join(to)).unwrap();
    }
    fs::write(folder.join("notes.txt"), "none").unwrap();
    let predicted = bench.cass("predict --run p new");
    let text = String::from_utf8_lossy(&predicted.stdout).into_owned();
    assert_eq!(code(&predicted), 0, "{predicted:?}");
    let files: Vec<&str> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').next().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "new/IM0001",
            "new/IM0002",
            "new/float.tif",
            "new/turned.jpg",
            "new/twelve.pgm"
        ]
    );
    // By another reading, a file has no levels.
    let plain = format!(
        "probe --weights random --arch resnet18 --data-root data {TINY} --mode logistic --out q"
    );
    assert_eq!(code(&bench.cass(&plain)), 0);
    let refused = bench.cass("predict --run q new/float.tif");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(code(&refused) == 1 && said.contains("--levels"), "{said}");
    let seen = bench.cass("attend --run p --out seen new/float.tif new/IM0001");
    assert_eq!(code(&seen), 0, "{seen:?}");
}

#[test]
fn wrong_choices_are_one_line() {
    let bench = Bench::new();
    for (flags, said) in [
        ("--levels dark", "expected high-byte, min-max"),
        ("--split 50/30/30", "three shares in percent that make 100"),
        (
            "--columns what=x",
            "expected path, label, labels, split or group",
        ),
        ("--pages 0", "expected first, mean, max, pyramid"),
    ] {
        let output = bench.cass(&format!("data check --data-root data {flags}"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code(&output) == 2 && text.contains(said), "{flags}: {text}");
    }
    bench.fails(
        "data check --data-root data --exclude [a",
        2,
        &["`exclude` is \"[a\""],
    );
    bench.fails(
        "data check --data folder --data-root data/Training --group-by nothing-like-it",
        2,
        &["`group_by` is", "fits the names"],
    );
}

#[test]
fn frames_are_images_of_their_own_from_probe_to_prediction() {
    let bench = Bench::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom");
    let bytes = fs::read(golden.join("frames.dcm")).unwrap();
    let place = bytes.windows(4).position(|w| w == b"P-7 ").unwrap();
    for patient in 0..8 {
        let folder = bench.path(["set/a", "set/b"][patient % 2]);
        fs::create_dir_all(&folder).unwrap();
        let mut bytes = bytes.clone();
        bytes[place..place + 4].copy_from_slice(format!("P-{patient} ").as_bytes());
        fs::write(folder.join(format!("{patient}.dcm")), bytes).unwrap();
    }
    let probe = format!("probe --weights random --arch resnet18 {TINY} --mode logistic --out p");
    let data = "--data folder --data-root set --frame all --split 50/25/25";
    let run = bench.cass(&format!("{probe} {data}"));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(code(&run), 0, "{said}");
    assert!(
        said.contains("folder in set: 40 images, 2 classes (a, b), 8 patients"),
        "{said}"
    );
    let manifest = fs::read_to_string(bench.path("p/manifest.tsv")).unwrap();
    let mut parts: HashMap<&str, HashSet<&str>> = HashMap::new();
    for line in manifest.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (file, _) = fields[0].split_once('#').unwrap();
        parts.entry(file).or_default().insert(fields[2]);
    }
    assert_eq!(parts.len(), 8, "{manifest}");
    assert!(parts.values().all(|parts| parts.len() == 1), "{manifest}");
    let predicted = bench.cass("predict --run p set/b/1.dcm");
    let text = String::from_utf8_lossy(&predicted.stdout).into_owned();
    let files = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap());
    let want: Vec<_> = (1..=5)
        .map(|frame| format!("set/b/1.dcm#{frame}"))
        .collect();
    assert_eq!(files.collect::<Vec<_>>(), want, "{predicted:?}");
}
