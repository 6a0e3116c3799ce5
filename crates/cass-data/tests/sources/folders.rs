//! Folders as people have them, and images without labels.

use super::*;
use cass_data::check::{FindingKind, check};
use cass_data::source::{Choices, Source, images_at};

fn of(kind: &str, root: &Path, choices: Choices) -> cass_data::Result<Dataset> {
    let layout = Layout {
        choices,
        ..Layout::new(kind, root)
    };
    Dataset::open(&layout, &OpenOptions::default())
}

fn excluding(patterns: &[&str]) -> Choices {
    Choices {
        exclude: patterns.iter().map(|p| p.to_string()).collect(),
        ..Choices::default()
    }
}

const LITTER: [&str; 11] = [
    "a/._1.png",
    "a/Thumbs.db",
    "a/.ipynb_checkpoints/1-checkpoint.png",
    "a/@eaDir/1.png",
    "__MACOSX/a/1.png",
    "$RECYCLE.BIN/x.png",
    "a/.DS_Store",
    "a/desktop.ini",
    "@eaDir/1.png",
    "#recycle/1.png",
    "a/DICOMDIR",
];

#[test]
fn what_systems_leave_is_no_class_and_no_image() {
    let mut files = vec![("a/1.png", None), ("b/1.png", None)];
    files.extend(LITTER.map(|name| (name, None)));
    let folder = layout(&files);
    let dataset = open("folder", folder.path(), false).unwrap();
    assert_eq!(names(&dataset), ["a/1.png a", "b/1.png b"]);
    assert_eq!(images_at(folder.path()).unwrap().len(), 2);
    assert_eq!(open("images", folder.path(), false).unwrap().len(), 2);
}

#[test]
fn other_files_are_left_out_with_a_line() {
    let folder = layout(&[
        ("a/1.png", None),
        ("b/1.png", None),
        ("a/README.txt", Some("x")),
        ("a/labels.csv", Some("x")),
        ("b/1.xml", Some("<x/>")),
        ("b/empty", Some("")),
        ("a/no-ending", None),
    ]);
    let dataset = open("folder", folder.path(), false).unwrap();
    assert_eq!(names(&dataset), ["a/1.png a", "a/no-ending a", "b/1.png b"]);
    let said = "4 files that are no images are left out: README.txt, labels.csv, 1.xml ...";
    assert_eq!(dataset.notes, [said]);
    // What calls itself an image has to be one.
    fs::write(folder.path().join("a/2.jpg"), "no picture").unwrap();
    fails("folder", folder.path(), false, &["a/2.jpg is none of"]);
}

#[test]
fn patterns_leave_files_and_folders_out() {
    let folder = layout(&[
        ("a/1.png", None),
        ("a/1_mask.png", None),
        ("b/1.png", None),
        ("masks/1.png", None),
        ("b/masks/1.png", None),
    ]);
    let all = of("folder", folder.path(), excluding(&["*_mask.*", "masks"])).unwrap();
    assert_eq!(names(&all), ["a/1.png a", "b/1.png b"]);
    let all = of("folder", folder.path(), excluding(&["*_mask.*", "masks/*"])).unwrap_err();
    assert!(all.to_string().contains("class \"masks\""), "{all}");
    let images = of("images", folder.path(), excluding(&["b/**"])).unwrap();
    assert_eq!(images.len(), 3);
    let wrong = of("folder", folder.path(), excluding(&["[a"])).unwrap_err();
    assert!(wrong.to_string().contains("`exclude` is \"[a\""), "{wrong}");
}

fn kinds_of(root: &Path) -> Vec<(FindingKind, String)> {
    let checkup = check(&Layout::new("folder", root), &|_, _| {}).unwrap();
    let findings = checkup.findings.into_iter();
    findings.map(|f| (f.kind, f.detail)).collect()
}

