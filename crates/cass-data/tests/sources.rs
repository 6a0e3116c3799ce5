//! Every layout on disk: what is read from it, and what is said of a broken one.
mod common;

use std::{collections::BTreeSet, fs, path::Path};

use cass_data::{Dataset, Manifest, Part, Split, Task, fraction, open};
use common::fixture;
use tempfile::TempDir;

/// A folder with these files: text, or an image where there is none.
fn layout(files: &[(&str, Option<&str>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => drop(fs::copy(fixture("rgb.png"), path).unwrap()),
        }
    }
    folder
}

/// A table of `rows`, each naming an image `<first field>.png`, below `header`.
fn table(file: &str, header: &str, rows: &[String]) -> TempDir {
    let text = format!("{header}\n{}\n", rows.join("\n"));
    let names = rows.iter().map(|row| row.split(',').next().unwrap());
    let names: BTreeSet<_> = names.map(|name| format!("{name}.png")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    files.push((file, Some(text.as_str())));
    layout(&files)
}

#[track_caller]
fn fails(kind: &str, root: &Path, skip_bad: bool, said: &[&str]) {
    let error = open(kind, root, skip_bad)
        .map(|d| d.len())
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\n'), "{error}");
    for part in said {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

fn names(dataset: &Dataset) -> Vec<String> {
    let samples = dataset.samples.iter();
    samples
        .map(|s| {
            let path = s.path.strip_prefix(&dataset.root).unwrap();
            let labels: Vec<_> = s
                .labels
                .iter()
                .map(|&l| dataset.classes[l].as_str())
                .collect();
            format!("{} {}", path.display(), labels.join("+"))
        })
        .collect()
}

const TRUTH: &str = "ISIC_2019_Training_GroundTruth.csv";
const HEADER: &str = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK";

/// An ISIC folder with two images a class, and this text of the truth.
fn isic(edit: impl Fn(String) -> String) -> TempDir {
    let mut text = format!("{HEADER}\n");
    let mut files = vec!["ISIC_2019_Training_Input/LICENSE.txt".to_owned()];
    for i in 0..16 {
        let hot: Vec<_> = (0..9)
            .map(|c| if c == i / 2 { "1.0" } else { "0.0" })
            .collect();
        text += &format!("ISIC_{i:02},{}\n", hot.join(","));
        files.push(format!("ISIC_2019_Training_Input/ISIC_{i:02}.jpg"));
    }
    let text = edit(text);
    let mut files: Vec<_> = files.iter().map(|f| (f.as_str(), None)).collect();
    files.push((TRUTH, Some(text.as_str())));
    layout(&files)
}

#[test]
fn isic2019_is_read_as_it_is_downloaded() {
    let parent = tempfile::tempdir().unwrap();
    fs::rename(isic(|text| text).keep(), parent.path().join("isic2019")).unwrap();
    let dataset = open("isic2019", parent.path(), false).unwrap();
    assert_eq!((dataset.len(), dataset.task), (16, Task::MultiClass));
    assert_eq!(dataset.classes.join(","), "MEL,NV,BCC,AK,BKL,DF,VASC,SCC");
    assert_eq!(
        names(&dataset)[3],
        "ISIC_2019_Training_Input/ISIC_03.jpg NV"
    );
    assert!(
        dataset
            .samples
            .iter()
            .all(|s| s.part.is_none() && s.group.is_none())
    );
    // What spreadsheets do to it changes nothing.
    let spreadsheet = isic(|text| {
        format!(
            "\u{feff}{}",
            text.replace("ISIC_04", "\"ISIC_04\"").replace('\n', "\r\n")
        )
    });
    let again = open("isic2019", spreadsheet.path(), false).unwrap();
    assert_eq!(names(&again), names(&dataset));
}

#[test]
fn isic2019_groups_by_lesion() {
    let folder = isic(|text| text);
    let mut metadata = "image,age_approx,anatom_site_general,lesion_id,sex\n".to_owned();
    for i in 0..15 {
        metadata += &format!("ISIC_{i:02},55,\"torso, front\",L{},female\n", i / 2 % 4);
    }
    metadata += "ISIC_15,,,,\n";
    fs::write(
        folder.path().join("ISIC_2019_Training_Metadata.csv"),
        metadata,
    )
    .unwrap();
    let dataset = open("isic2019", folder.path(), false).unwrap();
    assert_eq!(dataset.samples[9].group.as_deref(), Some("L0"));
    assert_eq!(dataset.samples[15].group, None);
}

#[test]
fn a_wrong_row_is_named_by_line_column_and_value() {
    type Edit = (&'static str, &'static str);
    let cases: [(Edit, &str); 7] = [
        (
            ("ISIC_01,1.0", "ISIC_01,2.0"),
            "line 3, column MEL: \"2.0\", expected 0 or 1",
        ),
        (
            ("ISIC_01,1.0", "ISIC_01,"),
            "line 3, column MEL: \"\", expected 0 or 1",
        ),
        (("ISIC_01,1.0", "ISIC_01,0.0"), "sum to 0, expected 1"),
        (
            ("ISIC_01,1.0,0.0", "ISIC_01,1.0,1.0"),
            "line 3: columns MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK: they sum to 2, expected 1",
        ),
        (
            ("ISIC_01,1.0,0.0", "ISIC_01,1.0"),
            "line 3: 9 fields, expected 10",
        ),
        (
            ("ISIC_01,", "ISIC_00,"),
            "line 3, column image: \"ISIC_00\", expected one row each (it is on line 2, too)",
        ),
        (
            ("ISIC_01,", "ISIC_99,"),
            "line 3, column image: \"ISIC_99\", expected the name of an image that is there",
        ),
    ];
    for ((from, to), said) in cases {
        let folder = isic(|text| text.replace(from, to));
        fails(
            "isic2019",
            folder.path(),
            false,
            &[TRUTH, said, "1 of 16 images"],
        );
        let dataset = open("isic2019", folder.path(), true).unwrap();
        assert_eq!((dataset.len(), dataset.skipped.len()), (15, 1), "{said}");
        assert!(dataset.skipped[0].1.contains(said), "{:?}", dataset.skipped);
    }
}

#[test]
fn a_wrong_header_is_named() {
    for (from, to, said) in [
        (HEADER, "image,MEL,NV", "expected a column BCC"),
        ("image,", "name,", "expected a column image"),
        (
            "NV",
            "MEL",
            "line 1, column 3: \"MEL\", expected a name of its own",
        ),
    ] {
        let folder = isic(|text| text.replace(from, to));
        fails("isic2019", folder.path(), true, &[TRUTH, "line 1", said]);
    }
    let empty = isic(|_| String::new());
    fails(
        "isic2019",
        empty.path(),
        true,
        &[TRUTH, "it is empty, expected a header line"],
    );
    let folder = isic(|text| text);
    let mut bytes = fs::read(folder.path().join(TRUTH)).unwrap();
    let place = bytes.windows(7).position(|w| w == b"ISIC_03").unwrap();
    bytes[place] = 0xff;
    fs::write(folder.path().join(TRUTH), bytes).unwrap();
    fails(
        "isic2019",
        folder.path(),
        false,
        &["line 5: it is not UTF-8"],
    );
}

#[test]
fn biopsies_have_several_labels_and_patients() {
    let rows: Vec<String> = (0..12)
        .map(|i| {
            format!(
                "slide{i:02},{},{},{},0,1,P{}",
                i % 2,
                u8::from(i > 5),
                i / 11,
                i / 3
            )
        })
        .collect();
    let header = "image,TFH-1,TFH-217,TFH-Like,B cells,others,patient";
    let folder = table("labels.csv", header, &rows);
    fails(
        "biopsies",
        folder.path(),
        false,
        &["class \"B cells\"", "no usable training image"],
    );
    let rows: Vec<String> = rows
        .iter()
        .map(|row| row.replace(",0,1,", ",1,1,"))
        .collect();
    let dataset = open("biopsies", table("labels.csv", header, &rows).path(), false);
    assert!(dataset.is_ok(), "{dataset:?}");
    let folder = table("labels.csv", header, &rows);
    let dataset = open("biopsies", folder.path(), false).unwrap();
    assert_eq!(dataset.task, Task::MultiLabel);
    assert_eq!(
        names(&dataset)[7],
        "slide07.png TFH-1+TFH-217+B cells+others"
    );
    let split = dataset.split(3, 0.1);
    assert_disjoint(&dataset, &split);
    assert_groups_whole(&dataset, &split);
    let wrong = table("labels.csv", &header.replace("patient", "Bcells"), &rows);
    fails(
        "biopsies",
        wrong.path(),
        false,
        &["line 1, column Bcells: unknown"],
    );
}

#[test]
fn folders_with_and_without_parts() {
    let flat = layout(&[("b/1.png", None), ("a/x/2.png", None), ("a/1.png", None)]);
    let dataset = open("folder", flat.path(), false).unwrap();
    assert_eq!(names(&dataset), ["a/1.png a", "a/x/2.png a", "b/1.png b"]);
    let parted = layout(&[
        ("Train/a/1.png", None),
        ("Train/b/1.png", None),
        ("valid/b/1.png", None),
        ("test/a/1.png", None),
    ]);
    let dataset = open("folder", parted.path(), false).unwrap();
    let split = dataset.split(0, 0.5);
    let of = |part: &[usize]| {
        part.iter()
            .map(|&i| dataset.samples[i].part)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&split.train), [Some(Part::Train); 2]);
    assert_eq!(of(&split.val), [Some(Part::Val)]);
    assert_eq!(of(&split.test), [Some(Part::Test)]);
    fs::create_dir(parted.path().join("masks")).unwrap();
    fails(
        "folder",
        parted.path(),
        true,
        &["masks", "expected train, val and test"],
    );
    fails(
        "folder",
        tempfile::tempdir().unwrap().path(),
        false,
        &["expected folders <class>"],
    );
    fs::remove_dir_all(flat.path().join("b")).unwrap();
    fs::create_dir(flat.path().join("b")).unwrap();
    fails("folder", flat.path(), false, &["class \"b\""]);
}

#[test]
fn tables_of_paths() {
    let rows = ["1.png,x,train,p", "2.png,\"y, z\",train,", "3.png,x,test,q"].map(String::from);
    let names_of = |header: &str, rows: &[String]| {
        let folder = layout(&[
            ("1.png", None),
            ("2.png", None),
            ("3.png", None),
            ("all.csv", Some(&format!("{header}\n{}", rows.join("\n")))),
        ]);
        let dataset = open("csv", &folder.path().join("all.csv"), false).unwrap();
        assert_eq!(
            names(&open("csv", folder.path(), false).unwrap()),
            names(&dataset)
        );
        (names(&dataset), dataset)
    };
    let (found, dataset) = names_of("Path,label,split,group", &rows);
    assert_eq!(found, ["1.png x", "2.png y, z", "3.png x"]);
    assert_eq!(dataset.samples[0].group.as_deref(), Some("p"));
    assert_eq!(dataset.samples[2].part, Some(Part::Test));

    let rows = ["1.png,b|a", "2.png,", "3.png,a ; c"].map(String::from);
    let (found, dataset) = names_of("file,labels", &rows);
    assert_eq!(found, ["1.png a+b", "2.png ", "3.png a+c"]);
    assert_eq!(dataset.task, Task::MultiLabel);
    let targets: Vec<f32> = dataset.targets(&[0, 1]);
    assert_eq!(targets, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);

    let rows = ["1.png,1,0", "2.png,1,1", "3.png,0,0"].map(String::from);
    assert_eq!(
        names_of("image,u,v", &rows).0,
        ["1.png u", "2.png u+v", "3.png "]
    );

    let bad = layout(&[
        ("1.png", None),
        ("t.csv", Some("path,label,split\n1.png,x,tset\n")),
    ]);
    fails(
        "csv",
        bad.path(),
        false,
        &["t.csv line 2, column split: \"tset\", expected train, val or test"],
    );
    let bad = layout(&[("t.csv", Some("path\n1.png\n"))]);
    fails("csv", bad.path(), false, &["expected a column label"]);
    let bad = layout(&[("t.csv", Some("path,label\n1.png,x\n"))]);
    fails(
        "csv",
        bad.path(),
        false,
        &["line 2, column path: \"1.png\", expected an image file that is there"],
    );
    let none = layout(&[("t.csv", Some("path,label\n"))]);
    fails("csv", none.path(), false, &["there are none"]);
}

fn assert_disjoint(dataset: &Dataset, split: &Split) {
    let parts = [&split.train, &split.val, &split.test];
    let mut all: Vec<_> = parts.into_iter().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..dataset.len()).collect::<Vec<_>>());
}

