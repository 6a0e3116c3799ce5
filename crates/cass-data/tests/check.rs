//! The data doctor: each illness is found, and a healthy set has none.

mod common;

use cass_data::check::{Checkup, FindingKind, check};
use cass_data::prelude::*;
use common::{fixture, phantoms};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn examine(kind: &str, root: &Path) -> Checkup {
    check(&Layout::new(kind, root), &|_, _| {}).unwrap()
}

fn counts(checkup: &Checkup) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for finding in &checkup.findings {
        *counts.entry(finding.kind.name()).or_default() += 1;
    }
    counts
}

/// The only finding of its kind: its file's name and its detail.
fn only(checkup: &Checkup, kind: FindingKind) -> (String, String) {
    let found: Vec<_> = checkup.findings.iter().filter(|f| f.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind:?}: {:?}", checkup.findings);
    let name = found[0].file.file_name().unwrap().to_string_lossy();
    (name.into_owned(), found[0].detail.clone())
}

#[test]
fn healthy_images_have_no_findings() {
    let folder = phantoms(48);
    let steps = std::sync::Mutex::new(Vec::new());
    let checkup = check(&Layout::new("brain-mri", folder.path()), &|done, total| {
        steps.lock().unwrap().push((done, total));
    })
    .unwrap();
    assert_eq!(checkup.findings, []);
    assert_eq!((checkup.images, checkup.groups), (44, 0));
    assert!(
        checkup
            .classes
            .iter()
            .all(|c| c.parts == [8, 0, 3] && c.total() == 11)
    );
    assert_eq!(checkup.sizes, BTreeMap::from([((48, 48), 44)]));
    assert_eq!(checkup.modes.values().sum::<usize>(), 44);
    let mut steps = steps.into_inner().unwrap();
    steps.sort_unstable();
    assert_eq!(steps, (1..=44).map(|done| (done, 44)).collect::<Vec<_>>());
}

#[test]
fn every_illness_of_a_file_is_found() {
    let folder = phantoms(48);
    let class = folder.path().join("Training/glioma");
    for name in [
        "truncated.jpg",
        "empty.jpg",
        "cmyk.jpg",
        "rgb-exif-rotated.jpg",
        "png-named.jpg",
        "rgb-16.png",
    ] {
        fs::copy(fixture(name), class.join(name)).unwrap();
    }
    image::GrayImage::from_pixel(20, 20, image::Luma([7]))
        .save(class.join("blank.png"))
        .unwrap();
    fs::create_dir(folder.path().join("Training/no_tumor")).unwrap();
    let checkup = examine("brain-mri", folder.path());
    let counts = counts(&checkup);
    assert_eq!(counts["unreadable"], 2);
    assert_eq!(only(&checkup, FindingKind::Blank).0, "blank.png");
    assert_eq!(
        only(&checkup, FindingKind::Rotated).0,
        "rgb-exif-rotated.jpg"
    );
    let (name, detail) = only(&checkup, FindingKind::WrongExtension);
    assert_eq!(
        (name.as_str(), detail.as_str()),
        ("png-named.jpg", "is a PNG file by its content")
    );
    assert_eq!(only(&checkup, FindingKind::SixteenBit).0, "rgb-16.png");
    let (name, detail) = only(&checkup, FindingKind::UnknownClass);
    assert_eq!(
        (name.as_str(), detail.as_str()),
        ("no_tumor", "is an unknown class: is it \"notumor\"?")
    );
    assert_eq!(checkup.images, 44 + 5);
    assert_eq!(checkup.modes["PNG Rgb16"], 1);
}

