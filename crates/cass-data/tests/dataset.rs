//! Opening, checking and splitting.

mod common;

use cass_data::Error;
use cass_data::image::Pixels;
use cass_data::prelude::*;
use cass_data::source::{Found, Item, Source};
use common::{fixture, open, open_phantoms, phantoms};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The message of opening this folder, which must fail.
fn failure(root: &Path, skip_bad: bool) -> String {
    let message = match open("brain-mri", root, skip_bad) {
        Ok(dataset) => panic!("opened {} images", dataset.len()),
        Err(error) => error.to_string(),
    };
    assert!(!message.contains('\n'), "{message}");
    message
}

fn count(dataset: &Dataset, indices: &[usize], label: usize) -> usize {
    let labels = indices.iter().map(|&i| dataset.samples[i].label());
    labels.filter(|&l| l == label).count()
}

#[test]
fn the_root_may_be_the_folder_or_its_parent() {
    let parent = tempfile::tempdir().unwrap();
    let inside = parent.path().join("brain-mri");
    fs::rename(phantoms(16).keep(), &inside).unwrap();
    let by_parent = open("brain-mri", parent.path(), false).unwrap();
    let by_itself = open("brain-mri", &inside, false).unwrap();
    assert_eq!(by_parent.root, inside);
    assert_eq!(by_parent.samples, by_itself.samples);
    assert_eq!(by_parent.len(), 4 * 11);
    assert_eq!(
        by_parent.classes,
        ["glioma", "meningioma", "notumor", "pituitary"]
    );
    let names: Vec<_> = by_parent.samples.iter().map(|s| &s.path).collect();
    let mut training_first = names.clone();
    training_first.sort_by_key(|p| (!p.to_string_lossy().contains("Training"), *p));
    assert_eq!(names, training_first);
}

#[test]
fn splits_are_stratified_seeded_and_disjoint() {
    let folder = phantoms(16);
    let dataset = open_phantoms(&folder);
    let split = dataset.split(1, 0.25);
    assert_eq!(split, dataset.split(1, 0.25));
    assert_ne!(split, dataset.split(2, 0.25));
    for label in 0..4 {
        assert_eq!(count(&dataset, &split.train, label), 6);
        assert_eq!(count(&dataset, &split.val, label), 2);
        assert_eq!(count(&dataset, &split.test, label), 3);
    }
    let all: HashSet<_> = [&split.train, &split.val, &split.test]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(all.len(), dataset.len());
    assert!(
        split
            .test
            .iter()
            .all(|&i| dataset.samples[i].part == Some(Part::Test))
    );
    // Never nothing for validation, never everything.
    for (val_fraction, val, train) in [(0.0, 1, 7), (1.0, 7, 1)] {
        let split = dataset.split(1, val_fraction);
        assert_eq!(count(&dataset, &split.val, 2), val);
        assert_eq!(count(&dataset, &split.train, 2), train);
    }
}

#[test]
fn the_split_is_pinned() {
    let folder = phantoms(16);
    let split = open_phantoms(&folder).split(77, 0.1);
    assert_eq!(split.val, [0, 9, 23, 30], "seeded results would move");
}

#[test]
fn fractions_are_nested_and_never_empty() {
    let folder = phantoms(16);
    let dataset = open_phantoms(&folder);
    let train = dataset.split(1, 0.0).train; // seven a class
    let few = fraction(&dataset, &train, 0.01, 5);
    let some = fraction(&dataset, &train, 0.3, 5);
    let all = fraction(&dataset, &train, 1.0, 5);
    for label in 0..4 {
        assert_eq!(count(&dataset, &few, label), 1);
        assert_eq!(count(&dataset, &some, label), 2);
    }
    assert_eq!(all, train);
    let some_set: HashSet<_> = some.iter().collect();
    assert!(few.iter().all(|i| some_set.contains(i)));
    assert_ne!(some, fraction(&dataset, &train, 0.3, 6));
    let mut backwards = train.clone();
    backwards.reverse();
    assert_eq!(some, fraction(&dataset, &backwards, 0.3, 5));
}

#[test]
fn the_manifest_hash_follows_files_and_split() {
    let folder = phantoms(16);
    let dataset = open_phantoms(&folder);
    let split = dataset.split(1, 0.25);
    let hash = dataset.manifest(&split).hash();
    assert_eq!(hash.len(), 64);
    assert_ne!(hash, dataset.manifest(&dataset.split(2, 0.25)).hash());
    let moved = tempfile::tempdir().unwrap();
    let elsewhere = moved.path().join("brain-mri");
    fs::rename(folder.path(), &elsewhere).unwrap();
    let reopened = open("brain-mri", &elsewhere, false).unwrap();
    assert_eq!(hash, reopened.manifest(&split).hash());
    let first = &reopened.samples[0].path;
    fs::copy(&reopened.samples[1].path, first).unwrap();
    let changed = open("brain-mri", &elsewhere, false).unwrap();
    assert_ne!(hash, changed.manifest(&split).hash());
}

#[test]
fn an_unknown_data_set_is_named() {
    let error = open("cifar", Path::new("/"), false).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("\"cifar\"") && message.contains("brain-mri"),
        "{message}"
    );
}

#[test]
fn a_missing_layout_says_what_was_expected_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let message = failure(folder.path(), false);
    for part in [
        "Training/<class>",
        "Testing/<class>",
        "meningioma",
        &folder.path().display().to_string(),
        &folder.path().join("brain-mri").display().to_string(),
    ] {
        assert!(message.contains(part), "{message}");
    }
    let message = failure(&folder.path().join("absent"), false);
    assert!(message.contains("absent, which is no folder"), "{message}");
}