fn assert_groups_whole(dataset: &Dataset, split: &Split) {
    let groups = |part: &[usize]| -> BTreeSet<_> {
        part.iter()
            .filter_map(|&i| dataset.samples[i].group.clone())
            .collect()
    };
    let [train, val, test] = [&split.train, &split.val, &split.test].map(|p| groups(p));
    assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
}

/// 300 images with up to three of four labels of very unequal frequency; `per_group` to a patient.
fn many(labels: &str, per_group: usize) -> TempDir {
    let rows: Vec<String> = (0..300)
        .map(|i| {
            let mut names = vec!["a"];
            names.extend((i % 3 == 0).then_some("b"));
            names.extend((i % 10 == 4).then_some("c"));
            names.extend((i % 50 == 7).then_some("d"));
            let name = if labels == "label" {
                names[names.len() - 1].to_owned()
            } else {
                names.join("|")
            };
            format!("i{i:03}.png,{name},p{}", i / per_group)
        })
        .collect();
    let text = format!("path,{labels},group\n{}\n", rows.join("\n"));
    let files: Vec<String> = (0..300).map(|i| format!("i{i:03}.png")).collect();
    let mut files: Vec<_> = files.iter().map(|f| (f.as_str(), None)).collect();
    files.push(("t.csv", Some(text.as_str())));
    layout(&files)
}

