//! What is given to a fuzzer: each takes any bytes and must return.

use crate::decode;
use crate::image::Reading;
use crate::source::npz;
use crate::source::table::Table;
use crate::split::Manifest;
use std::path::Path;

/// Decodes an image as [`decode`](crate::image::decode()) does.
pub fn image(bytes: &[u8]) {
    let _ = decode::decode_bytes(bytes, &Reading::default(), None);
}

/// Decodes a DICOM file, or what follows the preamble and magic of one.
pub fn dicom(bytes: &[u8]) {
    const START: usize = 128 + 4;
    let whole = bytes.get(128..START) == Some(b"DICM");
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    file.extend(if whole { &bytes[START..] } else { bytes });
    image(&file);
}

/// Reads a CSV table.
pub fn table(bytes: &[u8]) {
    if let Ok(table) = Table::parse(Path::new("fuzz.csv"), bytes) {
        (0..table.columns.len()).for_each(|column| drop(table.repeated(column)));
    }
}

/// Reads a manifest; one that can be read comes back as it was written.
///
/// # Panics
/// If it does not.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("manifest.tsv");
    if let Ok(manifest) = Manifest::parse(path, text) {
        let again = Manifest::parse(path, &manifest.to_text());
        assert_eq!(again.ok(), Some(manifest));
    }
}

/// Reads a NumPy array.
pub fn array(bytes: &[u8]) {
    let _ = npz::parse(bytes);
}
