//! NumPy's arrays of bytes and whole numbers, in an `.npz` archive.

use super::span::Span;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Larger arrays of labels are refused: they are kept in memory.
const MAX_BYTES: u64 = 1 << 30;
/// Larger arrays of images are refused; the largest of MedMNIST+ has 14 GiB.
const MAX_IMAGE_BYTES: u64 = 64 << 30;
/// Larger arrays of images stay in a file.
const IN_FILE_FROM: u64 = 128 << 20;
const MAX_HEADER: usize = 1 << 16;

/// An array of whole numbers in C order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    /// Little-endian, `width` bytes a number.
    data: Vec<u8>,
    width: usize,
    signed: bool,
}

/// An array of images, which may be larger than memory.
#[derive(Debug)]
pub(crate) struct ImageArray {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Span,
}

/// The array of this name, `None` where there is none, or why it cannot be read.
pub(crate) fn read<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
) -> Result<Option<Array>, String> {
    let Some(entry) = entry(archive, name)? else {
        return Ok(None);
    };
    parse(entry)
        .map(Some)
        .map_err(|why| format!("array {name} {why}"))
}

/// The same of an array of bytes that are images: a large one that is stored is read where it is, one that
/// is compressed is inflated into a file that ends with this process. `expect` is asked of the shape before
/// anything is read.
pub(crate) fn read_images(
    archive: &mut ZipArchive<BufReader<File>>,
    path: &Path,
    name: &str,
    expect: impl FnOnce(&[usize], usize) -> Result<(), String>,
) -> Result<Option<ImageArray>, String> {
    read_images_from(archive, path, name, expect, IN_FILE_FROM)
}

fn read_images_from(
    archive: &mut ZipArchive<BufReader<File>>,
    path: &Path,
    name: &str,
    expect: impl FnOnce(&[usize], usize) -> Result<(), String>,
    in_file_from: u64,
) -> Result<Option<ImageArray>, String> {
    let Some(mut entry) = entry(archive, name)? else {
        return Ok(None);
    };
    let fail = |why: String| format!("array {name} {why}");
    let header = header(&mut entry).map_err(fail)?;
    expect(&header.shape, header.width).map_err(fail)?;
    let bytes = header.bytes(MAX_IMAGE_BYTES).map_err(fail)?;
    if bytes < in_file_from {
        let array = read_data(header, bytes, entry).map_err(fail)?;
        return Ok(Some(ImageArray {
            shape: array.shape,
            data: Span::Memory(array.data),
        }));
    }
    let (file, start) = match (entry.compression(), entry.data_start()) {
        (CompressionMethod::Stored, Some(start)) => {
            let io = |error: io::Error| fail(format!("cannot be read: {error}"));
            let file = File::open(path).map_err(io)?;
            let start = start + header.length;
            let found = file.metadata().map_err(io)?.len().saturating_sub(start);
            if found < bytes {
                return Err(fail(truncated(found, bytes)));
            }
            (file, start)
        }
        _ => (inflate(&mut entry, bytes).map_err(fail)?, 0),
    };
    Ok(Some(ImageArray {
        shape: header.shape,
        data: Span::File {
            file,
            start,
            length: bytes,
        },
    }))
}

/// The next so many bytes of a member in a file that has no name.
fn inflate(entry: &mut impl Read, bytes: u64) -> Result<File, String> {
    let folder = std::env::temp_dir();
    let unpacked = |error: io::Error| {
        format!(
            "cannot be unpacked, {bytes} bytes in {}: {error} (TMPDIR names another folder)",
            folder.display()
        )
    };
    let mut file = tempfile::tempfile_in(&folder).map_err(unpacked)?;
    let copied = io::copy(&mut entry.take(bytes), &mut file).map_err(unpacked)?;
    if copied != bytes {
        return Err(truncated(copied, bytes));
    }
    expect_end(entry)?;
    Ok(file)
}

fn truncated(found: u64, bytes: u64) -> String {
    format!("has {found} bytes of {bytes}: it is truncated")
}

/// Reads the end, where an archive's checksum is compared.
fn expect_end(source: &mut impl Read) -> Result<(), String> {
    match source.read(&mut [0]).map_err(cannot)? {
        0 => Ok(()),
        _ => Err("has more bytes than its shape says".into()),
    }
}

fn entry<'a, R: Read + Seek>(
    archive: &'a mut ZipArchive<R>,
    name: &str,
) -> Result<Option<ZipFile<'a, R>>, String> {
    match archive.by_name(&format!("{name}.npy")) {
        Ok(entry) => Ok(Some(entry)),
        Err(ZipError::FileNotFound) => Ok(None),
        Err(error) => Err(format!("array {name}: {error}")),
    }
}

