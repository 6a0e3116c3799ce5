//! NumPy's arrays of bytes and whole numbers, in an `.npz` archive.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use zip::ZipArchive;

/// Larger arrays are refused: they are kept in memory.
const MAX_BYTES: u64 = 4 << 30;
const MAX_HEADER: usize = 1 << 16;

/// An array of whole numbers in C order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    /// Little-endian, `width` bytes a number.
    pub(crate) data: Vec<u8>,
    pub(crate) width: usize,
    signed: bool,
}

/// The array of this name, `None` where there is none, or why it cannot be read.
pub(crate) fn read<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
) -> Result<Option<Array>, String> {
    let entry = match archive.by_name(&format!("{name}.npy")) {
        Ok(entry) => entry,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(format!("array {name}: {error}")),
    };
    parse(entry)
        .map(Some)
        .map_err(|why| format!("array {name}: {why}"))
}

pub(crate) fn open(file: File) -> Result<ZipArchive<BufReader<File>>, String> {
    let archive = ZipArchive::new(BufReader::new(file));
    archive.map_err(|error| format!("it is no .npz archive: {error}"))
}

/// Reads a `.npy` file (format versions 1 to 3).
pub(crate) fn parse(mut source: impl Read) -> Result<Array, String> {
    let fail = |error: std::io::Error| format!("cannot be read: {error}");
    let mut start = [0; 10];
    source.read_exact(&mut start).map_err(fail)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err("is no NumPy array".into());
    }
    let low = usize::from(u16::from_le_bytes([start[8], start[9]]));
    let length = match start[6] {
        1 => low,
        2 | 3 => {
            let mut high = [0; 2];
            source.read_exact(&mut high).map_err(fail)?;
            low | usize::from(u16::from_le_bytes(high)) << 16
        }
        other => return Err(format!("has format version {other}, expected 1 to 3")),
    };
    if length > MAX_HEADER {
        return Err(format!(
            "has a header of {length} bytes, expected at most {MAX_HEADER}"
        ));
    }
    let mut header = vec![0; length];
    source.read_exact(&mut header).map_err(fail)?;
    let header = String::from_utf8_lossy(&header);
    let (shape, width, signed) = describe(&header)?;
    let bytes = shape
        .iter()
        .try_fold(width as u64, |product, &side| {
            product.checked_mul(side as u64)
        })
        .filter(|&bytes| bytes <= MAX_BYTES)
        .ok_or_else(|| format!("has shape {shape:?}, expected at most {MAX_BYTES} bytes"))?;
    // Grows with what is there, not with what the header promises.
    let mut data = Vec::new();
    source.take(bytes).read_to_end(&mut data).map_err(fail)?;
    if data.len() as u64 != bytes {
        let found = data.len();
        return Err(format!("has {found} bytes of {bytes}: it is truncated"));
    }
    Ok(Array {
        shape,
        data,
        width,
        signed,
    })
}

/// Shape, bytes a number and whether it has a sign from a header such as
/// `{'descr': '|u1', 'fortran_order': False, 'shape': (5, 28, 28), }`.
fn describe(header: &str) -> Result<(Vec<usize>, usize, bool), String> {
    let after = |key: &str| {
        let rest = header.split_once(&format!("'{key}':"));
        rest.map(|(_, rest)| rest.trim_start())
            .ok_or_else(|| format!("has no {key} in its header"))
    };
    let kind = after("descr")?.trim_start_matches('\'');
    let kind = kind.split('\'').next().unwrap_or_default();
    let width = match kind {
        "|u1" | "|i1" | "|b1" => 1,
        "<u2" | "<i2" => 2,
        "<u4" | "<i4" => 4,
        "<u8" | "<i8" => 8,
        other => {
            return Err(format!(
                "has type {other:?}, expected whole numbers such as |u1"
            ));
        }
    };
    if !after("fortran_order")?.starts_with("False") {
        return Err("is in Fortran's order, expected C's".into());
    }
    let shape = after("shape")?;
    let inside = shape.strip_prefix('(').and_then(|s| s.split_once(')'));
    let sides = inside.map_or("", |(sides, _)| sides).split(',');
    let sides = sides.map(str::trim).filter(|side| !side.is_empty());
    let shape: Result<Vec<usize>, _> = sides.map(str::parse).collect();
    let shape = shape.map_err(|_| "has an unreadable shape".to_owned())?;
    Ok((shape, width, kind[1..].starts_with('i')))
}

impl Array {
    /// The numbers, wide enough for all kinds.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = i128> {
        self.data.chunks_exact(self.width).map(|bytes| {
            let negative = self.signed && bytes.last().is_some_and(|&high| high >= 128);
            let mut whole = [if negative { 0xFF } else { 0 }; 16];
            whole[..bytes.len()].copy_from_slice(bytes);
            i128::from_le_bytes(whole)
        })
    }
}
