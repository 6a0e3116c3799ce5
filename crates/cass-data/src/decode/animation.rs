//! How many pictures an animation has, of which the first is used.

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, ImageFormat};
use std::io::Cursor;

/// The number of pictures of a file that decodes; more than a few of GIF are not counted.
pub(super) fn frames(format: ImageFormat, bytes: &[u8]) -> usize {
    let frames = match format {
        ImageFormat::Gif => gif(bytes),
        ImageFormat::WebP => webp(bytes),
        ImageFormat::Png => png(bytes),
        _ => 1,
    };
    frames.max(1)
}

fn gif(bytes: &[u8]) -> usize {
    const COUNTED: usize = 16;
    let decoder = GifDecoder::new(Cursor::new(bytes));
    decoder.map_or(1, |decoder| decoder.into_frames().take(COUNTED).count())
}

/// The chunks of a RIFF file that are frames.
fn webp(bytes: &[u8]) -> usize {
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut frames = 0;
    while let Some((&[a, b, c, d, l0, l1, l2, l3], after)) = rest.split_first_chunk() {
        frames += usize::from(&[a, b, c, d] == b"ANMF");
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        // Chunks begin at even places.
        let next = length.saturating_add(length % 2);
        rest = after.get(next..).unwrap_or_default();
    }
    frames
}

/// What the control chunk says, which comes before the pixels.
fn png(bytes: &[u8]) -> usize {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((&[l0, l1, l2, l3, a, b, c, d], after)) = rest.split_first_chunk() {
        match (&[a, b, c, d], after.first_chunk()) {
            (b"acTL", Some(&count)) => return u32::from_be_bytes(count) as usize,
            (b"IDAT", _) => break,
            _ => {}
        }
        const CHECKSUM: usize = 4;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let next = length.saturating_add(CHECKSUM);
        rest = after.get(next..).unwrap_or_default();
    }
    1
}
