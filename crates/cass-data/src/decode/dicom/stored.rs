//! The stored values of the first frame, by transfer syntax.

#[cfg(feature = "dicom-codecs")]
use super::codecs;
use super::elements::{BIG_ENDIAN, Elements, PixelData};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
use std::io::Cursor;

const NATIVE: [&str; 4] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    BIG_ENDIAN,
];
const RLE: &str = "1.2.840.10008.1.2.5";
/// Baseline, and two of lossless.
const JPEG: [&str; 3] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
];
/// Names of what is refused; longer prefixes first.
const REFUSED: [(&str, &str); 5] = [
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
    /// 1, or 3 of a colour.
    pub(super) samples: usize,
    /// Bytes of a frame that is not compressed, where they are not those of all samples: under
    /// YBR_FULL_422, two pixels share their colour.
    pub(super) subsampled: bool,
    pub(super) frames: usize,
    /// The one that is used, from 0.
    pub(super) which: usize,
}

impl Frame {
    pub(super) fn area(self) -> usize {
        self.width * self.height
    }

    fn bytes(self) -> usize {
        let samples = if self.subsampled { 2 } else { self.samples };
        self.area() * samples * usize::from(self.bits_allocated / 8)
    }
}

/// What is stored of a frame.
pub(super) enum Stored {
    /// Rows from the top, a pixel's samples next to each other or, `planes`, apart.
    Values { values: Vec<u16>, planes: bool },
    /// Red, green and blue, interleaved.
    Rgb(Vec<u8>),
}

/// Says whether the transfer syntax is one that is read.
pub(super) fn expect_readable(syntax: &str) -> Result<(), String> {
    if NATIVE.contains(&syntax) || JPEG.contains(&syntax) || syntax == RLE {
        return Ok(());
    }
    #[cfg(feature = "dicom-codecs")]
    if codecs::JPEG_2000.contains(&syntax) || codecs::JPEG_LS.contains(&syntax) {
        return Ok(());
    }
    let name = REFUSED.iter().find(|(uid, _)| syntax.starts_with(uid));
    let name = name.map_or(String::new(), |(_, name)| format!(" ({name})"));
    Err(format!(
        "has DICOM transfer syntax {syntax:?}{name}, expected uncompressed, RLE, or JPEG that is \
         baseline or lossless; `gdcmconv --raw` writes uncompressed files, and a build with feature dicom-codecs reads JPEG 2000 \
         and JPEG-LS"
    ))
}

/// The frame's stored values, rows from the top, with whatever else is in their words; `rgb` says
/// whether a JPEG image of three colours is of red, green and blue, and `most` what a decoder may allocate.
pub(super) fn values(
    elements: &Elements,
    frame: Frame,
    planes: bool,
    rgb: bool,
    most: u64,
) -> Result<Stored, String> {
    match &elements.pixels {
        &PixelData::Native(bytes, promised, words) => {
            let values = native(bytes, promised, frame, elements.big_endian, words)?;
            Ok(Stored::Values { values, planes })
        }
        PixelData::Fragments(fragments) => {
            let (table, fragments) = fragments
                .split_first()
                .filter(|(_, fragments)| !fragments.is_empty())
                .ok_or("has no pixel data")?;
            if NATIVE.contains(&elements.transfer_syntax.as_str()) {
                return Err("has fragments of pixel data, which uncompressed ones have not".into());
            }
            let fragments = of_frame(table, fragments, frame)?;
            if elements.transfer_syntax == RLE {
                let values = rle(fragments[0], frame)?; // a fragment is a frame
                return Ok(Stored::Values {
                    values,
                    planes: true,
                });
            }
            let image = fragments.concat();
            #[cfg(feature = "dicom-codecs")]
            match elements.transfer_syntax.as_str() {
                syntax if codecs::JPEG_2000.contains(&syntax) => {
                    return codecs::jpeg_2000(&image, frame, most);
                }
                syntax if codecs::JPEG_LS.contains(&syntax) => {
                    return codecs::jpeg_ls(&image, frame);
                }
                _ => {}
            }
            let _ = most;
            jpeg(&image, frame, rgb)
        }
    }
}

