//! DICOM files against pydicom (fixtures/dicom), and what is said of those that cannot be read.

#![cfg(feature = "dicom")]
mod common;

use candle_core::Device;
use cass_data::check::{FindingKind, check, check_as};
use cass_data::image::{Frame, Reading, decode, decode_as};
use cass_data::prelude::*;
use cass_data::source::frames_at;
use common::open;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/dicom")
        .join(name)
}

#[test]
fn levels_equal_pydicom() {
    let golden = candle_core::safetensors::load(fixture("levels.safetensors"), &Device::Cpu);
    let golden = golden.unwrap();
    assert!(golden.len() > 20);
    for (name, want) in golden {
        let got = decode(&fixture(&name)).unwrap_or_else(|e| panic!("{e}"));
        let (h, w) = want.dims2().unwrap();
        assert_eq!((got.width(), got.height()), (w, h), "{name}");
        assert!(got.is_grey());
        let want = want.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let got: Vec<u8> = got.to_rgb().into_iter().step_by(3).collect();
        let worst = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max();
        // Decoders of lossy JPEG round differently.
        let tolerance = if name.starts_with("baseline") { 2 } else { 0 };
        assert!(worst <= Some(tolerance), "{name}: off by {worst:?}");
        let (least, most) = (want.iter().min(), want.iter().max());
        assert!(most > least, "{name} shows nothing");
    }
}

#[test]
fn unusable_files_say_why() {
    let reasons = [
        ("huge.dcm", "is 65535x65535 by its header"),
        (
            "too-large.dcm",
            "234 bytes of pixel data, expected 50000000 for 5000x5000",
        ),
        ("no-rows.dcm", "is 13x0 by its header"),
        (
            "truncated.dcm",
            "is truncated: 174 bytes of pixel data, expected 234",
        ),
        ("truncated-header.dcm", "has a damaged DICOM header"),
        ("no-pixels.dcm", "has no pixel data"),
        ("deep.dcm", "has over 32 DICOM sequences in each other"),
        ("stray-end.dcm", "an item ends that is not open"),
        ("long-value.dcm", "is truncated in element (0040,0275)"),
        ("width-0.dcm", "has window width 0, expected at least 1"),
        #[cfg(not(feature = "dicom-codecs"))]
        (
            "jpeg-2000.dcm",
            "(JPEG 2000), expected uncompressed, RLE, or JPEG",
        ),
        (
            "unknown-function.dcm",
            "has VOI LUT function \"CUBIC\", expected LINEAR",
        ),
    ];
    for (name, reason) in reasons {
        let error = decode(&fixture(name))
            .map(|_| name)
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn levels_do_without_a_file_s_own_window() {
    let file = fixture("width-0.dcm");
    assert!(decode(&file).is_err());
    let levels = |levels: &str| Reading {
        levels: levels.parse().unwrap(),
        ..Reading::default()
    };
    for how in ["min-max", "window:40,400", "percentile:1,99"] {
        let pixels = decode_as(&file, &levels(how), None).unwrap();
        assert!(pixels.to_rgb().iter().any(|&level| level > 0), "{how}");
    }
}

/// Transfer syntaxes, colours, tables, padding, windows and frames (fixtures/golden/dicom).
#[test]
fn rarer_kinds_equal_pydicom() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom");
    let golden = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu);
    let golden = golden.unwrap();
    assert!(golden.len() > 30);
    for (key, want) in golden {
        let [name, frame, window, levels] = key.split('|').collect::<Vec<_>>()[..] else {
            panic!("{key}")
        };
        let reading = Reading {
            frame: frame.parse().unwrap(),
            window_index: window.parse().unwrap(),
            levels: levels.parse().unwrap(),
            ..Reading::default()
        };
        let got = decode_as(&folder.join(name), &reading, None);
        let got = got.unwrap_or_else(|e| panic!("{key}: {e}"));
        let colours = want.dims().len() == 3;
        assert_eq!(&[got.height(), got.width()], &want.dims()[..2], "{key}");
        let want = want.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let got: Vec<u8> = match colours {
            true => got.to_rgb(),
            false => got.to_rgb().into_iter().step_by(3).collect(),
        };
        let worst = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max();
        // Decoders of lossy JPEG round differently.
        let tolerance = if name.contains("jpeg") { 4 } else { 0 };
        assert!(worst <= Some(tolerance), "{key}: off by {worst:?}");
        assert!(want.iter().max() > want.iter().min(), "{key} shows nothing");
    }
}

