//! The phantoms: repeatable, mixed, and not to be told apart by their brightness.

mod common;

use cass_data::Error;
use cass_data::check::{FindingKind, check};
use cass_data::image::Pixels;
use cass_data::phantom::{PhantomConfig, PhantomStyle, write_phantom, write_phantom_of};
use cass_data::prelude::*;
use common::{open, open_phantoms, phantoms};
use std::collections::HashSet;
use std::fs;

/// Share of the test phantoms whose nearest class mean, in these features, is their class's.
fn nearest_mean_accuracy(dataset: &Dataset, features: impl Fn(&Pixels) -> Vec<f64>) -> f64 {
    let of = |part| {
        let samples = dataset.samples.iter().enumerate();
        samples
            .filter(move |(_, s)| s.part == Some(part))
            .map(|(i, s)| (features(&dataset.pixels(i, 32).unwrap()), s.label()))
            .collect::<Vec<_>>()
    };
    let train = of(Part::Train);
    let means: Vec<Vec<f64>> = (0..4)
        .map(|label| {
            let members: Vec<_> = train.iter().filter(|(_, l)| *l == label).collect();
            (0..train[0].0.len())
                .map(|k| members.iter().map(|(f, _)| f[k]).sum::<f64>() / members.len() as f64)
                .collect()
        })
        .collect();
    let distance =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    let test = of(Part::Test);
    let right = test.iter().filter(|(feature, label)| {
        let nearest = (0..4)
            .min_by(|&a, &b| distance(feature, &means[a]).total_cmp(&distance(feature, &means[b])));
        nearest == Some(*label)
    });
    right.count() as f64 / test.len() as f64
}

fn grey(image: &Pixels) -> Vec<f64> {
    image.to_rgb().chunks(3).map(|p| f64::from(p[0])).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn brightness_tells_nothing_but_the_picture_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = PhantomConfig {
        seed: 5,
        train_per_class: 150,
        test_per_class: 100,
        size: 32,
        style: PhantomStyle::Varied,
    };
    write_phantom(folder.path(), &config).unwrap();
    let dataset = open_phantoms(&folder);
    let by_brightness = nearest_mean_accuracy(&dataset, |image| vec![mean(&grey(image))]);
    let by_picture = nearest_mean_accuracy(&dataset, |image| {
        let values = grey(image);
        let mean = mean(&values);
        values.iter().map(|v| v / mean).collect()
    });
    println!("brightness {by_brightness}, picture {by_picture}");
    // Four classes, 400 images: chance is 0.25 ± 0.022.
    assert!(by_brightness < 0.32, "by mean brightness {by_brightness}");
    assert!(
        by_picture > 0.4,
        "by the plainest look at the picture {by_picture}"
    );
    assert!(by_picture < 0.9, "too easy: {by_picture}");
}

#[test]
fn clear_phantoms_are_told_apart_by_a_count_of_their_greys_and_varied_ones_hardly() {
    let told = |style, features: fn(&Pixels) -> Vec<f64>| {
        let folder = tempfile::tempdir().unwrap();
        let config = PhantomConfig {
            seed: 5,
            train_per_class: 50,
            test_per_class: 100,
            size: 32,
            style,
        };
        write_phantom(folder.path(), &config).unwrap();
        nearest_mean_accuracy(&open_phantoms(&folder), features)
    };
    // Pixels of each eighth between the darkest and the brightest.
    let greys = |image: &Pixels| {
        let values = grey(image);
        let most = values.iter().copied().fold(1.0, f64::max);
        let mut counts = vec![0.0; 8];
        for value in values {
            counts[(7.99 * value / most) as usize] += 1.0;
        }
        counts
    };
    let [varied, clear] = PhantomStyle::ALL.map(|style| told(style, greys));
    let brightness = told(PhantomStyle::Clear, |image| vec![mean(&grey(image))]);
    println!("clear {clear}, varied {varied}, by brightness alone {brightness}");
    assert!(clear > 0.6 && clear > varied + 0.15, "{clear} and {varied}");
    assert!(brightness < 0.32, "by mean brightness {brightness}");
}