fn count(dataset: &Dataset, part: &[usize], label: usize) -> f64 {
    let has = part
        .iter()
        .filter(|&&i| dataset.samples[i].labels.contains(&label));
    has.count() as f64
}

#[test]
fn iterative_stratification_keeps_every_share() {
    let folder = many("labels", 1);
    let dataset = open("csv", folder.path(), false).unwrap();
    let split = dataset.split(5, 0.1);
    assert_disjoint(&dataset, &split);
    assert_eq!(split, dataset.split(5, 0.1));
    assert_ne!(split, dataset.split(6, 0.1));
    let all: Vec<_> = (0..300).collect();
    for label in 0..4 {
        for (part, share) in [(&split.train, 0.8), (&split.val, 0.1), (&split.test, 0.1)] {
            let (got, want) = (
                count(&dataset, part, label),
                share * count(&dataset, &all, label),
            );
            assert!(
                (got - want).abs() <= 1.0,
                "label {label}: {got}, wanted {want}"
            );
        }
    }
    assert_eq!(
        &split.val[..4],
        [19, 25, 27, 34],
        "seeded results would move"
    );
}

#[test]
fn grouped_splits_divide_no_patient() {
    for labels in ["label", "labels"] {
        let folder = many(labels, 4);
        let dataset = open("csv", folder.path(), false).unwrap();
        let split = dataset.split(5, 0.1);
        assert_disjoint(&dataset, &split);
        assert_groups_whole(&dataset, &split);
        for (part, want) in [(&split.train, 240), (&split.val, 30), (&split.test, 30)] {
            assert!(part.len().abs_diff(want) <= 15, "{} of {want}", part.len());
            for label in 0..4 {
                assert!(count(&dataset, part, label) >= 1.0, "{labels}: no {label}");
            }
        }
    }
}

