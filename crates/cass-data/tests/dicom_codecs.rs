//! JPEG 2000 and JPEG-LS in DICOM files against pydicom (fixtures/golden/dicom_codecs), and damaged ones.

#![cfg(feature = "dicom-codecs")]

use candle_core::Device;
use cass_data::image::{Frame, Reading, decode, decode_as};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/dicom_codecs")
}

#[test]
fn pixels_equal_pydicom() {
    let golden = candle_core::safetensors::load(folder().join("golden.safetensors"), &Device::Cpu);
    let golden = golden.unwrap();
    assert!(golden.len() > 15);
    for (key, want) in golden {
        let (name, frame) = key.split_once('|').unwrap();
        let reading = Reading {
            frame: Frame::Number(frame.parse().unwrap()),
            ..Reading::default()
        };
        let got = decode_as(&folder().join(name), &reading, None);
        let got = got.unwrap_or_else(|e| panic!("{key}: {e}"));
        assert_eq!([got.height(), got.width()], want.dims()[..2], "{key}");
        let coloured = want.dims().len() == 3;
        let want = want.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let got: Vec<u8> = match coloured {
            true => got.to_rgb(),
            false => got.to_rgb().into_iter().step_by(3).collect(),
        };
        let worst = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max();
        // Between two steps of a lossy JPEG 2000, a decoder may choose.
        let tolerance = if name.contains("lossy") { 8 } else { 0 };
        assert!(worst <= Some(tolerance), "{key}: off by {worst:?}");
        assert!(want.iter().max() > want.iter().min(), "{key} shows nothing");
    }
}

/// A file with the bytes behind a marker of its codestream replaced.
fn with(name: &str, marker: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = fs::read(folder().join(name)).unwrap();
    let place = file
        .windows(marker.len())
        .position(|w| w == marker)
        .unwrap()
        + at;
    file[place..place + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn what_a_codestream_says_of_itself_allocates_nothing() {
    let (size, coding) = (&[0xFF, 0x51][..], &[0xFF, 0x52][..]);
    let part = tempfile::tempdir().unwrap();
    let file = part.path().join("part.dcm");
    for (bytes, said) in [
        (
            with("jpeg-2000-8.dcm", size, 6, &60_000u32.to_be_bytes()),
            "it is of 60000x34, expected 45x34",
        ),
        (with("jpeg-2000-8.dcm", size, 38, &[0, 2]), "cannot be read"),
        (
            with("jpeg-2000-8.dcm", coding, 10, &[0, 0]),
            "its code-blocks are narrower than 16",
        ),
        (
            with("jpeg-2000-8.dcm", coding, 0, &[0xFF, 0x51]),
            "it has two sizes",
        ),
        (
            with("jpeg-2000-8.dcm", size, 0, &[0xFF, 0x64]),
            "there is no codestream",
        ),
        (
            with("jpeg-ls-8.dcm", &[0xFF, 0xF7], 5, &[0xFF, 0xFF]),
            "JPEG-LS data that cannot be read",
        ),
    ] {
        fs::write(&file, bytes).unwrap();
        let error = decode(&file).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(said), "{error} does not say {said}");
    }
}

#[test]
fn damage_is_an_error_or_a_picture_and_never_a_panic() {
    let part = tempfile::tempdir().unwrap();
    let file = part.path().join("part.dcm");
    for name in [
        "jpeg-2000-12.dcm",
        "jpeg-2000-rgb.dcm",
        "jpeg-ls-12.dcm",
        "jpeg-ls-near-8.dcm",
    ] {
        let bytes = fs::read(folder().join(name)).unwrap();
        for place in (300..bytes.len()).step_by(11) {
            for value in [0x00, 0xFF, 0x55] {
                let mut damaged = bytes.clone();
                damaged[place] ^= value;
                fs::write(&file, &damaged).unwrap();
                let _ = decode(&file);
            }
            fs::write(&file, &bytes[..place]).unwrap();
            assert!(decode(&file).is_err(), "{name} cut to {place} bytes");
        }
    }
}
