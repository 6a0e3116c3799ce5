//! Monochrome DICOM images: the first frame, through modality transform and window, as 8 bits.

mod elements;
mod stored;
mod window;

use crate::decode::{Decoded, expect_size};
use crate::image::Pixels;
use elements::{
    BITS_ALLOCATED, BITS_STORED, COLUMNS, Elements, FRAMES, HIGH_BIT, PHOTOMETRIC, ROWS, SAMPLES,
};
use stored::Frame;
use window::Transform;

/// The image in these bytes, or why not.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let elements = Elements::read(bytes)?;
    let photometric = elements.text(PHOTOMETRIC).unwrap_or_default();
    let inverted = match photometric.as_str() {
        "MONOCHROME1" => true,
        "MONOCHROME2" => false,
        other => {
            return Err(format!(
                "has DICOM pixels of {other:?}, expected MONOCHROME1 or MONOCHROME2"
            ));
        }
    };
    let samples = elements.number(SAMPLES, "samples per pixel")?.unwrap_or(1);
    if samples != 1 {
        return Err(format!("has {samples} samples per pixel, expected 1"));
    }
    let bits_allocated = elements.need(BITS_ALLOCATED, "bits allocated")?;
    if ![8, 16].contains(&bits_allocated) {
        return Err(format!(
            "has {bits_allocated} bits allocated, expected 8 or 16"
        ));
    }
    let frames = elements.decimal(FRAMES, "number of frames")?.unwrap_or(1.0);
    let (width, height) = (
        elements.need(COLUMNS, "columns")?,
        elements.need(ROWS, "rows")?,
    );
    expect_size(width.into(), height.into())?;
    let frame = Frame {
        width: width.into(),
        height: height.into(),
        bits_allocated,
        frames: frames as usize, // `as` saturates
    };
    let transform = Transform::of(&elements, bits_allocated, inverted)?;
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
    let levels = transform.apply(&stored::values(&elements, frame)?);
    Ok(Decoded {
        pixels: Pixels::from_grey(frame.width, frame.height, levels),
        format: "DICOM",
        mode: format!("{photometric} {}", transform.bits_stored),
        widest: None,
        turned: false,
        frames: frame.frames,
    })
}