#[test]
fn equal_settings_write_equal_files() {
    let (a, b) = (phantoms(20), phantoms(20));
    let (a, b) = (open_phantoms(&a), open_phantoms(&b));
    let hashes = |d: &Dataset| d.samples.iter().map(|s| s.sha256).collect::<Vec<_>>();
    assert_eq!(hashes(&a), hashes(&b));
    let distinct: HashSet<_> = hashes(&a).into_iter().collect();
    assert_eq!(distinct.len(), a.len(), "no image twice");
}

#[test]
fn grey_and_rgb_files_are_mixed() {
    let folder = phantoms(16);
    let dataset = open_phantoms(&folder);
    let components = dataset.samples.iter().map(|s| {
        let bytes = fs::read(&s.path).unwrap();
        let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        bytes[frame + 9]
    });
    let kinds: HashSet<u8> = components.collect();
    assert_eq!(kinds, HashSet::from([1, 3]));
}

#[test]
fn settings_and_folders_that_do_not_work_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = PhantomConfig {
        seed: 1,
        train_per_class: 2,
        test_per_class: 1,
        size: 8,
        style: PhantomStyle::Varied,
    };
    let message = write_phantom(folder.path(), &config)
        .unwrap_err()
        .to_string();
    assert!(message.contains("`size` is 8"), "{message}");
    let clear = PhantomConfig {
        size: 16,
        style: PhantomStyle::Clear,
        ..config
    };
    for kind in ["isic2019", "biopsies"] {
        let message = write_phantom_of(kind, folder.path(), &clear).unwrap_err();
        let expected = "`style` is clear; expected varied";
        assert!(message.to_string().contains(expected), "{message}");
    }
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = PhantomConfig { size: 16, ..config };
    for occupied in [file.as_path(), folder.path()] {
        let error = write_phantom(occupied, &config).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        let path = occupied.display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
    }
    let fresh = folder.path().join("new/brain-mri");
    write_phantom(&fresh, &config).unwrap();
    assert_eq!(open("brain-mri", &fresh, false).unwrap().len(), 12);
}

#[test]
fn tables_of_phantoms_are_read_like_the_real_ones() {
    for (kind, classes, task) in [
        ("isic2019", 8, Task::MultiClass),
        ("biopsies", 5, Task::MultiLabel),
    ] {
        let config = PhantomConfig {
            seed: 2,
            train_per_class: 8,
            test_per_class: 2,
            size: 32,
            style: PhantomStyle::Varied,
        };
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for folder in &folders {
            write_phantom_of(kind, folder.path(), &config).unwrap();
        }
        let [one, two] = folders.map(|folder| {
            let dataset = open(kind, folder.path(), false).unwrap();
            (
                dataset.samples.iter().map(|s| s.sha256).collect::<Vec<_>>(),
                dataset,
                folder,
            )
        });
        assert_eq!(one.0, two.0, "{kind}");
        let dataset = one.1;
        assert_eq!(
            (dataset.len(), dataset.classes.len()),
            (10 * classes, classes)
        );
        assert_eq!(dataset.task, task);
        assert!(
            dataset
                .samples
                .iter()
                .all(|s| s.group.is_some() && s.part.is_none())
        );
        assert!(!dataset.pixels(0, 32).unwrap().is_grey());
        let split = dataset.split(0, 0.1);
        for part in [&split.train, &split.val, &split.test] {
            for label in 0..classes {
                let has = part
                    .iter()
                    .any(|&i| dataset.samples[i].labels.contains(&label));
                assert!(has, "{kind}: {label} is missing from {part:?}");
            }
        }
        let checkup = check(&Layout::new(kind, one.2.path()), &|_, _| {}).unwrap();
        let kinds: HashSet<_> = checkup.findings.iter().map(|f| f.kind).collect();
        let expected: &[FindingKind] = if kind == "biopsies" {
            &[FindingKind::SixteenBit]
        } else {
            &[]
        };
        assert!(
            kinds.iter().all(|k| expected.contains(k)),
            "{:?}",
            checkup.findings
        );
    }
}
