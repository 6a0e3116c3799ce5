mod animation;
#[cfg(feature = "dicom")]
mod dicom;
mod frames;
mod levels;
mod palette;
mod reading;
mod tiff;
mod turn;

pub(crate) use frames::{Frames, frame_name};
pub(crate) use levels::{Kind, Values};
pub use reading::{Frame, Levels, Pages, Reading};

use crate::image::Pixels;
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Larger files are refused unread.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;
/// Larger images are refused by their header, before any pixel is decoded.
pub(crate) const MAX_PIXELS: u64 = 100_000_000;
/// What a decoder may allocate.
pub(crate) const MAX_DECODER_BYTES: u64 = 1 << 30;
/// What a decoder may allocate before it comes to the pixels: a PNG's colour profile, which is read on
/// every thread and used on none, inflates a thousandfold.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Decodes an image file to what PIL's `Image.open(path).convert("RGB")` gives.
///
/// Palettes are looked up, alpha is dropped without blending, CMYK is converted, an EXIF rotation
/// is *not* applied; 16-bit values keep their high byte (PIL clips 16-bit grey at 255 instead); of
/// several frames or pages the first is used. The content decides the format, not the file's
/// extension. [`decode_as`] does what of this a [`Reading`] changes.
///
/// Of DICOM (feature `dicom`, on by default): monochrome of 8 or 16 bits and RGB, YBR_FULL,
/// YBR_FULL_422 and PALETTE COLOR of 8, uncompressed (little or big endian, deflated), RLE, or JPEG that
/// is baseline or lossless; with or without preamble and meta group. Rescale slope and intercept or a
/// modality LUT, and the first window (LINEAR, LINEAR_EXACT, SIGMOID) or else a VOI LUT are applied,
/// and MONOCHROME1 is inverted. Without a window, 8 unsigned bits stay as they are, and other values
/// are spread from the frame's least, black, to its greatest, white, the padding value left out.
///
/// # Errors
/// A file that is missing, empty, truncated, not an image, of over 256 MiB or of over 100 million
/// pixels by its header, or whose pixels are signed or floating-point; and DICOM of another kind.
pub fn decode(path: &Path) -> Result<Pixels> {
    decode_as(path, &Reading::default(), None)
}

/// Decodes an image file as images of a data set are read; `size` is the side that it will be resized
/// to, which chooses a page of a pyramid. Under [`Frame::All`] a frame is read by its name, such as
/// `scan.dcm#2` ([`frames_at`](crate::source::frames_at)).
///
/// # Errors
/// Those of [`decode()`], and what `reading` does not fit.
pub fn decode_as(path: &Path, reading: &Reading, size: Option<usize>) -> Result<Pixels> {
    let frame = match reading.frame {
        Frame::All => frames::of_name(path),
        _ => None,
    };
    let (file, reading) = match frame {
        Some((file, number)) => {
            let frame = Frame::Number(number);
            let reading = Reading {
                frame,
                ..reading.clone()
            };
            (Cow::Owned(file), Cow::Owned(reading))
        }
        None => (Cow::Borrowed(path), Cow::Borrowed(reading)),
    };
    read(&file, &reading)
        .and_then(|bytes| Ok(decode_bytes(&bytes, &reading, size)?.pixels))
        .map_err(|reason| Error::Image {
            path: path.to_owned(),
            reason,
        })
}