#[test]
fn multi_label_fractions_are_nested_and_have_every_class() {
    let folder = many("labels", 1);
    let dataset = open("csv", folder.path(), false).unwrap();
    let train = dataset.split(5, 0.1).train;
    let [few, some, most, all] = [0.0, 0.1, 0.5, 1.0].map(|f| fraction(&dataset, &train, f, 9));
    assert_eq!(all, train);
    for (small, large) in [(&few, &some), (&some, &most)] {
        let large: BTreeSet<_> = large.iter().collect();
        assert!(small.iter().all(|i| large.contains(i)));
    }
    assert!(few.len() <= 4);
    assert_eq!((some.len(), most.len()), (24, 120));
    for label in 0..4 {
        assert!(count(&dataset, &few, label) >= 1.0);
        let want = 0.5 * count(&dataset, &train, label);
        let got = count(&dataset, &most, label);
        assert!(
            (got - want).abs() <= 2.0,
            "label {label}: {got}, wanted {want}"
        );
    }
}

#[test]
fn a_manifest_comes_back_as_it_was_written() {
    let folder = layout(&[
        ("1.png", None),
        ("2.png", None),
        ("t.csv", Some("path,labels\n1.png,\"b,\\c|a\td\"\n2.png,\n")),
    ]);
    let dataset = open("csv", folder.path(), false).unwrap();
    let split = Split {
        train: vec![0],
        val: vec![1],
        test: vec![],
    };
    let manifest = dataset.manifest(&split);
    assert_eq!(manifest.rows[0].labels, ["a\td", "b,\\c"]);
    assert_eq!(manifest.rows[1].labels, [""; 0]);
    let file = folder.path().join("manifest.tsv");
    manifest.write(&file).unwrap();
    let read = Manifest::read(&file).unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.hash(), dataset.manifest_hash(&split));
    let text = manifest.to_text();
    for (from, to, said) in [
        (
            "\ttrain\t",
            "\ttrian\t",
            "column 3: \"trian\", expected train, val or test",
        ),
        ("\ttrain\t", "\t", "3 fields"),
        ("1.png\t", "1.png\tx", "64 hexadecimal digits"),
    ] {
        let error = Manifest::parse(&file, &text.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1") && error.contains(said), "{error}");
    }
}

