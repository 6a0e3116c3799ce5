//! More than 8 bits, pages, channels, turned pictures and rarer formats against NumPy, Pillow and
//! tifffile (fixtures/golden/images).

mod common;

use candle_core::Device;
use cass_data::check::{FindingKind, check, check_as};
use cass_data::image::{Pages, Reading, decode, decode_as};
use cass_data::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden/images")
        .join(name)
}

fn reading(levels: &str, pages: &str, exif: &str) -> Reading {
    Reading {
        levels: levels.parse().unwrap(),
        pages: pages.parse().unwrap(),
        exif: exif.parse().unwrap(),
        ..Reading::default()
    }
}

#[test]
fn every_reading_equals_the_original() {
    let golden = candle_core::safetensors::load(fixture("golden.safetensors"), &Device::Cpu);
    let golden = golden.unwrap();
    assert!(golden.len() > 80, "{}", golden.len());
    for (key, want) in golden {
        let [name, levels, pages, exif] = key.split('|').collect::<Vec<_>>()[..] else {
            panic!("{key}")
        };
        let read = reading(levels, pages, exif);
        let got = decode_as(&fixture(name), &read, None).unwrap_or_else(|e| panic!("{key}: {e}"));
        let shape = want.dims().to_vec();
        assert_eq!([got.height(), got.width()], shape[..2], "{key}");
        let want = want.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let got = match shape.len() {
            2 => got.to_rgb().into_iter().step_by(3).collect(),
            _ => got.to_rgb(),
        };
        assert_eq!(got.len(), want.len(), "{key}");
        let worst = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max();
        // Decoders of JPEG round differently.
        let tolerance = if name.ends_with(".jpg") { 3 } else { 0 };
        assert!(worst <= Some(tolerance), "{key}: off by {worst:?}");
        assert!(want.iter().max() > want.iter().min(), "{key} shows nothing");
    }
}

#[test]
fn every_channel_is_read_where_as_many_are_asked_for() {
    for (name, levels, channels) in [
        ("five-channels.tif", "high-byte", 5),
        ("four-channels.tif", "high-byte", 4),
        ("two-channels.tif", "bits:12", 2),
    ] {
        let read = |pages: &str, in_chans| {
            let reading = Reading {
                in_chans,
                ..reading(levels, pages, "false")
            };
            reading.check().unwrap();
            decode_as(&fixture(name), &reading, None)
        };
        let all = read("first", channels).unwrap();
        assert_eq!(all.channels(), channels, "{name}");
        for channel in 0..channels {
            let one = read(&(channel + 1).to_string(), 1).unwrap();
            let here = all.bytes().iter().skip(channel).step_by(channels);
            assert!(here.eq(one.bytes()), "{name}, channel {channel}");
        }
        let said = read("first", channels + 5).unwrap_err().to_string();
        let expected = format!(
            "has {channels} channels, expected {} (--in-chans",
            channels + 5
        );
        assert!(said.contains(&expected), "{said}");
    }
    // Others, in another order, and one of them twice.
    let five = |pages: &str| {
        let reading = Reading {
            in_chans: 5,
            ..reading("high-byte", pages, "false")
        };
        decode_as(&fixture("five-channels.tif"), &reading, None).unwrap()
    };
    let (all, mixed) = (five("first"), five("5,4,3,2,2"));
    for (p, q) in all.bytes().chunks(5).zip(mixed.bytes().chunks(5)) {
        assert_eq!([p[4], p[3], p[2], p[1], p[1]], q);
    }
}