#[test]
fn frames_and_windows_that_are_not_there_are_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom");
    let read = |name: &str, frame: &str, window_index| {
        let reading = Reading {
            frame: frame.parse().unwrap(),
            window_index,
            ..Reading::default()
        };
        let error = decode_as(&folder.join(name), &reading, None).map(|_| ());
        error.unwrap_err().to_string()
    };
    assert!(read("frames.dcm", "6", 0).contains("has 5 frames, no frame 6"));
    assert!(read("window-12.dcm", "first", 3).contains("has no window 3"));
}

#[test]
fn the_patients_of_files_are_kept_whole() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("window-12.dcm")).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom");
    let named = fs::read(golden.join("window-12.dcm")).unwrap();
    let place = named.windows(4).position(|w| w == b"P-7 ").unwrap();
    for class in ["a", "b"] {
        let inside = folder.path().join(class);
        fs::create_dir(&inside).unwrap();
        for patient in ["P-7 ", "P-8 ", "P-9 "] {
            let mut bytes = named.clone();
            bytes[place..place + 4].copy_from_slice(patient.as_bytes());
            fs::write(inside.join(patient.trim()), bytes).unwrap();
        }
    }
    let dataset = open("folder", folder.path(), false).unwrap();
    let groups: Vec<_> = dataset.samples.iter().map(|s| s.group.clone()).collect();
    assert_eq!(groups[1].as_deref(), Some("P-8"));
    assert!(
        dataset.warnings[0].starts_with("3 patients are named by"),
        "{:?}",
        dataset.warnings
    );
    // One patient everywhere is what anonymisation leaves, and none is none.
    for bytes in [&named, &whole] {
        for sample in &dataset.samples {
            fs::write(&sample.path, bytes).unwrap();
        }
        let dataset = open("folder", folder.path(), false).unwrap();
        assert!(dataset.samples.iter().all(|s| s.group.is_none()));
    }
}

/// `--frame all`.
fn every_frame(folder: &Path) -> cass_data::Result<Dataset> {
    let recipe = DataRecipe {
        frame: Frame::All,
        ..DataRecipe::new("folder", folder)
    };
    recipe.open(&OpenOptions::default())
}

#[test]
fn every_frame_is_an_image_and_those_of_a_file_stay_together() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom");
    let bytes = fs::read(golden.join("frames.dcm")).unwrap();
    let place = bytes.windows(4).position(|w| w == b"P-7 ").unwrap();
    let of_patient = |patient: &str| {
        let mut bytes = bytes.clone();
        bytes[place..place + 4].copy_from_slice(patient.as_bytes());
        bytes
    };
    // By patient where the files tell of several, by file where they do not.
    for (patients, groups) in [
        (
            ["P-1 ", "P-2 ", "P-1 ", "P-3 "],
            ["P-1", "P-2", "P-1", "P-3"],
        ),
        (["P-7 "; 4], ["a/0.dcm", "a/1", "b/2.dcm", "b/3"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (number, patient) in patients.iter().enumerate() {
            let inside = folder.path().join(["a", "b"][number / 2]);
            fs::create_dir_all(&inside).unwrap();
            let name = [".dcm", ""][number % 2];
            fs::write(inside.join(format!("{number}{name}")), of_patient(patient)).unwrap();
        }
        // A file of one frame is one image as ever.
        fs::copy(fixture("rle-16.dcm"), folder.path().join("b/4.dcm")).unwrap();
        let dataset = every_frame(folder.path()).unwrap();
        assert_eq!(dataset.len(), 4 * 5 + 1);
        assert!(
            dataset.notes[0]
                .starts_with("4 files have several frames, each an image of its own: 21"),
            "{:?}",
            dataset.notes
        );
        assert_eq!(dataset.warnings, [""; 0]);
        let hashes: std::collections::HashSet<_> =
            dataset.samples.iter().map(|s| s.sha256).collect();
        assert!(hashes.len() > 5, "frames of a file are told apart");
        for (index, sample) in dataset.samples.iter().take(20).enumerate() {
            let (file, number) = (index / 5, index % 5 + 1);
            assert!(
                sample
                    .path
                    .to_str()
                    .unwrap()
                    .ends_with(&format!("#{number}"))
            );
            assert_eq!(sample.group.as_deref(), Some(groups[file]), "{index}");
            let reading = Reading {
                frame: Frame::Number(number),
                ..Reading::default()
            };
            let want = decode_as(&golden.join("frames.dcm"), &reading, None).unwrap();
            assert_eq!(
                *dataset.pixels(index, 9).unwrap(),
                want.resize(9),
                "{index}"
            );
            // By its name, as for a prediction.
            let all = Reading {
                frame: Frame::All,
                ..Reading::default()
            };
            let named = decode_as(&sample.path, &all, None).unwrap();
            assert_eq!(named, want);
        }
        assert_ne!(dataset.pixels(0, 9).unwrap(), dataset.pixels(1, 9).unwrap());
        for seed in 0..4 {
            let split = dataset.split(seed, 0.3);
            let groups = |part: &[usize]| -> std::collections::HashSet<_> {
                part.iter()
                    .map(|&i| dataset.samples[i].group.clone())
                    .collect()
            };
            assert!(groups(&split.train).is_disjoint(&groups(&split.test)));
            assert!(groups(&split.train).is_disjoint(&groups(&split.val)));
        }
        let recipe = DataRecipe {
            frame: Frame::All,
            ..DataRecipe::new("folder", folder.path())
        };
        let checkup = check_as(&recipe.layout(), &recipe.reading(), &|_, _| {}).unwrap();
        let kinds: Vec<_> = checkup.findings.iter().map(|f| f.kind).collect();
        assert!(!kinds.contains(&FindingKind::SeveralFrames), "{kinds:?}");
        assert!(!kinds.contains(&FindingKind::WrongExtension), "{kinds:?}");
    }
}

#[test]
fn frames_are_named_for_commands_that_take_files() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom");
    let all = Reading {
        frame: Frame::All,
        ..Reading::default()
    };
    let file = golden.join("frames.dcm");
    let names = frames_at(&file, &all);
    assert_eq!(names.len(), 5);
    assert!(names[4].ends_with("frames.dcm#5"), "{names:?}");
    assert_eq!(
        frames_at(&file, &Reading::default()),
        std::slice::from_ref(&file)
    );
    for (name, said) in [
        (
            "frames.dcm",
            "has 5 frames, expected one of them by its name",
        ),
        ("frames.dcm#6", "has 5 frames, no frame 6"),
        ("frames.dcm#0", "cannot be read"),
        ("absent.dcm#1", "cannot be read"),
    ] {
        let error = decode_as(&golden.join(name), &all, None).map(|_| ());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said) && error.contains(name), "{error}");
    }
    // A header's promise allocates nothing: the first frame that is not there says how it is.
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes
        .windows(10)
        .position(|w| w == b"\x28\x00\x08\x00IS\x02\x005 ")
        .unwrap();
    let promise = b"\x28\x00\x08\x00IS\x0A\x002000000000";
    bytes.splice(place..place + 10, promise.iter().copied());
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/1.dcm"), bytes).unwrap();
    let error = every_frame(folder.path())
        .map(|d| d.len())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1.dcm#") && error.contains("bytes of pixel data, expected"),
        "{error}"
    );
}