#[test]
fn an_archive_within_itself_and_one_folder_too_many() {
    let folder = layout(&[
        ("yes/1.png", None),
        ("no/1.png", None),
        ("data/yes/1.png", None),
        ("data/no/1.png", None),
    ]);
    let said = ["data holds no, yes again", "--exclude data"];
    fails("folder", folder.path(), true, &said);
    let found = kinds_of(folder.path());
    assert!(
        found.iter().any(|(kind, _)| *kind == FindingKind::Copy),
        "{found:?}"
    );
    let dataset = of("folder", folder.path(), excluding(&["data"])).unwrap();
    assert_eq!(dataset.classes, ["no", "yes"]);

    for names in [
        ["set/yes/1.png", "set/no/1.png"],
        ["set/train/a/1.png", "set/test/a/1.png"],
    ] {
        let folder = layout(&names.map(|name| (name, None)));
        let found = kinds_of(folder.path());
        let deep = found.iter().find(|(kind, _)| *kind == FindingKind::TooDeep);
        let (_, said) = deep.unwrap_or_else(|| panic!("{found:?}"));
        assert!(
            said.contains("--data-root") && said.contains("set"),
            "{said}"
        );
    }
}

#[test]
fn empty_classes_and_stray_images() {
    let folder = layout(&[("a/1.png", None), ("b/1.png", None), ("stray.png", None)]);
    fs::create_dir(folder.path().join("c")).unwrap();
    fails("folder", folder.path(), false, &["class \"c\""]);
    let dataset = open("folder", folder.path(), true).unwrap();
    assert_eq!(dataset.classes, ["a", "b"]);
    assert_eq!(dataset.skipped[0].reason, "has no image of class \"c\"");
    let found = kinds_of(folder.path());
    let stray = (
        FindingKind::UnlabelledFile,
        "is next to the class folders, in none of them".to_owned(),
    );
    assert!(found.contains(&stray), "{found:?}");
}

#[test]
fn folders_below_classes_are_patients() {
    let files = [
        "a/p1/1.png",
        "a/p1/2.png",
        "a/p2/1.png",
        "b/p3/s/1.png",
        "b/p1/1.png",
    ];
    let folder = layout(&files.map(|name| (name, None)));
    let groups = |choices| {
        let dataset = of("folder", folder.path(), choices).unwrap();
        let groups = dataset
            .samples
            .iter()
            .map(|s| s.group.clone().unwrap_or_default());
        (groups.collect::<Vec<_>>().join(","), dataset.notes)
    };
    let (patients, notes) = groups(Choices::default());
    assert_eq!(patients, "p1,p1,p2,p1,p3");
    assert!(notes[0].contains("3 folders below the classes are taken for patients"));
    let by = |pattern: &str| Choices {
        group_by: Some(pattern.into()),
        ..Choices::default()
    };
    assert_eq!(groups(by("none")).0, ",,,,");
    assert_eq!(groups(by("/(p[0-9])/")).0, "p1,p1,p2,p1,p3");
    assert_eq!(groups(by("^([0-9]+)")).0, "1,2,1,1,1");
    for (pattern, said) in [
        ("(", "expected a regular expression"),
        ("x", "fits the names"),
    ] {
        let error = of("folder", folder.path(), by(pattern))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`group_by` is") && error.contains(said),
            "{error}"
        );
    }
    // An image of no patient: the folders are something else.
    fs::copy(fixture("rgb.png"), folder.path().join("a/3.png")).unwrap();
    assert_eq!(groups(Choices::default()).0, ",,,,,");
}

