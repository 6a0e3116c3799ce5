//! A PNG whose colour profile inflates to a hundred megabytes.

use std::io::{Cursor, Write};
use zip::write::{SimpleFileOptions, ZipWriter};

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [kind, data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &named, &crc(&named).to_be_bytes()].concat()
}

/// So many zeros, compressed as zlib does.
fn zeros(count: usize) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("z", options).unwrap();
    let part = vec![0; 1 << 20];
    for _ in 0..count >> 20 {
        archive.write_all(&part).unwrap();
    }
    let archive = archive.finish().unwrap().into_inner();
    let mut read = zip::ZipArchive::new(Cursor::new(&archive)).unwrap();
    let file = read.by_index_raw(0).unwrap();
    let start = file.data_start().unwrap() as usize;
    let deflated = &archive[start..start + file.compressed_size() as usize];
    let adler = ((count % 65521) as u32) << 16 | 1;
    [&[0x78, 0x9c], deflated, &adler.to_be_bytes()].concat()
}

/// The most memory that this process has held, in MiB.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap() / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_colour_profile_that_inflates_costs_no_memory() {
    let profile = [b"x\0\0".to_vec(), zeros(200 << 20)].concat();
    let header = [
        &1u32.to_be_bytes()[..],
        &1u32.to_be_bytes(),
        &[8, 0, 0, 0, 0],
    ]
    .concat();
    let pixels = [0x78, 0x01, 1, 2, 0, 0xfd, 0xff, 0, 7, 0, 9, 0, 8];
    let png = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"iCCP", &profile),
        chunk(b"IDAT", &pixels),
        chunk(b"IEND", &[]),
    ]
    .concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, png).unwrap();
    let before = peak();
    let decoded = cass_data::image::decode(&path);
    let grown = peak() - before;
    assert!(grown < 64, "{grown} MiB for {decoded:?}");
}