fn medmnist(name: &str) -> std::path::PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/medmnist");
    fixtures.join(name)
}

#[test]
fn medmnist_archives_are_read_with_their_parts() {
    let dataset = open("medmnist", &medmnist("grey.npz"), false).unwrap();
    assert_eq!((dataset.len(), dataset.task), (11, Task::MultiClass));
    assert_eq!(dataset.classes, ["0", "1", "2"]);
    assert_eq!(names(&dataset)[7], "grey.npz/val/1 1");
    let split = dataset.split(0, 0.1);
    assert_eq!(
        [split.train.len(), split.val.len(), split.test.len()],
        [6, 2, 3]
    );
    let image = dataset.pixels(7, 28).unwrap();
    assert!(image.is_grey());
    let hashes: BTreeSet<_> = dataset.samples.iter().map(|s| s.sha256).collect();
    assert_eq!(hashes.len(), 11);

    let colour = open("medmnist", &medmnist("colour-multi-label.npz"), false).unwrap();
    assert_eq!((colour.len(), colour.task), (11, Task::MultiLabel));
    assert_eq!(names(&colour)[3], "colour-multi-label.npz/train/3 0+1");
    assert!(!colour.pixels(3, 8).unwrap().is_grey());
    let (two, none) = (medmnist(""), medmnist("absent"));
    fails("medmnist", &two, false, &["exactly one .npz file"]);
    fails("medmnist", &none, false, &["which is no folder"]);
}

#[test]
fn no_part_of_an_archive_is_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.npz");
    for name in ["grey.npz", "colour-multi-label.npz"] {
        let bytes = fs::read(medmnist(name)).unwrap();
        for length in (0..bytes.len()).step_by(97) {
            fs::write(&file, &bytes[..length]).unwrap();
            fails("medmnist", &file, false, &["part.npz"]);
        }
        // Damage anywhere is an error or changes nothing that is read: it never is a panic.
        for place in (0..bytes.len()).step_by(61) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x55;
            fs::write(&file, damaged).unwrap();
            let _ = open("medmnist", &file, false);
        }
    }
}