#[test]
fn any_images_are_a_data_set_without_labels() {
    let trees = [
        vec!["1.png", "2.png", "3.png"],
        vec!["2021/03/1.png", "2021/04/2.png", "2022/01/3.png"],
        vec!["2021-03-04/1.png", "2021-03-05/x/2.png", "20210306/3.png"],
    ];
    for files in trees {
        let files: Vec<_> = files.into_iter().map(|name| (name, None)).collect();
        let folder = layout(&files);
        let dataset = open("folder", folder.path(), false).unwrap();
        assert_eq!(
            (dataset.len(), dataset.is_labelled()),
            (3, false),
            "{files:?}"
        );
        assert_eq!(dataset.split(0, 0.1).train.len(), 3);
        let half = cass_data::split::fraction(&dataset, &[0, 1, 2], 0.67, 0);
        assert_eq!(half.len(), 2);
    }
    let by_folder = Choices {
        labels: vec!["by-folder".into()],
        ..Choices::default()
    };
    let dated = layout(&[("2021/1.png", None), ("2022/1.png", None)]);
    let dataset = of("folder", dated.path(), by_folder).unwrap();
    assert_eq!(dataset.classes, ["2021", "2022"]);

    let tree = layout(&[("a/1.png", None), ("a/1.jpg", None), ("b/c/2.png", None)]);
    let root = tree.path();
    for (pattern, count) in [
        ("**/*.png", 2),
        ("a/*", 2),
        ("a/1.png", 1),
        ("*/1.{png,jpg}", 2),
    ] {
        let dataset = open("images", &root.join(pattern), false).unwrap();
        assert_eq!(dataset.len(), count, "{pattern}");
    }
    fails("images", &root.join("*.tif"), false, &["there are none"]);
    fails(
        "images",
        &root.join("nothing"),
        false,
        &["expected a folder of images"],
    );
    let two = Choices {
        more: vec![root.join("b")],
        ..Choices::default()
    };
    let dataset = of("images", &root.join("a"), two).unwrap();
    assert_eq!(names(&dataset), ["a/1.jpg ", "a/1.png ", "b/c/2.png "]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_circles_are_not() {
    use std::os::unix::fs::symlink;
    let store = layout(&[("x/1.png", None), ("x/2.png", None)]);
    let folder = layout(&[("b/1.png", None)]);
    symlink(store.path().join("x"), folder.path().join("a")).unwrap();
    symlink(folder.path(), folder.path().join("b/above")).unwrap();
    symlink(
        store.path().join("gone.png"),
        folder.path().join("b/gone.png"),
    )
    .unwrap();
    assert_eq!(images_at(folder.path()).unwrap().len(), 4);
    fails(
        "folder",
        folder.path(),
        false,
        &["b/gone.png cannot be read"],
    );
    fs::remove_file(folder.path().join("b/gone.png")).unwrap();
    let dataset = open("folder", folder.path(), false).unwrap();
    assert_eq!(names(&dataset), ["a/1.png a", "a/2.png a", "b/1.png b"]);
}

#[test]
fn patterns_are_of_names_below_the_data_set() {
    // The set's own folder fits the pattern, too.
    let folder = layout(&[
        ("my_masks/folder/a/1.png", None),
        ("my_masks/folder/a/1_mask.png", None),
        ("my_masks/folder/b/2_masks/1.png", None),
        ("my_masks/folder/b/1.png", None),
        (
            "my_masks/all.csv",
            Some("path,label\nfolder/a/1.png,x\nfolder/a/1_mask.png,x\n"),
        ),
    ]);
    let root = folder.path().join("my_masks");
    for (kind, place, left) in [
        ("folder", "folder", 2),
        ("folder", "", 2),
        ("images", "folder", 2),
        ("csv", "", 1),
    ] {
        let dataset = of(kind, &root.join(place), excluding(&["*_mask*"])).unwrap();
        assert_eq!(dataset.len(), left, "{kind} {place}");
    }
}

#[test]
fn parts_under_other_names_are_no_classes() {
    for (train, test) in [
        ("train_set", "test_set"),
        ("TrainData", "TestData"),
        ("training", "testing"),
    ] {
        let names = [train, test].map(|part| format!("{part}/a/1.png"));
        let folder = layout(&[(&names[0], None), (&names[1], None)]);
        let dataset = open("folder", folder.path(), false).unwrap();
        assert_eq!(dataset.classes, ["a"], "{train}");
        assert_eq!(dataset.split(0, 0.0).test.len(), 1);
    }
    let none = layout(&[("val/a/1.png", None), ("test/a/1.png", None)]);
    fails("folder", none.path(), false, &["test", "training images"]);
}

#[test]
fn two_folders_too_many_are_noticed() {
    let folder = layout(&[
        ("archive/set/yes/1.png", None),
        ("archive/set/no/1.png", None),
    ]);
    let found = Layout::new("folder", folder.path()).find().unwrap();
    let [problem] = &found.problems[..] else {
        panic!("{:?}", found.problems)
    };
    assert!(problem.path.ends_with("archive/set"), "{problem:?}");
    assert!(problem.detail.contains("such as no, yes"), "{problem:?}");
}

#[test]
fn of_several_tables_one_has_to_be_named() {
    let folder = layout(&[
        ("1.png", None),
        ("a.csv", Some("path\n1.png\n")),
        ("b.csv", Some("path\n1.png\n")),
    ]);
    fails(
        "csv",
        folder.path(),
        false,
        &["it holds a.csv, b.csv, expected one table", "a.csv?"],
    );
}
