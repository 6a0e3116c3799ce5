//! Odd image files against what PIL makes of them.

mod common;

use candle_core::Device;
use cass_data::image::decode;
use common::fixture;

/// Decoders of JPEG round differently.
fn tolerance(name: &str) -> u8 {
    match name {
        "png-named.jpg" => 0,
        _ if name.ends_with(".jpg") => 3,
        _ => 0,
    }
}

#[test]
fn usable_images_equal_pil() {
    let golden = candle_core::safetensors::load(fixture("pil.safetensors"), &Device::Cpu).unwrap();
    assert!(golden.len() > 10);
    for (name, want) in golden {
        let got = decode(&fixture(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (h, w, _) = want.dims3().unwrap();
        assert_eq!((got.width(), got.height()), (w, h), "{name}");
        let want = want.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let differences = got.to_rgb().into_iter().zip(want);
        let worst = differences.map(|(a, b)| a.abs_diff(b)).max().unwrap();
        println!("{name}: off by at most {worst}");
        assert!(worst <= tolerance(&name), "{name}: off by {worst}");
    }
}

#[test]
fn grey_images_are_kept_as_one_channel() {
    for (name, grey) in [
        ("grey.jpg", true),
        ("grey-alpha.png", true),
        ("rgb.png", false),
    ] {
        assert_eq!(decode(&fixture(name)).unwrap().is_grey(), grey, "{name}");
    }
}

#[test]
fn sixteen_bit_grey_keeps_its_high_byte() {
    let image = decode(&fixture("grey-16.png")).unwrap();
    let columns = (0..11).flat_map(|_| (0..17u32).map(|x| ((x * 15 * 257 + 100) >> 8) as u8));
    let want: Vec<u8> = columns.flat_map(|v| [v; 3]).collect();
    assert_eq!(image.to_rgb(), want);
}

#[test]
fn unusable_images_say_why() {
    for (name, reason) in [
        ("empty.jpg", "is empty (0 bytes)"),
        ("text.jpg", "is none of JPEG, PNG"),
        ("truncated.jpg", "is truncated"),
        ("truncated-header.jpg", "is truncated"),
        ("truncated.png", "cannot be decoded"),
        ("truncated.tif", "cannot be decoded"),
        ("huge-header.png", "is 40000x40000 by its header"),
        ("no-pixels.png", ""),
        ("missing.jpg", "cannot be read"),
        ("", "is no regular file"), // the folder itself
        #[cfg(unix)]
        ("/dev/zero", "is no regular file"),
    ] {
        let error = decode(&fixture(name)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(error.contains(reason), "{name}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

/// Whatever is cut off an image, it is refused or decoded, and a JPEG is refused.
#[test]
fn no_part_of_a_file_is_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["rgb.jpg", "rgb-progressive.jpg", "cmyk.jpg", "rgb-16.png"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let part = folder.path().join(name);
        for length in (0..bytes.len()).step_by(5) {
            std::fs::write(&part, &bytes[..length]).unwrap();
            let decoded = decode(&part);
            if name.ends_with(".jpg") {
                assert!(decoded.is_err(), "{name} cut to {length} bytes");
            }
        }
    }
}

#[test]
fn a_huge_header_is_refused_in_every_format() {
    const SIDE: u16 = 40_000;
    let (big, little) = (SIDE.to_be_bytes(), SIDE.to_le_bytes());
    let mut jpeg = std::fs::read(fixture("rgb.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[big, big].concat());
    let mut bmp = std::fs::read(fixture("rgb.bmp")).unwrap();
    for at in [18, 22] {
        bmp[at..at + 2].copy_from_slice(&little);
    }
    let mut tiff = std::fs::read(fixture("grey.tif")).unwrap();
    assert_eq!(&tiff[..2], b"II");
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    for (entry, tag) in [(0, 256u16), (1, 257)] {
        let at = directory + 2 + 12 * entry;
        assert_eq!(tiff[at..at + 2], tag.to_le_bytes());
        tiff[at + 8..at + 10].copy_from_slice(&little);
    }
    let folder = tempfile::tempdir().unwrap();
    let size = "is 40000x40000 by its header, expected 1 to 100000000 pixels";
    for (name, bytes) in [("a.jpg", jpeg), ("a.bmp", bmp), ("a.tif", tiff)] {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let error = decode(&file).map(|image| image.width()).unwrap_err();
        assert!(error.to_string().contains(size), "{error}");
    }
}
