//! Tables, folders and archives.

use super::*;
use crate::splits::{assert_disjoint, assert_groups_whole};

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
    #[cfg(unix)]
    {
        let above = flat.path().join("a/x/above");
        std::os::unix::fs::symlink(flat.path().join("a"), above).unwrap();
        assert_eq!(open("folder", flat.path(), false).unwrap().len(), 3);
    }
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
    let bad = layout(&[("t.csv", Some("path,label\n1.png,x\n"))]);
    fails(
        "csv",
        bad.path(),
        false,
        &["t.csv: none of its 1 images is there, such as \"1.png\""],
    );
    let open_quote = "path,label\n1.png,x\n\"1.png,x\n1.png,x\n";
    let bad = layout(&[("1.png", None), ("t.csv", Some(open_quote))]);
    fails(
        "csv",
        bad.path(),
        false,
        &["t.csv line 3: 1 fields, expected 2; is a quote left open?"],
    );
    let none = layout(&[("t.csv", Some("path,label\n"))]);
    fails("csv", none.path(), false, &["there are none"]);
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
    let said = "array val_labels, row 1: [-1], expected a class";
    fails("medmnist", &medmnist("negative.npz"), false, &[said]);
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