#[test]
fn an_unknown_class_folder_is_named() {
    let folder = phantoms(16);
    fs::create_dir(folder.path().join("Testing/no_tumor")).unwrap();
    let message = failure(folder.path(), true);
    assert!(
        message.contains("no_tumor") && message.contains("notumor"),
        "{message}"
    );
}

#[test]
fn an_empty_or_missing_class_is_named() {
    let folder = phantoms(16);
    let class = folder.path().join("Training/pituitary");
    fs::remove_dir_all(&class).unwrap();
    let expected = class.display().to_string();
    assert!(failure(folder.path(), false).contains(&expected));
    fs::create_dir(&class).unwrap();
    assert!(failure(folder.path(), false).contains(&expected));
    // Nothing but a bad file is empty, too.
    fs::copy(fixture("truncated.jpg"), class.join("a.jpg")).unwrap();
    assert!(failure(folder.path(), true).contains(&expected));
}

#[test]
fn litter_is_not_read() {
    let folder = phantoms(16);
    for name in [".DS_Store", "Thumbs.db", "desktop.ini"] {
        fs::write(folder.path().join("Training/glioma").join(name), "x").unwrap();
    }
    let dataset = open_phantoms(&folder);
    assert_eq!((dataset.len(), dataset.skipped.len()), (44, 0));
}

#[test]
fn unusable_files_stop_or_are_listed() {
    let folder = phantoms(16);
    let class = folder.path().join("Training/meningioma");
    let bad = ["empty.jpg", "huge-header.png", "text.jpg", "truncated.jpg"];
    for name in bad {
        fs::copy(fixture(name), class.join(name)).unwrap();
        let message = failure(folder.path(), false);
        let path = class.join(name).display().to_string();
        assert!(
            message.contains(&path) && message.contains("1 of 45 images"),
            "{message}"
        );
        fs::remove_file(class.join(name)).unwrap();
    }
    for name in bad {
        fs::copy(fixture(name), class.join(name)).unwrap();
    }
    fs::create_dir(class.join("folder.jpg")).unwrap();
    fs::write(class.join("notes.txt"), "which ones?").unwrap();
    let message = failure(folder.path(), false);
    assert!(
        message.contains("6 of 50 images") && message.contains("and 3 more"),
        "{message}"
    );

    let dataset = open("brain-mri", folder.path(), true).unwrap();
    assert_eq!(dataset.len(), 44);
    let skipped: Vec<_> = dataset
        .skipped
        .iter()
        .map(|skipped| {
            assert!(!skipped.reason.is_empty());
            skipped.file.rsplit('/').next().unwrap()
        })
        .collect();
    assert_eq!(
        skipped,
        [
            "empty.jpg",
            "folder.jpg",
            "huge-header.png",
            "notes.txt",
            "text.jpg",
            "truncated.jpg"
        ]
    );
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_named() {
    let folder = phantoms(16);
    let link = folder.path().join("Training/glioma/z.jpg");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let error = open("brain-mri", folder.path(), false).unwrap_err();
    assert!(matches!(error, Error::BadImages { bad: 1, .. }), "{error}");
    assert!(
        error.to_string().contains(link.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn ones_own_images_are_a_data_set() {
    let grey = |level: u8| Pixels::from_grey(6, 4, vec![level; 24]);
    let item = |number: u8| {
        let item = Item::pixels(format!("image {number}"), grey(number)).label(number as usize % 2);
        item.group(format!("patient {}", number / 4))
    };
    let dataset = Dataset::from_items(["even", "odd"], (0..40).map(item).collect()).unwrap();
    assert_eq!((dataset.len(), dataset.task), (40, Task::MultiClass));
    assert_eq!(dataset.pixels(7, 3).unwrap().to_rgb(), [7; 27]);
    let split = dataset.split(1, 0.2);
    let patients = |part: &[usize]| -> HashSet<usize> { part.iter().map(|i| i / 4).collect() };
    assert!(patients(&split.train).is_disjoint(&patients(&split.test)));
    assert_eq!(dataset.file_name(7), "image 7");

    // Files among them, and images of several classes.
    let items = vec![Item::file(fixture("rgb.png")).label(0).label(1), item(2)];
    let dataset = Dataset::from_items(["even", "odd"], items).unwrap();
    assert_eq!(dataset.task, Task::MultiLabel);
    assert_eq!(dataset.samples[0].labels, [0, 1]);

    let beyond = Dataset::from_items(["even"], vec![item(1)]).unwrap_err();
    assert!(beyond.to_string().contains("`label` is 1"), "{beyond}");
    assert!(Dataset::from_items(["even"], vec![]).is_err());
    let broken = Dataset::from_items(["even"], vec![Item::file(fixture("empty.jpg")).label(0)]);
    assert!(broken.unwrap_err().to_string().contains("empty.jpg"));
}

/// A list of files is a source like any layout.
#[test]
fn anything_that_lists_images_is_a_source() {
    struct Two;
    impl Source for Two {
        fn name(&self) -> &str {
            "two"
        }
        fn find(&self) -> cass_data::Result<Found> {
            let names = ["rgb.png", "grey.png"].into_iter().enumerate();
            Ok(Found {
                root: fixture(""),
                classes: vec!["colour".into(), "grey".into()],
                task: Task::MultiClass,
                items: names
                    .map(|(class, name)| Item::file(fixture(name)).label(class))
                    .collect(),
                problems: vec![],
                notes: vec![],
            })
        }
    }
    let dataset = Dataset::open(&Two, &OpenOptions::default()).unwrap();
    assert_eq!(
        (dataset.name.as_str(), dataset.file_name(1)),
        ("two", "grey.png".into())
    );
}
