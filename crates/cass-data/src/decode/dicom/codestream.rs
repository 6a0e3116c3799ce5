//! What a JPEG 2000 codestream says of itself, looked at before it is decoded: its decoder allocates by it.

use super::stored::Frame;

const SIZE: u8 = 0x51;
const CODING: u8 = 0x52;
const CODING_OF_ONE: u8 = 0x53;
const TILE_PART: u8 = 0x90;
const DATA: u8 = 0x93;
const END: u8 = 0xD9;

/// What the decoder is taken to need for each value of a picture, in bytes: one measurement found about 20.
const BYTES_A_VALUE: u64 = 24;
/// Each tile costs memory before there is anything in it.
const MAX_TILES: u64 = 4096;
/// The logarithms of the least sides of code-blocks and precincts, of which there are as many as the sides
/// are small. Encoders write 64 and 32, and 128 or more.
const LEAST_BLOCK: u8 = 4;
const LEAST_PRECINCT: u8 = 5;

/// Says whether a codestream is of the frame's size, and in parts that are not too small; and whether its
/// values are signed. `most` is what the decoder may allocate.
pub(super) fn expect_bounded(stream: &[u8], frame: Frame, most: u64) -> Result<bool, String> {
    let mut signed = None;
    let mut part_end = None;
    let mut at = 2; // behind the start
    while let Some(&[start, marker]) = stream.get(at..).and_then(<[u8]>::first_chunk) {
        match (start, marker) {
            (0xFF, DATA) => match part_end.take() {
                Some(end) if end > at => {
                    at = end;
                    continue;
                }
                _ => break, // to the end
            },
            (0xFF, END) => break,
            (0xFF, _) => {}
            _ => return Err(format!("a marker is missing at byte {at}")),
        }
        let length = stream.get(at + 2..).and_then(<[u8]>::first_chunk);
        let length = length.map_or(0, |&length| usize::from(u16::from_be_bytes(length)));
        let segment = stream.get(at + 4..at + 2 + length);
        let segment = segment.ok_or_else(|| format!("it is damaged at byte {at}"))?;
        match marker {
            SIZE if signed.is_some() => return Err("it has two sizes".into()),
            SIZE => signed = Some(expect_size(segment, frame, most)?),
            CODING => expect_blocks(segment.first(), segment.get(5..))?,
            // Of up to 256 components.
            CODING_OF_ONE => expect_blocks(segment.get(1), segment.get(2..))?,
            TILE_PART => {
                part_end = number(segment, 2)
                    .filter(|n| *n > 0)
                    .map(|n| at + n as usize)
            }
            _ => {}
        }
        at += 2 + length;
    }
    signed.ok_or_else(|| "it has no size".into())
}

/// A number of 32 bits.
fn number(segment: &[u8], at: usize) -> Option<u32> {
    let bytes = segment.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

fn expect_size(segment: &[u8], frame: Frame, most: u64) -> Result<bool, String> {
    let side = |at: usize| {
        number(segment, at)
            .map(u64::from)
            .ok_or("its size is cut off")
    };
    let [end_x, end_y, x, y] = [side(2)?, side(6)?, side(10)?, side(14)?];
    let [tile_width, tile_height, tiles_x, tiles_y] = [side(18)?, side(22)?, side(26)?, side(30)?];
    let (width, height) = (end_x.saturating_sub(x), end_y.saturating_sub(y));
    if (width, height) != (frame.width as u64, frame.height as u64) {
        let Frame {
            width: w,
            height: h,
            ..
        } = frame;
        return Err(format!("it is of {width}x{height}, expected {w}x{h}"));
    }
    let along = |end: u64, from: u64, side: u64| end.saturating_sub(from).div_ceil(side.max(1));
    let tiles =
        along(end_x, tiles_x, tile_width).saturating_mul(along(end_y, tiles_y, tile_height));
    if tiles > MAX_TILES {
        return Err(format!(
            "it has {tiles} tiles, expected at most {MAX_TILES}"
        ));
    }
    let components = segment.get(36..).unwrap_or_default().as_chunks::<3>().0;
    let Some(&[first, ..]) = components
        .first()
        .filter(|_| components.len() == frame.samples)
    else {
        let (found, expected) = (components.len(), frame.samples);
        return Err(format!("it has {found} components, expected {expected}"));
    };
    const SIGN: u8 = 0x80;
    if components.iter().any(|c| *c != [first, 1, 1]) || first & !SIGN >= 16 {
        return Err("its components differ, or have over 16 bits".into());
    }
    let values = width * height * frame.samples as u64;
    if values * BYTES_A_VALUE > most {
        let most = most / BYTES_A_VALUE;
        return Err(format!(
            "it has {values} values, expected at most {most} (--max-megapixels raises this)"
        ));
    }
    Ok(first & SIGN != 0)
}

/// `style` says whether there are precincts behind the five bytes of `coding`.
fn expect_blocks(style: Option<&u8>, coding: Option<&[u8]>) -> Result<(), String> {
    let (Some(style), Some(&[_, width, height, _, _, ref precincts @ ..])) = (style, coding) else {
        return Err("its coding style is cut off".into());
    };
    if [width, height]
        .iter()
        .any(|side| (side & 15) + 2 < LEAST_BLOCK)
    {
        return Err(format!(
            "its code-blocks are narrower than {}",
            1 << LEAST_BLOCK
        ));
    }
    let narrow = |side: u8| side < LEAST_PRECINCT;
    if style & 1 != 0
        && precincts
            .iter()
            .any(|sides| narrow(sides & 15) || narrow(sides >> 4))
    {
        return Err(format!(
            "its precincts are narrower than {}",
            1 << LEAST_PRECINCT
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a codestream of one component of 8 bits, in square tiles.
    fn stream(side: u32, tile: u32) -> Vec<u8> {
        let mut stream = vec![0xFF, 0x4F, 0xFF, SIZE, 0, 41, 0, 0];
        for number in [side, side, 0, 0, tile, tile, 0, 0] {
            stream.extend(number.to_be_bytes());
        }
        stream.extend([0, 1, 7, 1, 1]);
        stream
    }

    #[test]
    fn tiles_and_values_are_bounded_before_anything_is_allocated() {
        let frame = |side: usize| Frame {
            width: side,
            height: side,
            bits_allocated: 8,
            samples: 1,
            subsampled: false,
            frames: 1,
            which: 0,
        };
        let bounded = |side: u32, tile: u32| {
            expect_bounded(&stream(side, tile), frame(side as usize), 1 << 30)
        };
        assert_eq!(bounded(4000, 256), Ok(false));
        assert_eq!(bounded(6400, 6400), Ok(false));
        for (side, tile, said) in [
            (4000, 1, "has 16000000 tiles, expected at most 4096"),
            (4000, 0, "has 16000000 tiles"),
            (9000, 9000, "has 81000000 values, expected at most 44739242"),
        ] {
            let error = bounded(side, tile).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let whole = stream(64, 64);
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(expect_bounded(cut, frame(64), 1 << 30).is_err(), "{length}");
        }
    }
}