/// The file's bytes, or why not.
pub(crate) fn read(path: &Path, reading: &Reading) -> Result<Vec<u8>, String> {
    let fail = |e: std::io::Error| format!("cannot be read: {e}");
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    let metadata = fs::metadata(path).map_err(fail)?;
    if !metadata.is_file() {
        return Err("is no regular file".into());
    }
    let length = metadata.len();
    let most = reading.max_bytes();
    if length > most {
        return Err(format!(
            "has {length} bytes, over the limit of {most} (--max-megapixels raises it)"
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    let file = File::open(path).map_err(fail)?;
    file.take(most).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// An image and what its file is.
pub(crate) struct Decoded {
    pub(crate) pixels: Pixels,
    pub(crate) format: &'static str,
    /// Channels and bits a channel, such as `L8`.
    pub(crate) mode: String,
    /// The largest value, if there are 16 bits a channel.
    pub(crate) widest: Option<u16>,
    /// How many of the 256 levels the range takes, if there were more than 8 bits.
    pub(crate) range: Option<u16>,
    /// The camera says that the picture is to be turned or mirrored, which was not done.
    pub(crate) turned: bool,
    /// Of which the first is `pixels`, where the format tells.
    pub(crate) frames: usize,
    /// Who is shown, where the file says so.
    pub(crate) patient: Option<String>,
}

/// Whether a file that begins with these bytes is an image, of whichever format.
pub(crate) fn is_image(start: &[u8]) -> bool {
    const BIG_TIFF: [&[u8]; 2] = [b"II\x2b\0", b"MM\0\x2b"];
    is_dicom(start)
        || BIG_TIFF.iter().any(|magic| start.starts_with(magic))
        || image::guess_format(start).is_ok()
}

/// Whether a file that begins so is DICOM, with its preamble or without.
fn is_dicom(start: &[u8]) -> bool {
    #[cfg(feature = "dicom")]
    if dicom::is_bare(start) {
        return true;
    }
    start.get(128..132) == Some(b"DICM")
}

/// The image in these bytes, or why not.
pub(crate) fn decode_bytes(
    bytes: &[u8],
    reading: &Reading,
    size: Option<usize>,
) -> Result<Decoded, String> {
    let decoded = as_stored(bytes, reading, size)?;
    Ok(Decoded {
        pixels: decoded.pixels.for_channels(reading.in_chans)?,
        ..decoded
    })
}

/// The image with the channels that it has.
fn as_stored(bytes: &[u8], reading: &Reading, size: Option<usize>) -> Result<Decoded, String> {
    if bytes.is_empty() {
        return Err("is empty (0 bytes)".into());
    }
    if is_dicom(bytes) {
        #[cfg(feature = "dicom")]
        return dicom::decode(bytes, reading);
        #[cfg(not(feature = "dicom"))]
        return Err("is a DICOM file, which only a build with feature dicom reads".into());
    }
    let format = match bytes {
        // BigTIFF, which `image` reads but does not recognise.
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => Some(ImageFormat::Tiff),
        _ => image::guess_format(bytes).ok(),
    };
    let format = format.and_then(|format| Some((format, name(format)?)));
    let (format, format_name) = format.ok_or_else(|| foreign(bytes))?;
    if format == ImageFormat::Jpeg {
        return decode_jpeg(bytes, reading);
    }
    if format == ImageFormat::Tiff
        && let Ok(size) = imagesize::blob_size(bytes)
    {
        // Its decoder looks for the strips first, which rarely fit a false size.
        // A pyramid's first page may be larger than the one that is used.
        if reading.pages != Pages::Pyramid {
            expect_size(size.width as u32, size.height as u32, reading.max_pixels())?; // of 32 bits each
        }
    }
    let mut frames = 1;
    if format == ImageFormat::Tiff {
        frames = tiff::pages(bytes);
        if let Some(decoded) = tiff::decode(bytes, reading, size, frames)? {
            return Ok(decoded);
        }
    }
    let undecodable = |e: image::ImageError| format!("cannot be decoded: {e}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut header = Limits::no_limits();
    header.max_alloc = Some(MAX_HEADER_BYTES);
    reader.limits(header);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    expect_size(width, height, reading.max_pixels())?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(reading.max_decoder_bytes());
    decoder.set_limits(limits).map_err(undecodable)?;
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mode = format!("{:?}", decoder.original_color_type());
    let image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    let widest = match &image {
        DynamicImage::ImageLuma16(b) => b.as_raw().iter().max(),
        DynamicImage::ImageLumaA16(b) => b.as_raw().iter().step_by(2).max(),
        DynamicImage::ImageRgb16(b) => b.as_raw().iter().max(),
        DynamicImage::ImageRgba16(b) => b.pixels().flat_map(|p| &p.0[..3]).max(),
        _ => None,
    };
    let widest = widest.copied();
    let (pixels, range) = to_pixels(image, width as usize, height as usize, reading.levels)?;
    if format != ImageFormat::Tiff {
        frames = animation::frames(format, bytes);
    }
    let (pixels, turned) = turned(pixels, turn, reading);
    Ok(Decoded {
        pixels,
        format: format_name,
        mode,
        widest,
        range,
        turned,
        frames,
        patient: None,
    })
}

/// By the decoder that `image` uses, and its settings, but for its wrapper, which reads the headers
/// three times.
fn decode_jpeg(bytes: &[u8], reading: &Reading) -> Result<Decoded, String> {
    if !jpeg_ends(bytes) {
        return Err("is truncated: no end-of-image marker".into());
    }
    let undecodable = |e: zune_jpeg::errors::DecodeErrors| format!("cannot be decoded: {e}");
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(undecodable)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    expect_size(width as u32, height as u32, reading.max_pixels())?; // of 16 bits each
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (output, channels, mode) = if grey {
        (ColorSpace::Luma, 1, "L8")
    } else {
        (ColorSpace::RGB, 3, "Rgb8")
    };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let mut data = vec![0; width * height * channels];
    decoder.decode_into(&mut data).map_err(undecodable)?;
    let turn = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif));
    let pixels = if grey {
        Pixels::from_grey(width, height, data)
    } else {
        Pixels::from_rgb(width, height, data)
    };
    let (pixels, turned) = turned(pixels, turn.unwrap_or(Orientation::NoTransforms), reading);
    Ok(Decoded {
        pixels,
        format: "JPEG",
        mode: mode.into(),
        widest: None,
        range: None,
        turned,
        frames: 1,
        patient: None,
    })
}

/// The picture as the reading has it, and whether it would still have to be turned.
fn turned(pixels: Pixels, turn: Orientation, reading: &Reading) -> (Pixels, bool) {
    match (turn, reading.exif) {
        (Orientation::NoTransforms, _) => (pixels, false),
        (_, false) => (pixels, true),
        (turn, true) => (pixels.turned(turn), false),
    }
}

/// What is said of a file that is none of the formats: what it is, if that can be told, and the way
/// out.
fn foreign(bytes: &[u8]) -> String {
    let brand = bytes
        .get(8..12)
        .filter(|_| bytes.get(4..8) == Some(b"ftyp"));
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"version https://git-lfs") {
        return "is a pointer of Git LFS, expected an image: `git lfs pull` fetches it".into();
    }
    let html =
        |start: &[u8]| text.len() > start.len() && text[..start.len()].eq_ignore_ascii_case(start);
    if html(b"<!doctype html") || html(b"<html") {
        return "is a web page, expected an image: was the download refused?".into();
    }
    let is_nifti = [344, 0].iter().any(|&at| {
        let magic = bytes.get(at..at + 3);
        magic == Some(b"n+1") || magic == Some(b"ni1") || magic == Some(b"n+2")
    });
    let (what, way) = match brand {
        Some(b"avif" | b"avis") => (
            "an AVIF image",
            "`avifdec IN OUT.png` (libavif) converts it",
        ),
        Some(_) => (
            "a HEIC image or a video",
            "`heif-convert IN OUT.png` (libheif) converts images",
        ),
        None if is_nifti || bytes.starts_with(&[0x1F, 0x8B]) => (
            "a NIfTI volume or another archive",
            "its slices can be written as PNG or TIFF, with nibabel and tifffile for example",
        ),
        None if bytes.starts_with(b"\0\0\0\x0CjP  ")
            || bytes.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]) =>
        {
            (
                "a JPEG 2000 image",
                "`opj_decompress -i IN -o OUT.png` (OpenJPEG) converts it",
            )
        }
        None => {
            return "is none of JPEG, PNG, TIFF, BMP, PGM, PPM, WebP, GIF and DICOM by its content"
                .into();
        }
    };
    format!("is {what}, which is not read: {way}")
}