#[test]
fn duplicates_and_near_duplicates_are_told_apart() {
    let folder = phantoms(48);
    let of = |name: &str| folder.path().join(name);
    fs::copy(
        of("Training/glioma/glioma-00002.jpg"),
        of("Testing/glioma/copy.jpg"),
    )
    .unwrap();
    fs::copy(
        of("Training/notumor/notumor-00001.jpg"),
        of("Training/pituitary/copy.jpg"),
    )
    .unwrap();
    fs::copy(
        of("Training/notumor/notumor-00003.jpg"),
        of("Training/notumor/z.jpg"),
    )
    .unwrap();
    let again = image::open(of("Training/glioma/glioma-00004.jpg")).unwrap();
    let again = again.resize_exact(60, 60, image::imageops::FilterType::Triangle);
    again.save(of("Testing/glioma/again.png")).unwrap();
    let checkup = examine("brain-mri", folder.path());
    assert_eq!(
        counts(&checkup).values().sum::<usize>(),
        4,
        "{:?}",
        checkup.findings
    );
    let (name, detail) = only(&checkup, FindingKind::DuplicateAcrossSplits);
    assert_eq!(name, "copy.jpg");
    assert_eq!(
        detail,
        "is the same file as Training/glioma/glioma-00002.jpg"
    );
    assert_eq!(
        only(&checkup, FindingKind::DuplicateAcrossLabels).0,
        "copy.jpg"
    );
    assert_eq!(only(&checkup, FindingKind::Duplicate).0, "z.jpg");
    let (name, detail) = only(&checkup, FindingKind::NearDuplicateAcrossSplits);
    assert_eq!(name, "again.png");
    assert_eq!(detail, "looks like Training/glioma/glioma-00004.jpg");
}

#[test]
fn tables_and_files_that_do_not_fit_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let source = phantoms(48);
    let mut rows = "path,label,split,patient\n".to_owned();
    for i in 0..8 {
        let name = format!("glioma-{i:05}.jpg");
        fs::copy(
            source.path().join("Training/glioma").join(&name),
            folder.path().join(&name),
        )
        .unwrap();
        let label = ["benign tumour", "Benign_tumor", "grade 1", "grade 2"][i % 4];
        let split = if i == 5 { "test" } else { "train" };
        rows += &format!("{name},{label},{split},p{}\n", i / 4);
    }
    rows += "gone.jpg,grade 1,train,p9\nglioma-00000.jpg,grade 1,tain,p9\n";
    fs::write(folder.path().join("t.csv"), rows).unwrap();
    let checkup = examine("csv", folder.path());
    let found = counts(&checkup);
    // Eight images of four classes, one of them for testing.
    assert_eq!(
        (found["few-images"], found["class-missing-from-part"]),
        (4, 3)
    );
    assert_eq!(
        found.values().sum::<usize>(),
        4 + 7,
        "{:?}",
        checkup.findings
    );
    let (_, detail) = only(&checkup, FindingKind::LabelTypo);
    assert_eq!(
        detail,
        "has classes \"Benign_tumor\" and \"benign tumour\": are they the same?"
    );
    assert!(
        only(&checkup, FindingKind::MissingFile)
            .1
            .starts_with("line 10, column path: \"gone.jpg\"")
    );
    assert!(
        only(&checkup, FindingKind::BadRow)
            .1
            .starts_with("line 11, column path")
    );
    let (name, detail) = only(&checkup, FindingKind::GroupAcrossSplits);
    assert_eq!(name, "glioma-00005.jpg");
    assert!(
        detail.contains("is for test and of group \"p1\""),
        "{detail}"
    );
    assert_eq!(checkup.groups, 2);
}

#[test]
fn one_class_alone_is_told() {
    let folder = phantoms(48);
    for part in ["Training", "Testing"] {
        for class in ["glioma", "meningioma", "notumor"] {
            fs::remove_dir_all(folder.path().join(part).join(class)).unwrap();
        }
        let lower = folder
            .path()
            .join(if part == "Training" { "train" } else { "test" });
        fs::rename(folder.path().join(part), lower).unwrap();
    }
    let checkup = examine("folder", folder.path());
    assert_eq!(counts(&checkup), BTreeMap::from([("single-class", 1)]));
    let (_, detail) = only(&checkup, FindingKind::SingleClass);
    assert_eq!(
        detail,
        "has no class but \"pituitary\": nothing to tell apart"
    );
}

#[test]
fn copies_across_a_split_are_counted_alike_under_every_layout() {
    let folder = phantoms(48);
    let of = |name: &str| folder.path().join(name);
    for number in [2, 3] {
        let name = format!("Training/glioma/glioma-{number:05}.jpg");
        fs::copy(of(&name), of(&format!("Testing/glioma/copy-{number}.jpg"))).unwrap();
    }
    // A copy within a part is no leak.
    fs::copy(
        of("Training/notumor/notumor-00003.jpg"),
        of("Training/notumor/z.jpg"),
    )
    .unwrap();
    for kind in ["brain-mri", "folder"] {
        let leaks = examine(kind, folder.path()).leaks;
        assert_eq!(
            (leaks.test, leaks.copied, leaks.given),
            (14, 2, true),
            "{kind}"
        );
    }
    let one = examine("folder", &of("Training"));
    assert_eq!((one.leaks.given, one.leaks.test), (false, 4));
}