#[test]
fn pages_that_do_not_make_as_many_channels_are_refused() {
    for (pages, in_chans, said) in [
        ("first", 0, "`in_chans` is 0; expected 1 to 13"),
        ("first", 14, "`in_chans` is 14; expected 1 to 13"),
        ("1,2,3,4", 3, "expected at most three"),
        ("1,2,3", 5, "expected as many as in_chans"),
        ("mean", 2, "expected in_chans of 1 or 3"),
    ] {
        let reading = Reading {
            in_chans,
            ..reading("high-byte", pages, "false")
        };
        let error = reading.check().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_does_not_fit_a_file_says_so() {
    for (name, levels, pages, said) in [
        (
            "signed.tif",
            "high-byte",
            "first",
            "has signed pixels, which have no high byte; expected --levels",
        ),
        ("float.tif", "bits:12", "first", "has floating-point pixels"),
        (
            "twelve.png",
            "bits:11",
            "first",
            "expected at most 2047 of 11 bits",
        ),
        (
            "five-channels.tif",
            "high-byte",
            "first",
            "has 5 channels, expected grey, or red, green and blue (--pages 1,2,3",
        ),
        (
            "two-channels.tif",
            "bits:12",
            "first",
            "has 2 channels, expected grey, or red, green and blue (--pages 1,2,3",
        ),
        (
            "four-channels.tif",
            "high-byte",
            "first",
            "has 4 channels, expected grey",
        ),
        ("pages.tif", "high-byte", "5", "has 4 pages and channels"),
        ("pyramid.tif", "high-byte", "mean", "--pages pyramid"),
        ("before-start.jpg", "high-byte", "first", "is none of JPEG"),
        ("premature-end.jpg", "high-byte", "first", "is truncated"),
    ] {
        let read = reading(levels, pages, "false");
        let error = decode_as(&fixture(name), &read, None).map(|_| name);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(said), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn foreign_formats_are_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut nifti = vec![0; 400];
    nifti[344..348].copy_from_slice(b"n+1\0");
    for (name, bytes, said) in [
        ("a.nii", nifti, "NIfTI"),
        ("a.nii.gz", vec![0x1F, 0x8B, 8, 0, 0], "NIfTI"),
        (
            "a.heic",
            b"\0\0\0\x18ftypheic\0\0\0\0".to_vec(),
            "`heif-convert",
        ),
        ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0".to_vec(), "`avifdec"),
        (
            "a.png",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0".to_vec(),
            "`git lfs pull`",
        ),
        (
            "a.jpg",
            b"\n<!DOCTYPE HTML><html>404".to_vec(),
            "a web page",
        ),
        ("b.jpg", b"<html><body>Log in".to_vec(), "a web page"),
        (
            "a.jp2",
            b"\0\0\0\x0CjP  \r\n\x87\n".to_vec(),
            "`opj_decompress",
        ),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = decode(&path).map(|_| name).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(said), "{error}");
    }
}

#[test]
fn a_pyramid_gives_the_smallest_page_that_is_large_enough() {
    let read = reading("high-byte", "pyramid", "false");
    for (size, width) in [(9, 17), (11, 17), (12, 34), (22, 34), (23, 68), (500, 68)] {
        let got = decode_as(&fixture("pyramid.tif"), &read, Some(size)).unwrap();
        assert_eq!(got.width(), width, "{size}");
    }
}

#[test]
fn limits_can_be_raised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.pgm");
    let (width, height) = (20_000, 5_100);
    let mut bytes = format!("P5 {width} {height} 255\n").into_bytes();
    bytes.resize(bytes.len() + width * height, 7);
    fs::write(&path, bytes).unwrap();
    let error = decode(&path).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("expected 1 to 100000000 pixels (--max-megapixels"),
        "{error}"
    );
    let more = Reading {
        max_megapixels: 102,
        ..Reading::default()
    };
    assert_eq!(decode_as(&path, &more, None).unwrap().width(), width);
}

/// A data set of these files, each twice.
fn folder_of(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, name) in names.iter().enumerate() {
        for class in ["a", "b"] {
            let inside = folder.path().join(class);
            fs::create_dir_all(&inside).unwrap();
            fs::copy(fixture(name), inside.join(format!("{number}-{name}"))).unwrap();
        }
    }
    folder
}

