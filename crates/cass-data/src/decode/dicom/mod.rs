//! DICOM images: one frame, through modality transform and window or from its colours, as 8 bits.

#[cfg(feature = "dicom-codecs")]
mod codecs;
#[cfg(feature = "dicom-codecs")]
mod codestream;
mod colour;
mod elements;
mod stored;
mod window;

pub(crate) use elements::is_bare;

use crate::decode::{Decoded, Frames, expect_size};
use crate::image::{Pixels, Reading};
use colour::Colour;
use elements::{
    BITS_ALLOCATED, BITS_STORED, COLUMNS, Elements, FRAMES, HIGH_BIT, PATIENT, PHOTOMETRIC, PLANAR,
    PixelData, ROWS, SAMPLES,
};
use stored::{Frame, Stored};
use window::Transform;

/// How many frames a file has, and who is shown.
pub(crate) fn frames(bytes: &[u8]) -> Result<Frames, String> {
    let (syntax, data) = elements::start(bytes)?;
    let elements = Elements::read(syntax, &data)?;
    let area =
        usize::from(elements.need(COLUMNS, "columns")?) * usize::from(elements.need(ROWS, "rows")?);
    // One more than there can be: that one's error is of all that are missing.
    let most = match &elements.pixels {
        PixelData::Native(bytes, ..) => bytes.len() / area.max(1) + 1,
        PixelData::Fragments(fragments) => fragments.len(),
    };
    Ok(Frames {
        frames: count(&elements)?.min(most),
        patient: patient(&elements),
    })
}

fn count(elements: &Elements) -> Result<usize, String> {
    let frames = elements.decimal(FRAMES, "number of frames")?.unwrap_or(1.0);
    Ok((frames as usize).max(1)) // `as` saturates
}

fn patient(elements: &Elements) -> Option<String> {
    elements.text(PATIENT).filter(|patient| !patient.is_empty())
}

/// The image in these bytes, or why not.
pub(crate) fn decode(bytes: &[u8], reading: &Reading) -> Result<Decoded, String> {
    let (syntax, data) = elements::start(bytes)?;
    let elements = Elements::read(syntax, &data)?;
    let photometric = elements.text(PHOTOMETRIC).unwrap_or_default();
    let colour = Colour::of(&photometric);
    let inverted = match (photometric.as_str(), colour) {
        ("MONOCHROME1", _) => true,
        ("MONOCHROME2", _) | (_, Some(_)) => false,
        (other, None) => {
            return Err(format!(
                "has DICOM pixels of {other:?}, expected MONOCHROME1, MONOCHROME2, RGB, YBR_FULL, \
                 YBR_FULL_422 or PALETTE COLOR"
            ));
        }
    };
    let samples = elements.number(SAMPLES, "samples per pixel")?.unwrap_or(1);
    let expected = colour.map_or(1, Colour::samples);
    if usize::from(samples) != expected {
        return Err(format!(
            "has {samples} samples per pixel, expected {expected} of {photometric}"
        ));
    }
    let bits_allocated = elements.need(BITS_ALLOCATED, "bits allocated")?;
    let several = expected > 1;
    if ![8, 16].contains(&bits_allocated) || (several && bits_allocated != 8) {
        let expected = if several { "8" } else { "8 or 16" };
        return Err(format!(
            "has {bits_allocated} bits allocated, expected {expected}"
        ));
    }
    let frames = count(&elements)?;
    let (width, height) = (
        elements.need(COLUMNS, "columns")?,
        elements.need(ROWS, "rows")?,
    );
    expect_size(width.into(), height.into(), reading.max_pixels())?;
    let compressed = matches!(elements.pixels, PixelData::Fragments(_));
    let frame = Frame {
        width: width.into(),
        height: height.into(),
        bits_allocated,
        samples: expected,
        subsampled: colour == Some(Colour::Ybr422) && !compressed,
        frames,
        which: reading.frame.of(frames)?,
    };
    let planes = elements.number(PLANAR, "planar configuration")? == Some(1);
    let is_rgb = colour == Some(Colour::Rgb);
    let most = reading.max_decoder_bytes();
    let stored = || stored::values(&elements, frame, planes, is_rgb, most);
    let (pixels, bits) = match colour {
        Some(colour) => {
            let rgb = match stored()? {
                Stored::Rgb(rgb) => rgb,
                Stored::Values { values, planes } => {
                    colour::rgb(colour, &elements, frame, &values, planes)?
                }
            };
            let pixels = Pixels::from_rgb(frame.width, frame.height, rgb);
            (pixels, bits_allocated)
        }
        None => {
            let transform = Transform::of(&elements, bits_allocated, inverted, reading)?;
            if let (Some(high), Some(stored)) = (
                elements.number(HIGH_BIT, "high bit")?,
                elements.number(BITS_STORED, "bits stored")?,
            ) && high.checked_add(1) != Some(stored)
            {
                return Err(format!(
                    "has its high bit at {high}, expected {} as {stored} bits are stored",
                    stored - 1
                ));
            }
            let Stored::Values { values, .. } = stored()? else {
                return Err(format!("has a coloured JPEG image, expected {photometric}"));
            };
            let levels = transform.apply(&values, reading.levels)?;
            let pixels = Pixels::from_grey(frame.width, frame.height, levels);
            (pixels, transform.bits_stored)
        }
    };
    Ok(Decoded {
        pixels,
        format: "DICOM",
        mode: format!("{photometric} {bits}"),
        widest: None,
        range: None,
        turned: false,
        frames: frame.frames,
        patient: patient(&elements),
    })
}