/// Says whether an image may be as large as its header says.
pub(crate) fn expect_size(width: u32, height: u32, most: u64) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if (1..=most).contains(&pixels) {
        return Ok(());
    }
    Err(format!(
        "is {width}x{height} by its header, expected 1 to {most} pixels (--max-megapixels raises this, \
         --pages pyramid takes a smaller page of a pyramid)"
    ))
}

/// The formats that are read.
fn name(format: ImageFormat) -> Option<&'static str> {
    Some(match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Pnm => "PNM",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        _ => return None,
    })
}

/// The image as 8 bits, and how many levels its range takes if it had more.
fn to_pixels(
    image: DynamicImage,
    width: usize,
    height: usize,
    levels: Levels,
) -> Result<(Pixels, Option<u16>), String> {
    let without_alpha = |data: Vec<u8>| {
        data.chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect()
    };
    let rgb = |data| Ok((Pixels::from_rgb(width, height, data), None));
    let grey = |data| Ok((Pixels::from_grey(width, height, data), None));
    let (values, coloured): (Vec<u16>, bool) = match image {
        DynamicImage::ImageLuma8(b) => return grey(b.into_raw()),
        DynamicImage::ImageLumaA8(b) => return grey(b.into_raw().into_iter().step_by(2).collect()),
        DynamicImage::ImageRgb8(b) => return rgb(b.into_raw()),
        DynamicImage::ImageRgba8(b) => return rgb(without_alpha(b.into_raw())),
        DynamicImage::ImageLuma16(b) => (b.into_raw(), false),
        DynamicImage::ImageLumaA16(b) => (b.into_raw().into_iter().step_by(2).collect(), false),
        DynamicImage::ImageRgb16(b) => (b.into_raw(), true),
        DynamicImage::ImageRgba16(b) => (
            b.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect(),
            true,
        ),
        other => {
            return Err(format!(
                "has {:?} pixels, expected 8 or 16-bit integers",
                other.color()
            ));
        }
    };
    let values = Values {
        data: values.into_iter().map(f32::from).collect(),
        kind: Kind::Unsigned16,
    };
    let made = values.to_levels(levels)?;
    let pixels = if coloured {
        Pixels::from_rgb(width, height, made.levels)
    } else {
        Pixels::from_grey(width, height, made.levels)
    };
    Ok((pixels, Some(made.range)))
}

/// Whether the entropy-coded data of a JPEG are ended by its marker. The decoder would fill what
/// is missing with grey and say nothing; PIL refuses such a file, and so do we.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    // Walk the header's segments: an embedded thumbnail in one of them has an end marker too.
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xFF {
            at += 1; // a fill byte
            continue;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            break;
        }
    }
    // Within the data 0xFF is followed by a stuffed zero, so the pair can only be the marker.
    bytes
        .get(at..)
        .is_some_and(|data| data.windows(2).any(|w| w == [0xFF, END_OF_IMAGE]))
}