#[test]
fn a_data_set_says_what_it_leaves_of_its_images() {
    let folder = folder_of(&["twelve.png", "pages.tif", "exif-6.jpg"]);
    let recipe = DataRecipe::new("folder", folder.path());
    let record = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        storage: Storage {
            record: Some(record.path().to_owned()),
            ..Storage::default()
        },
        ..OpenOptions::default()
    };
    // Said again where the images are known.
    for _ in 0..2 {
        let warnings = recipe.open(&options).unwrap().warnings;
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(
            warnings[0].starts_with("2 of 6 files are to be turned"),
            "{warnings:?}"
        );
        assert!(
            warnings[1].starts_with("2 of 6 files have several pages"),
            "{warnings:?}"
        );
        assert!(
            warnings[2].contains("under a quarter of the grey levels"),
            "{warnings:?}"
        );
    }
    // What is chosen is no finding, and neither is it said.
    let chosen = DataRecipe {
        exif: true,
        levels: "min-max".parse().unwrap(),
        pages: "1,2,3".parse().unwrap(),
        ..recipe.clone()
    };
    for (recipe, expected) in [(&recipe, [2, 2, 2]), (&chosen, [0; 3])] {
        let checkup = check_as(&recipe.layout(), &recipe.reading(), &|_, _| {}).unwrap();
        let of = |kind| checkup.findings.iter().filter(|f| f.kind == kind).count();
        let found = [
            FindingKind::SeveralFrames,
            FindingKind::SixteenBit,
            FindingKind::Rotated,
        ];
        assert_eq!(found.map(of), expected, "{:?}", checkup.findings);
    }
    let better = DataRecipe {
        levels: "bits:12".parse().unwrap(),
        exif: true,
        pages: Pages::Mean,
        ..recipe.clone()
    };
    let dataset = better.open(&options).unwrap();
    assert_eq!(dataset.warnings, [""; 0]);
    // Pixels of the one reading are not the other's.
    let plain = recipe.open(&options).unwrap();
    let [a, b] = [&dataset, &plain].map(|d| d.pixels(0, 8).unwrap());
    assert_ne!(a, b);
    let checkup = check(&recipe.layout(), &|_, _| {}).unwrap();
    let pages: Vec<_> = checkup
        .findings
        .iter()
        .filter(|f| f.kind == FindingKind::SeveralFrames)
        .collect();
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[0].detail, "has 4 pages, of which the first is used");
}

#[test]
fn animations_are_counted_in_every_format_that_has_them() {
    let folder = folder_of(&["moving.gif", "moving.png", "moving.webp", "lossless.webp"]);
    let recipe = DataRecipe::new("folder", folder.path());
    let warnings = recipe.open(&OpenOptions::default()).unwrap().warnings;
    assert!(
        warnings[0].starts_with("6 of 8 files have several pages or frames"),
        "{warnings:?}"
    );
    let checkup = check(&recipe.layout(), &|_, _| {}).unwrap();
    let several = |f: &&cass_data::check::Finding| f.kind == FindingKind::SeveralFrames;
    let several: Vec<_> = checkup.findings.iter().filter(several).collect();
    assert_eq!(several.len(), 6);
    assert_eq!(
        several[0].detail,
        "has 2 frames, of which the first is used"
    );
}

#[test]
fn a_recipe_keeps_its_reading_and_an_old_one_has_none() {
    let old = cass_run::to_toml(&DataRecipe::new("folder", "x"));
    assert_eq!(
        old,
        "name = \"folder\"\nroot = \"x\"\nval_fraction = 0.1\nfraction = 1.0\nskip_bad = false\n"
    );
    let mut recipe: DataRecipe = cass_run::from_toml(&old).unwrap();
    recipe.levels = "window:40,400".parse().unwrap();
    recipe.pages = "1,2,3".parse().unwrap();
    recipe.exif = true;
    let text = cass_run::to_toml(&recipe);
    assert!(
        text.contains("levels = \"window:40,400\"\nexif = true\npages = \"1,2,3\""),
        "{text}"
    );
    assert_eq!(cass_run::from_toml::<DataRecipe>(&text).unwrap(), recipe);
    let wrong = text.replace("window:40,400", "window");
    let error = cass_run::from_toml::<DataRecipe>(&wrong)
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected high-byte, min-max"), "{error}");
}