/// The fragments of the frame that is used. Where neither the offset table nor their number tells,
/// all: an image ends itself.
fn of_frame<'a>(
    table: &[u8],
    fragments: &'a [&'a [u8]],
    frame: Frame,
) -> Result<&'a [&'a [u8]], String> {
    if fragments.len() == frame.frames {
        return Ok(&fragments[frame.which..=frame.which]);
    }
    let offset = |which: usize| {
        let bytes = table.get(4 * which..4 * which + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let Some(first) = offset(frame.which) else {
        return match frame.which {
            0 => Ok(fragments),
            which => Err(format!(
                "does not tell where its frame {} begins",
                which + 1
            )),
        };
    };
    let end = offset(frame.which + 1).unwrap_or(usize::MAX);
    const ITEM_HEADER: usize = 8;
    let mut at = 0;
    let mut starts = Vec::with_capacity(fragments.len());
    for fragment in fragments {
        starts.push(at);
        at += ITEM_HEADER + fragment.len();
    }
    let from = starts.iter().take_while(|&&start| start < first).count();
    let to = starts.iter().take_while(|&&start| start < end).count();
    match fragments.get(from..to) {
        Some(found @ [_, ..]) => Ok(found),
        _ => Err("has an offset table that does not fit its pixel data".into()),
    }
}

fn native(
    bytes: &[u8],
    promised: usize,
    frame: Frame,
    big_endian: bool,
    in_words: bool,
) -> Result<Vec<u16>, String> {
    let found = bytes.len();
    if found < promised {
        return Err(format!(
            "is truncated: {found} bytes of pixel data, expected {promised}"
        ));
    }
    let start = frame.which.saturating_mul(frame.bytes());
    let bytes = bytes.get(start..start.saturating_add(frame.bytes()));
    let bytes = bytes.ok_or_else(|| {
        let (expected, Frame { width, height, .. }) = (frame.bytes(), frame);
        format!("has {found} bytes of pixel data, expected {expected} for {width}x{height}")
    })?;
    Ok(match (frame.bits_allocated, big_endian) {
        // Two values to a word, the second in its high byte.
        (8, true) if in_words => {
            let swapped = (0..bytes.len()).map(|place| bytes.get(place ^ 1).copied());
            swapped.map(|v| u16::from(v.unwrap_or_default())).collect()
        }
        (8, _) => bytes.iter().map(|&v| u16::from(v)).collect(),
        (_, true) => words(bytes, u16::from_be_bytes),
        (_, false) => words(bytes, u16::from_le_bytes),
    })
}

fn words(bytes: &[u8], word: fn([u8; 2]) -> u16) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|&pair| word(pair)).collect()
}

/// One run-length coded plane a byte of a sample, the high byte's first; sample after sample.
fn rle(fragment: &[u8], frame: Frame) -> Result<Vec<u16>, String> {
    const HEADER: usize = 64;
    let bytes = usize::from(frame.bits_allocated / 8);
    let planes = bytes * frame.samples;
    let damaged = |what: &str| format!("has damaged RLE data: {what}");
    let header = fragment.get(..HEADER).ok_or(damaged("no header"))?;
    let header = header.as_chunks().0;
    let number = |place: usize| u32::from_le_bytes(header[place]) as usize;
    if number(0) != planes {
        return Err(damaged(&format!("{} planes, expected {planes}", number(0))));
    }
    let mut values = vec![0u16; frame.area() * frame.samples];
    for plane in 1..=planes {
        let data = fragment.get(number(plane)..);
        let mut data = data.ok_or(damaged("a plane begins behind the end"))?;
        let sample = (plane - 1) / bytes * frame.area();
        let mut left = &mut values[sample..sample + frame.area()];
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

fn jpeg(image: &[u8], frame: Frame, rgb: bool) -> Result<Stored, String> {
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
    decoder.set_max_decoding_buffer_size(3 * frame.area());
    let grey = |values| {
        Ok(Stored::Values {
            values,
            planes: false,
        })
    };
    match (info.pixel_format, frame.samples) {
        (PixelFormat::L8, 1) => {
            let bytes = decoder.decode().map_err(damaged)?;
            grey(bytes.into_iter().map(u16::from).collect())
        }
        (PixelFormat::L16, 1) => {
            let bytes = decoder.decode().map_err(damaged)?;
            grey(words(&bytes, u16::from_ne_bytes))
        }
        (PixelFormat::RGB24, 3) => {
            let stored = if rgb {
                ColorTransform::RGB
            } else {
                ColorTransform::YCbCr
            };
            decoder.set_color_transform(stored);
            decoder.decode().map(Stored::Rgb).map_err(damaged)
        }
        (other, samples) => Err(format!(
            "has a JPEG image of {other:?}, expected {samples} samples a pixel"
        )),
    }
}
