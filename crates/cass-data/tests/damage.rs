//! The fuzz targets on damaged fixtures: a short, repeatable stand-in for a fuzzer.

#![cfg(feature = "fuzzing")]

use cass_data::fuzzing;
use cass_rng::Rng;
use std::fs;
use std::path::Path;

/// Calls `target` with each of `seeds`, each damaged `rounds` times.
fn damage(seeds: &[Vec<u8>], rounds: u64, target: fn(&[u8])) {
    for (number, seed) in seeds.iter().enumerate() {
        target(seed);
        for round in 0..rounds {
            let mut rng = Rng::new(1, "damage", [number as u64, round], 0);
            let mut bytes = seed.clone();
            for _ in 0..1 + rng.below(8) {
                let place = rng.below(bytes.len().max(1));
                match rng.below(4) {
                    0 if place < bytes.len() => bytes[place] = rng.next_u32() as u8,
                    1 => bytes.truncate(place),
                    2 => bytes.insert(place.min(bytes.len()), rng.next_u32() as u8),
                    _ if place < bytes.len() => bytes[place] ^= 1 << rng.below(8),
                    _ => {}
                }
            }
            target(&bytes);
        }
    }
}

#[test]
fn images() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images");
    let mut seeds = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().unwrap_or_default().to_owned();
        if ["jpg", "png", "tif", "bmp"].iter().any(|e| ending == *e) {
            seeds.push(fs::read(path).unwrap());
        }
    }
    assert!(seeds.len() > 20);
    damage(&seeds, 60, fuzzing::image);
}

#[test]
fn dicom() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dicom");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "dcm"));
    // What follows the preamble and magic, which damage would rarely leave whole.
    let seeds: Vec<_> = files
        .map(|path| fs::read(path).unwrap()[132..].to_vec())
        .collect();
    assert!(seeds.len() > 30);
    damage(&seeds, 300, fuzzing::dicom);
}

#[test]
fn tables() {
    let seeds = [
        "image,A,B\r\n1,0,1\r\n\"2, x\",1,0\r\n",
        "\u{feff}path,label\n\"a\"\"b\",c\n\n,\n",
        "",
    ];
    damage(&seeds.map(|s| s.as_bytes().to_vec()), 2000, fuzzing::table);
}

#[test]
fn manifests() {
    let sha = "0123456789abcdef".repeat(4);
    let text = format!("a/b.png\t{sha}\ttrain\tx,y\nc\\\td\t{sha}\ttest\t\n");
    damage(&[text.into_bytes()], 4000, fuzzing::manifest);
}

#[test]
fn arrays() {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend([7; 18]);
    damage(&[bytes], 4000, fuzzing::array);
}