pub(crate) fn open(file: File) -> Result<ZipArchive<BufReader<File>>, String> {
    let archive = ZipArchive::new(BufReader::new(file));
    archive.map_err(|error| format!("it is no .npz archive: {error}"))
}

/// Reads a `.npy` file (format versions 1 to 3).
pub(crate) fn parse(mut source: impl Read) -> Result<Array, String> {
    let header = header(&mut source)?;
    let bytes = header.bytes(MAX_BYTES)?;
    read_data(header, bytes, source)
}

/// What an array is.
struct Header {
    shape: Vec<usize>,
    width: usize,
    signed: bool,
    /// Of the header itself, in bytes.
    length: u64,
}

impl Header {
    /// The number of the array's bytes.
    fn bytes(&self, most: u64) -> Result<u64, String> {
        let shape = &self.shape;
        shape
            .iter()
            .try_fold(self.width as u64, |product, &side| {
                product.checked_mul(side as u64)
            })
            .filter(|&bytes| bytes <= most)
            .ok_or_else(|| format!("has shape {shape:?}, expected at most {most} bytes"))
    }
}

fn cannot(error: io::Error) -> String {
    format!("cannot be read: {error}")
}

fn header(source: &mut impl Read) -> Result<Header, String> {
    let mut start = [0; 10];
    source.read_exact(&mut start).map_err(cannot)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err("is no NumPy array".into());
    }
    let low = usize::from(u16::from_le_bytes([start[8], start[9]]));
    let (length, before) = match start[6] {
        1 => (low, 10),
        2 | 3 => {
            let mut high = [0; 2];
            source.read_exact(&mut high).map_err(cannot)?;
            (low | usize::from(u16::from_le_bytes(high)) << 16, 12)
        }
        other => return Err(format!("has format version {other}, expected 1 to 3")),
    };
    if length > MAX_HEADER {
        return Err(format!(
            "has a header of {length} bytes, expected at most {MAX_HEADER}"
        ));
    }
    let mut header = vec![0; length];
    source.read_exact(&mut header).map_err(cannot)?;
    let header = String::from_utf8_lossy(&header);
    let (shape, width, signed) = describe(&header)?;
    Ok(Header {
        shape,
        width,
        signed,
        length: (before + length) as u64,
    })
}

fn read_data(header: Header, bytes: u64, mut source: impl Read) -> Result<Array, String> {
    // Grows with what is there, not with what the header promises.
    let mut data = Vec::new();
    let mut part = source.by_ref().take(bytes);
    part.read_to_end(&mut data).map_err(cannot)?;
    if data.len() as u64 != bytes {
        return Err(truncated(data.len() as u64, bytes));
    }
    expect_end(&mut source)?;
    Ok(Array {
        shape: header.shape,
        data,
        width: header.width,
        signed: header.signed,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored and deflated members alike, in memory or in a file.
    #[test]
    fn images_in_a_file_are_those_in_memory() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/medmnist");
        let stored = tempfile::tempdir().unwrap();
        let again = stored.path().join("stored.npz");
        let path = folder.join("grey.npz");
        let mut archive = open(File::open(&path).unwrap()).unwrap();
        let mut writer = zip::ZipWriter::new(File::create(&again).unwrap());
        let options =
            zip::write::SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for name in ["train_images", "val_images"] {
            writer.start_file(format!("{name}.npy"), options).unwrap();
            let mut member = archive.by_name(&format!("{name}.npy")).unwrap();
            io::copy(&mut member, &mut writer).unwrap();
        }
        writer.finish().unwrap();
        for path in [path, again] {
            for name in ["train_images", "val_images"] {
                let mut archive = open(File::open(&path).unwrap()).unwrap();
                let mut read = |in_file_from| {
                    let read =
                        read_images_from(&mut archive, &path, name, |_, _| Ok(()), in_file_from);
                    read.unwrap().unwrap()
                };
                let (memory, file) = (read(u64::MAX), read(0));
                assert!(matches!(file.data, Span::File { .. }));
                assert_eq!(memory.shape, file.shape);
                let image = memory.shape[1] * memory.shape[2];
                for place in 0..memory.shape[0] {
                    let [a, b] = [&memory, &file].map(|array| {
                        let part = array.data.part(place as u64 * image as u64, image);
                        part.unwrap().into_owned()
                    });
                    assert_eq!(a, b, "{name} of {}, image {place}", path.display());
                }
                let beyond = memory.shape[0] as u64 * image as u64;
                for array in [memory, file] {
                    assert!(array.data.part(beyond, 1).unwrap_err().contains("beyond"));
                }
            }
        }
    }
}