/// What `data check` counts, a run says: of the same file and of the same picture, whether images were decoded to be
/// checked or known before.
#[test]
fn a_run_tells_of_pictures_that_its_split_divides_from_a_copy() {
    let (folder, record) = (phantoms(48), tempfile::tempdir().unwrap());
    let training = folder.path().join("Training");
    let recipe = DataRecipe::new("folder", &training);
    let open = || {
        let storage = Storage {
            cache: Cache::Off,
            record: Some(record.path().to_owned()),
        };
        RunImages::open(&recipe, LoaderConfig::default(), &storage).unwrap()
    };
    assert_eq!(open().dataset.warnings, [""; 0]);
    // Of every image one like it, so that some of each pair are divided.
    for class in ["glioma", "notumor"] {
        for number in 0..8 {
            let of = |name: &str| training.join(class).join(name);
            let from = of(&format!("{class}-{number:05}.jpg"));
            if class == "glioma" {
                fs::copy(from, of(&format!("copy{number}.jpg"))).unwrap();
                continue;
            }
            let again = of(&format!("again{number}.png"));
            image::open(from).unwrap().save(again).unwrap();
        }
    }
    // The end of a name is that of its picture.
    let images = open();
    let picture = |&i: &usize| {
        let path = &images.dataset.samples[i].path;
        let stem = path.file_stem().unwrap().to_string_lossy();
        let class = path.parent().unwrap().to_owned();
        (class, stem.chars().last().unwrap())
    };
    let test: Vec<_> = images.split.test.iter().map(picture).collect();
    let twice = |of: &(PathBuf, char)| test.iter().filter(|other| *other == of).count() == 2;
    let copied: Vec<_> = test
        .iter()
        .filter(|of| of.0.ends_with("glioma") || of.0.ends_with("notumor"))
        .filter(|of| !twice(of))
        .collect();
    assert!(copied.len() > 1 && copied.len() < test.len());
    let leaks = examine("folder", &training).leaks;
    assert_eq!((leaks.test, leaks.copied), (test.len(), copied.len()));
    let told = format!(
        "{} of the {} test images have a copy",
        copied.len(),
        test.len()
    );
    for images in [images, open()] {
        let warnings = &images.dataset.warnings;
        assert!(warnings[0].starts_with(&told), "{warnings:?}");
    }
}

#[test]
fn small_classes_and_classes_of_one_patient_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = phantoms(48);
    let mut rows = "path,label,split,patient\n".to_owned();
    for i in 0..16 {
        let name = format!("{:05}.jpg", i);
        let class = ["glioma", "notumor"][i % 2];
        let from = source
            .path()
            .join(format!("Training/{class}/{class}-{:05}.jpg", i / 2));
        fs::copy(from, folder.path().join(&name)).unwrap();
        let (label, split) = match i {
            0 => ("rare", "train"),
            1..8 => ("a", ["train", "test"][usize::from(i > 3)]),
            _ => ("b", ["train", "test"][i % 2]),
        };
        let patient = if label == "b" { 100 } else { i };
        rows += &format!("{name},{label},{split},p{patient}\n");
    }
    fs::write(folder.path().join("t.csv"), rows).unwrap();
    let checkup = examine("csv", folder.path());
    let (_, detail) = only(&checkup, FindingKind::ClassMissingFromPart);
    assert_eq!(detail, "has no test image of class \"rare\"");
    let (_, detail) = only(&checkup, FindingKind::FewImages);
    assert!(
        detail.starts_with("has 1 images of class \"rare\""),
        "{detail}"
    );
    let (_, detail) = only(&checkup, FindingKind::OnePatientClass);
    assert_eq!(
        detail,
        "has class \"b\" of the one patient or other group \"p100\""
    );
}

#[test]
fn what_is_not_there_cannot_be_examined() {
    let nothing = tempfile::tempdir().unwrap();
    assert!(check(&Layout::new("brain-mri", nothing.path()), &|_, _| {}).is_err());
}