/// Whatever is cut off a file, it is refused: none of them has anything behind its pixels.
#[test]
fn no_part_of_a_file_is_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part.dcm");
    for name in [
        "window-12.dcm",
        "implicit.dcm",
        "rle-16.dcm",
        "lossless-12.dcm",
        "enhanced.dcm",
    ] {
        let bytes = fs::read(fixture(name)).unwrap();
        for length in (0..bytes.len() - 1).step_by(7) {
            fs::write(&part, &bytes[..length]).unwrap();
            assert!(decode(&part).is_err(), "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn folders_and_tables_may_hold_dicom() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (class, names) in [
        ("a", ["window-12.dcm", "rle-16.dcm"]),
        ("b", ["inverted.dcm", "lossless-frames.dcm"]),
    ] {
        fs::create_dir(root.join(class)).unwrap();
        for (number, name) in names.into_iter().enumerate() {
            // As from many scanners: no ending.
            fs::copy(fixture(name), root.join(class).join(format!("IM{number}"))).unwrap();
        }
    }
    let dataset = open("folder", root, false).unwrap();
    assert_eq!(
        (dataset.len(), dataset.classes.join(",")),
        (4, "a,b".into())
    );
    assert_eq!(dataset.pixels(0, 8).unwrap(), dataset.pixels(1, 8).unwrap());
    let checkup = check(&Layout::new("folder", root), &|_, _| {}).unwrap();
    let frames: Vec<_> = checkup
        .findings
        .iter()
        .filter(|f| f.kind == FindingKind::SeveralFrames)
        .collect();
    assert_eq!(frames.len(), 1, "{:?}", checkup.findings);
    assert!(frames[0].file.ends_with("b/IM1"));
    assert_eq!(frames[0].detail, "has 3 frames, of which the first is used");
    assert_eq!(checkup.modes["DICOM MONOCHROME2 12"], 3);

    let table = "path,label\na/IM0,x\na/IM1,x\nb/IM0,y\n";
    fs::write(root.join("all.csv"), table).unwrap();
    let dataset = open("csv", &root.join("all.csv"), false).unwrap();
    assert_eq!(
        (dataset.len(), dataset.classes.join(",")),
        (3, "x,y".into())
    );
}
