use crate::image::Pixels;
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Larger files are refused unread.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Larger images are refused by their header, before any pixel is decoded.
const MAX_PIXELS: u64 = 100_000_000;
/// What a decoder may allocate.
const MAX_DECODER_BYTES: u64 = 1 << 30;

/// Decodes an image file to what PIL's `Image.open(path).convert("RGB")` gives.
///
/// Palettes are looked up, alpha is dropped without blending, CMYK is converted, an EXIF rotation
/// is *not* applied; 16-bit values keep their high byte (PIL clips 16-bit grey at 255 instead). The
/// content decides the format, not the file's extension.
///
/// Of DICOM (feature `dicom`, on by default): monochrome of 8 or 16 bits, uncompressed, RLE, or JPEG
/// that is baseline or lossless. Rescale slope and intercept and the first window are applied
/// (LINEAR, LINEAR_EXACT, SIGMOID), MONOCHROME1 is inverted, and of several frames the first is
/// used. Without a window, 8 unsigned bits stay as they are, and other values are spread from the
/// frame's least, black, to its greatest, white.
///
/// # Errors
/// A file that is missing, empty, truncated, not an image, of over 256 MiB or of over 100 million
/// pixels by its header, or whose pixels are floating-point; and DICOM of another kind.
pub fn decode(path: &Path) -> Result<Pixels> {
    read(path)
        .and_then(|bytes| Ok(decode_bytes(&bytes)?.pixels))
        .map_err(|reason| Error::Image {
            path: path.to_owned(),
            reason,
        })
}

/// The file's bytes, or why not.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |e: std::io::Error| format!("cannot be read: {e}");
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    let metadata = fs::metadata(path).map_err(fail)?;
    if !metadata.is_file() {
        return Err("is no regular file".into());
    }
    let length = metadata.len();
    if length > MAX_FILE_BYTES {
        return Err(format!(
            "has {length} bytes, over the limit of {MAX_FILE_BYTES}"
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    let file = File::open(path).map_err(fail)?;
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
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
    /// The camera says that the picture is to be turned or mirrored, which is not done.
    pub(crate) turned: bool,
    /// Of which the first is `pixels`, where the format tells.
    pub(crate) frames: usize,
}

/// Whether a file that begins with these bytes is an image, of whichever format.
pub(crate) fn is_image(start: &[u8]) -> bool {
    const BIG_TIFF: [&[u8]; 2] = [b"II\x2b\0", b"MM\0\x2b"];
    start.get(128..132) == Some(b"DICM")
        || BIG_TIFF.iter().any(|magic| start.starts_with(magic))
        || image::guess_format(start).is_ok()
}

/// The image in these bytes, or why not.
pub(crate) fn decode_bytes(bytes: &[u8]) -> Result<Decoded, String> {
    if bytes.is_empty() {
        return Err("is empty (0 bytes)".into());
    }
    if bytes.get(128..132) == Some(b"DICM") {
        #[cfg(feature = "dicom")]
        return crate::dicom::decode(bytes);
        #[cfg(not(feature = "dicom"))]
        return Err("is a DICOM file, which only a build with feature dicom reads".into());
    }
    let format = match bytes {
        // BigTIFF, which `image` reads but does not recognise.
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => Some(ImageFormat::Tiff),
        _ => image::guess_format(bytes).ok(),
    };
    let format = format.and_then(|format| Some((format, name(format)?)));
    let (format, format_name) =
        format.ok_or("is none of JPEG, PNG, TIFF, BMP and DICOM by its content".to_owned())?;
    if format == ImageFormat::Jpeg {
        return decode_jpeg(bytes);
    }
    if format == ImageFormat::Tiff
        && let Ok(size) = imagesize::blob_size(bytes)
    {
        // Its decoder looks for the strips first, which rarely fit a false size.
        expect_size(size.width as u32, size.height as u32)?; // of 32 bits each
    }
    let undecodable = |e: image::ImageError| format!("cannot be decoded: {e}");
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    expect_size(width, height)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    decoder.set_limits(limits).map_err(undecodable)?;
    let turned = decoder
        .orientation()
        .is_ok_and(|o| o != Orientation::NoTransforms);
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
    Ok(Decoded {
        pixels: to_pixels(image, width as usize, height as usize)?,
        format: format_name,
        mode,
        widest,
        turned,
        frames: 1,
    })
}

/// By the decoder that `image` uses, and its settings, but for its wrapper, which reads the headers
/// three times.
fn decode_jpeg(bytes: &[u8]) -> Result<Decoded, String> {
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
    expect_size(width as u32, height as u32)?; // of 16 bits each
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
    Ok(Decoded {
        pixels: if grey {
            Pixels::from_grey(width, height, data)
        } else {
            Pixels::from_rgb(width, height, data)
        },
        format: "JPEG",
        mode: mode.into(),
        widest: None,
        turned: turn.is_some_and(|turn| turn != Orientation::NoTransforms),
        frames: 1,
    })
}

/// Says whether an image may be as large as its header says.
pub(crate) fn expect_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if (1..=MAX_PIXELS).contains(&pixels) {
        return Ok(());
    }
    Err(format!(
        "is {width}x{height} by its header, expected 1 to {MAX_PIXELS} pixels"
    ))
}

/// The formats that are read.
fn name(format: ImageFormat) -> Option<&'static str> {
    Some(match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        _ => return None,
    })
}

fn to_pixels(image: DynamicImage, width: usize, height: usize) -> Result<Pixels, String> {
    let high = |v: u16| (v >> 8) as u8;
    let without_alpha = |data: Vec<u8>| {
        data.chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect()
    };
    let high_bytes = |data: Vec<u16>| data.into_iter().map(high).collect::<Vec<u8>>();
    let rgb = |data| Ok(Pixels::from_rgb(width, height, data));
    let grey = |data| Ok(Pixels::from_grey(width, height, data));
    match image {
        DynamicImage::ImageLuma8(b) => grey(b.into_raw()),
        DynamicImage::ImageLumaA8(b) => grey(b.into_raw().into_iter().step_by(2).collect()),
        DynamicImage::ImageLuma16(b) => grey(high_bytes(b.into_raw())),
        DynamicImage::ImageLumaA16(b) => {
            grey(b.into_raw().into_iter().step_by(2).map(high).collect())
        }
        DynamicImage::ImageRgb8(b) => rgb(b.into_raw()),
        DynamicImage::ImageRgba8(b) => rgb(without_alpha(b.into_raw())),
        DynamicImage::ImageRgb16(b) => rgb(high_bytes(b.into_raw())),
        DynamicImage::ImageRgba16(b) => rgb(without_alpha(high_bytes(b.into_raw()))),
        other => Err(format!(
            "has {:?} pixels, expected 8 or 16-bit integers",
            other.color()
        )),
    }
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
