//! JPEG 2000 and JPEG-LS, by decoders that are written in Rust alone.

use super::codestream::expect_bounded;
use super::stored::{Frame, Stored};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Part 1, lossless alone and any.
pub(super) const JPEG_2000: [&str; 2] = ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"];
/// Lossless, and nearly so.
pub(super) const JPEG_LS: [&str; 2] = ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"];

const START: &[u8] = &[0xFF, 0x4F, 0xFF, 0x51];

/// A JPEG-LS image of one component.
pub(super) fn jpeg_ls(image: &[u8], frame: Frame) -> Result<Stored, String> {
    if frame.samples != 1 {
        return Err("has a coloured JPEG-LS image, expected a grey one".into());
    }
    let damaged = |why: String| format!("has JPEG-LS data that cannot be read: {why}");
    let (width, height) = (frame.width as u32, frame.height as u32); // of 16 bits each
    let decoded = guarded(|| jpegls::decode(image, width, height));
    let (values, ..) = decoded
        .map_err(damaged)?
        .map_err(|e| damaged(e.to_string()))?;
    Ok(Stored::Values {
        values,
        planes: false,
    })
}

/// A JPEG 2000 image, in a file's boxes or without them; `most` is what the decoder may allocate.
pub(super) fn jpeg_2000(image: &[u8], frame: Frame, most: u64) -> Result<Stored, String> {
    let damaged = |why: String| format!("has JPEG 2000 data that cannot be read: {why}");
    let start = image.windows(START.len()).position(|four| four == START);
    let stream = &image[start.ok_or_else(|| damaged("there is no codestream".into()))?..];
    let signed = expect_bounded(stream, frame, most).map_err(damaged)?;
    let settings = DecodeSettings {
        resolve_palette_indices: false,
        strict: true,
        target_resolution: None,
    };
    let decoded = guarded(|| {
        let image = Image::new(stream, &settings).map_err(|e| e.to_string())?;
        let mut context = DecoderContext::default();
        let image = image.decode(&mut context).map_err(|e| e.to_string())?;
        let mut values = Vec::with_capacity(frame.area() * frame.samples);
        for component in image.components() {
            let bits = u32::from(component.bit_depth().clamp(1, 16));
            // The decoder takes all values for unsigned ones, which are raised by half their range.
            let raised = if signed { 1i32 << (bits - 1) } else { 0 };
            let most = (1i32 << bits) - 1;
            // What is lost in compression may lead beyond the range.
            let samples = component.samples().iter();
            values.extend(samples.map(|v| ((v.round() as i32).clamp(0, most) - raised) as u16));
        }
        Ok::<_, String>(values)
    });
    let values = decoded.map_err(damaged)?.map_err(damaged)?;
    let (found, expected) = (values.len(), frame.area() * frame.samples);
    if found != expected {
        return Err(damaged(format!("{found} values, expected {expected}")));
    }
    Ok(Stored::Values {
        values,
        planes: true,
    })
}

/// A decoder that fails at a file's damage in a way that it should not is no reason to end.
fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|_| "it is damaged".to_owned())
}
