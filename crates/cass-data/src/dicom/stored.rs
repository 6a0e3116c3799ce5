//! The stored values of the first frame, by transfer syntax.

use super::elements::{Elements, PixelData};
use jpeg_decoder::{Decoder, PixelFormat};
use std::io::Cursor;

const NATIVE: [&str; 2] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"];
const RLE: &str = "1.2.840.10008.1.2.5";
/// Baseline, and two of lossless.
const JPEG: [&str; 3] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
];
/// Names of what is refused; longer prefixes first.
const REFUSED: [(&str, &str); 7] = [
    ("1.2.840.10008.1.2.1.99", "deflated"),
    ("1.2.840.10008.1.2.2", "big endian"),
    ("1.2.840.10008.1.2.4.51", "JPEG of 12 bits"),
    ("1.2.840.10008.1.2.4.8", "JPEG-LS"),
    ("1.2.840.10008.1.2.4.9", "JPEG 2000"),
    ("1.2.840.10008.1.2.4.10", "video"),
    ("1.2.840.10008.1.2.4.20", "HTJ2K"),
];

/// What a frame is made of.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 8 or 16.
    pub(super) bits_allocated: u16,
    pub(super) frames: usize,
}

impl Frame {
    fn area(self) -> usize {
        self.width * self.height
    }

    fn bytes(self) -> usize {
        self.area() * usize::from(self.bits_allocated / 8)
    }
}

/// Says whether the transfer syntax is one that is read.
pub(super) fn expect_readable(syntax: &str) -> Result<(), String> {
    if NATIVE.contains(&syntax) || JPEG.contains(&syntax) || syntax == RLE {
        return Ok(());
    }
    let name = REFUSED.iter().find(|(uid, _)| syntax.starts_with(uid));
    let name = name.map_or(String::new(), |(_, name)| format!(" ({name})"));
    Err(format!(
        "has DICOM transfer syntax {syntax:?}{name}, expected uncompressed, RLE, or JPEG that is \
         baseline or lossless; `gdcmconv --raw` writes uncompressed files"
    ))
}

/// The frame's stored values, rows from the top, with whatever else is in their words.
pub(super) fn values(elements: &Elements, frame: Frame) -> Result<Vec<u16>, String> {
    match &elements.pixels {
        PixelData::Native(bytes, promised) => native(bytes, *promised, frame),
        PixelData::Fragments(fragments) => {
            let (table, fragments) = fragments
                .split_first()
                .filter(|(_, fragments)| !fragments.is_empty())
                .ok_or("has no pixel data")?;
            if elements.transfer_syntax == RLE {
                return rle(fragments[0], frame); // a fragment is a frame
            }
            if NATIVE.contains(&elements.transfer_syntax.as_str()) {
                return Err("has fragments of pixel data, which uncompressed ones have not".into());
            }
            jpeg(&first(table, fragments, frame.frames).concat(), frame)
        }
    }
}

/// The fragments of the first frame. Where neither the offset table nor their number tells, all:
/// an image ends itself.
fn first<'a>(table: &[u8], fragments: &'a [&'a [u8]], frames: usize) -> &'a [&'a [u8]] {
    if fragments.len() == frames {
        return &fragments[..1];
    }
    let second = table.get(4..8).and_then(|offset| offset.try_into().ok());
    let Some(second) = second.map(u32::from_le_bytes) else {
        return fragments;
    };
    const ITEM_HEADER: usize = 8;
    let mut at = 0;
    let of_first = fragments.iter().take_while(|fragment| {
        let before = at < second as usize;
        at += ITEM_HEADER + fragment.len();
        before
    });
    &fragments[..of_first.count()]
}

fn native(bytes: &[u8], promised: usize, frame: Frame) -> Result<Vec<u16>, String> {
    let found = bytes.len();
    if found < promised {
        return Err(format!(
            "is truncated: {found} bytes of pixel data, expected {promised}"
        ));
    }
    let bytes = bytes.get(..frame.bytes()).ok_or_else(|| {
        let (expected, Frame { width, height, .. }) = (frame.bytes(), frame);
        format!("has {found} bytes of pixel data, expected {expected} for {width}x{height}")
    })?;
    Ok(match frame.bits_allocated {
        8 => bytes.iter().map(|&v| u16::from(v)).collect(),
        _ => words(bytes, u16::from_le_bytes),
    })
}

fn words(bytes: &[u8], word: fn([u8; 2]) -> u16) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|&pair| word(pair)).collect()
}

/// One run-length coded plane a byte of a value, the high byte's first.
fn rle(fragment: &[u8], frame: Frame) -> Result<Vec<u16>, String> {
    const HEADER: usize = 64;
    let planes = usize::from(frame.bits_allocated / 8);
    let damaged = |what: &str| format!("has damaged RLE data: {what}");
    let header = fragment.get(..HEADER).ok_or(damaged("no header"))?;
    let header = header.as_chunks().0;
    let number = |place: usize| u32::from_le_bytes(header[place]) as usize;
    if number(0) != planes {
        return Err(damaged(&format!("{} planes, expected {planes}", number(0))));
    }
    let mut values = vec![0u16; frame.area()];
    for plane in 1..=planes {
        let data = fragment.get(number(plane)..);
        let mut data = data.ok_or(damaged("a plane begins behind the end"))?;
        let mut left = &mut values[..];
        while !left.is_empty() {
            let (&[code], rest) = data.split_first_chunk().ok_or(damaged("it ends early"))?;
            // Up to 127: so many and one more bytes follow. From 129: one byte, 257 less so many
            // times. 128: nothing.
            let literal = code < 128;
            let count = match code {
                0..128 => usize::from(code) + 1,
                128 => 0,
                _ => 257 - usize::from(code),
            };
            let used = match (literal, count) {
                (true, _) => count,
                (false, 0) => 0,
                (false, _) => 1,
            };
            let bytes = rest.get(..used).ok_or(damaged("it ends early"))?;
            let count = count.min(left.len()); // padding
            let (now, later) = left.split_at_mut(count);
            for (place, value) in now.iter_mut().enumerate() {
                let byte = bytes[if literal { place } else { 0 }];
                *value = *value << 8 | u16::from(byte);
            }
            (left, data) = (later, &rest[used..]);
        }
    }
    Ok(values)
}

fn jpeg(image: &[u8], frame: Frame) -> Result<Vec<u16>, String> {
    let damaged = |e: jpeg_decoder::Error| format!("has damaged JPEG data: {e}");
    let mut decoder = Decoder::new(Cursor::new(image));
    decoder.read_info().map_err(damaged)?;
    let info = decoder.info().ok_or("has no JPEG image")?;
    if (info.width.into(), info.height.into()) != (frame.width, frame.height) {
        return Err(format!(
            "has a JPEG image of {}x{}, expected {}x{}",
            info.width, info.height, frame.width, frame.height
        ));
    }
    decoder.set_max_decoding_buffer_size(2 * frame.area());
    match info.pixel_format {
        PixelFormat::L8 => {
            let bytes = decoder.decode().map_err(damaged)?;
            Ok(bytes.into_iter().map(u16::from).collect())
        }
        PixelFormat::L16 => {
            let bytes = decoder.decode().map_err(damaged)?;
            Ok(words(&bytes, u16::from_ne_bytes))
        }
        other => Err(format!("has a JPEG image of {other:?}, expected grey")),
    }
}
