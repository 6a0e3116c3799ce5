//! What `image` does not do with TIFF: pages, channels beyond three, and values that are signed,
//! floating, or of more than 16 bits.

use super::levels::{Kind, Values};
use super::palette::Palette;
use super::reading::{Pages, Reading};
use super::{Decoded, expect_size};
use crate::channels::{MOST_CHANNELS, are_colours};
use crate::image::Pixels;
use std::io::Cursor;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{SampleFormat, Tag};

/// Pages that are counted; more are not told apart.
const MOST_PAGES: usize = 4096;

/// One page, its channels apart.
struct Page {
    width: usize,
    height: usize,
    channels: Vec<Vec<f32>>,
    eight_bits: bool,
    kind: Kind,
    mode: String,
    /// Channels that say how transparent a pixel is.
    transparent: usize,
    /// Whether it is known what the channels are.
    known: bool,
}

/// The number of pages; 1 where the file does not tell.
pub(super) fn pages(bytes: &[u8]) -> usize {
    let Ok(mut decoder) = Decoder::new(Cursor::new(bytes)) else {
        return 1;
    };
    let mut pages = 1;
    while pages < MOST_PAGES && decoder.more_images() && decoder.next_image().is_ok() {
        pages += 1;
    }
    pages
}

/// The image as `reading` has it, `None` where it is one that `image` reads.
pub(super) fn decode(
    bytes: &[u8],
    reading: &Reading,
    size: Option<usize>,
    count: usize,
) -> Result<Option<Decoded>, String> {
    if reading.pages == Pages::First
        && let Some(palette) = Palette::of(bytes)
    {
        return by_palette(&palette, reading, count).map(Some);
    }
    let mut decoder = open(bytes, reading)?;
    let of_colours = are_colours(reading.in_chans);
    let whole = |page: Page| {
        let channels = page.channels.len();
        if of_colours {
            as_it_is(page)
        } else {
            Ok((page, channels))
        }
    };
    let (page, channels) = match &reading.pages {
        Pages::First if of_colours && is_plain(&mut decoder)? => return Ok(None),
        Pages::First => whole(read(&mut decoder, reading)?)?,
        Pages::Pyramid => {
            seek_level(&mut decoder, count, size)?;
            whole(read(&mut decoder, reading)?)?
        }
        Pages::These(these) => {
            let page = planes(&mut decoder, reading, count, Some(these))?;
            (page, these.len())
        }
        Pages::Mean | Pages::Max => {
            let mut page = planes(&mut decoder, reading, count, None)?;
            let mean = reading.pages == Pages::Mean;
            page.channels = vec![together(&page.channels, mean)];
            (page, 1)
        }
    };
    finish(page, channels, reading, count).map(Some)
}

fn open<'a>(bytes: &'a [u8], reading: &Reading) -> Result<Decoder<Cursor<&'a [u8]>>, String> {
    let decoder = Decoder::new(Cursor::new(bytes)).map_err(undecodable)?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = reading.max_decoder_bytes() as usize;
    limits.intermediate_buffer_size = reading.max_decoder_bytes() as usize;
    Ok(decoder.with_limits(limits))
}

fn by_palette(palette: &Palette, reading: &Reading, count: usize) -> Result<Decoded, String> {
    let page = read(&mut open(&palette.places, reading)?, reading)?;
    let [places] = &page.channels[..] else {
        return Err("has a palette and several channels, expected one".into());
    };
    let rgb = palette.rgb(places);
    Ok(Decoded {
        pixels: Pixels::from_rgb(page.width, page.height, rgb),
        format: "TIFF",
        mode: "Palette(8)".into(),
        range: None,
        widest: None,
        turned: false,
        frames: count,
        patient: None,
    })
}

/// A page that is grey or coloured, without what is transparent. None of two or four channels that may
/// be anything is left out.
fn as_it_is(mut page: Page) -> Result<(Page, usize), String> {
    let all = page.channels.len();
    let channels = match (page.known, all.saturating_sub(page.transparent)) {
        (_, 1) => 1,
        (_, 3) | (true, 4) => 3,
        _ => {
            let whole = match all <= MOST_CHANNELS && !are_colours(all) {
                true => format!(", --in-chans {all} takes them all"),
                false => String::new(),
            };
            return Err(format!(
                "has {all} channels, expected grey, or red, green and blue (--pages 1,2,3, mean or max chooses{whole})"
            ));
        }
    };
    page.channels.truncate(channels);
    Ok((page, channels))
}

fn undecodable(error: tiff::TiffError) -> String {
    format!("cannot be decoded: {error}")
}

/// Whether the page is of 8 or 16 unsigned bits and of a colour that is known.
fn is_plain(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<bool, String> {
    let color = decoder.colortype().map_err(undecodable)?;
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat);
    let formats = formats.map_err(undecodable)?.unwrap_or_default();
    let unsigned = formats
        .iter()
        .all(|format| SampleFormat::from_u16(*format) == Some(SampleFormat::Uint));
    let known = !matches!(color, ColorType::Multiband { .. });
    Ok(unsigned && known && color.bit_depth() <= 16)
}

/// Goes to the smallest page that is at least as large as needed.
fn seek_level(
    decoder: &mut Decoder<Cursor<&[u8]>>,
    count: usize,
    size: Option<usize>,
) -> Result<(), String> {
    let mut best: Option<(u64, usize)> = None;
    let mut largest: Option<(u64, usize)> = None;
    for page in 0..count {
        decoder.seek_to_image(page).map_err(undecodable)?;
        let (width, height) = decoder.dimensions().map_err(undecodable)?;
        let place = (u64::from(width) * u64::from(height), page);
        largest = largest.max(Some(place));
        let enough = size.is_none_or(|size| u64::from(width.min(height)) >= size as u64);
        if enough && size.is_some() && best.is_none_or(|best| place.0 < best.0) {
            best = Some(place);
        }
    }
    let (_, page) = best.or(largest).ok_or("has no page")?;
    decoder.seek_to_image(page).map_err(undecodable)
}

/// The channels of all pages one after the other, or those of these places, from 1.
fn planes(
    decoder: &mut Decoder<Cursor<&[u8]>>,
    reading: &Reading,
    count: usize,
    these: Option<&[usize]>,
) -> Result<Page, String> {
    let mut all: Option<Page> = None;
    let mut before = 0;
    let mut kept: Vec<(usize, Vec<f32>)> = Vec::new();
    for page in 0..count {
        decoder.seek_to_image(page).map_err(undecodable)?;
        let samples = decoder.colortype().map_err(undecodable)?.num_samples();
        let places = before + 1..=before + usize::from(samples);
        before += usize::from(samples);
        let wanted = these.is_none_or(|these| these.iter().any(|place| places.contains(place)));
        if !wanted {
            continue;
        }
        let mut read = read(decoder, reading)?;
        let channels = std::mem::take(&mut read.channels);
        for (place, channel) in places.zip(channels) {
            if these.is_none_or(|these| these.contains(&place)) {
                kept.push((place, channel));
            }
        }
        let first = all.get_or_insert(read);
        let bytes = kept.len() as u64 * (first.width * first.height * 4) as u64;
        let most = 2 * reading.max_decoder_bytes();
        if bytes > most {
            return Err(format!("has pages of over {most} bytes together"));
        }
        if let Some((place, _)) = kept
            .iter()
            .find(|(_, channel)| channel.len() != first.width * first.height)
        {
            let (width, height) = (first.width, first.height);
            return Err(format!(
                "has a page or channel, {place}, of another size than {width}x{height} (--pages pyramid is \
                 for pages of one picture in several sizes)"
            ));
        }
    }
    let mut page =
        all.ok_or_else(|| format!("has {before} pages and channels, none as asked for"))?;
    page.channels = match these {
        None => kept.into_iter().map(|(_, channel)| channel).collect(),
        Some(these) => {
            let of = |place: &usize| {
                let channel = kept.iter().find(|(kept, _)| kept == place);
                channel
                    .map(|(_, channel)| channel.clone())
                    .ok_or_else(|| format!("has {before} pages and channels, no number {place}"))
            };
            these.iter().map(of).collect::<Result<_, _>>()?
        }
    };
    Ok(page)
}

fn together(channels: &[Vec<f32>], mean: bool) -> Vec<f32> {
    let area = channels.first().map_or(0, Vec::len);
    let value = |pixel: usize| {
        let values = channels.iter().map(|channel| channel[pixel]);
        if mean {
            let sum: f64 = values.map(f64::from).sum();
            (sum / channels.len() as f64) as f32
        } else {
            values.fold(f32::NEG_INFINITY, f32::max)
        }
    };
    (0..area).map(value).collect()
}

/// The page that the decoder is at.
fn read(decoder: &mut Decoder<Cursor<&[u8]>>, reading: &Reading) -> Result<Page, String> {
    let (width, height) = decoder.dimensions().map_err(undecodable)?;
    expect_size(width, height, reading.max_pixels())?;
    let color = decoder.colortype().map_err(undecodable)?;
    if let ColorType::Palette(_) | ColorType::Lab(_) | ColorType::CMYK(_) | ColorType::CMYKA(_) =
        color
    {
        return Err(format!(
            "has {color:?} pages, expected grey or coloured ones"
        ));
    }
    let mut result = DecodingResult::U8(Vec::new());
    let layout = decoder
        .read_image_to_buffer(&mut result)
        .map_err(undecodable)?;
    if ![8, 16, 32, 64].contains(&color.bit_depth()) {
        return Err(format!(
            "has {} bits a value, expected 8, 16 or 32",
            color.bit_depth()
        ));
    }
    let (values, kind): (Vec<f32>, Kind) = match result {
        DecodingResult::U8(v) => (v.into_iter().map(f32::from).collect(), Kind::Unsigned16),
        DecodingResult::U16(v) => (v.into_iter().map(f32::from).collect(), Kind::Unsigned16),
        DecodingResult::I8(v) => (
            v.into_iter().map(f32::from).collect(),
            Kind::Other("signed"),
        ),
        DecodingResult::I16(v) => (
            v.into_iter().map(f32::from).collect(),
            Kind::Other("signed"),
        ),
        DecodingResult::I32(v) => (
            v.into_iter().map(|v| v as f32).collect(),
            Kind::Other("signed"),
        ),
        DecodingResult::U32(v) => (
            v.into_iter().map(|v| v as f32).collect(),
            Kind::Other("32-bit"),
        ),
        DecodingResult::F16(v) => (
            v.into_iter().map(|v| v.to_f32()).collect(),
            Kind::Other("floating-point"),
        ),
        DecodingResult::F32(v) => (v, Kind::Other("floating-point")),
        DecodingResult::F64(v) => (
            v.into_iter().map(|v| v as f32).collect(),
            Kind::Other("floating-point"),
        ),
        DecodingResult::U64(_) | DecodingResult::I64(_) => {
            return Err("has whole numbers of 64 bits, expected at most 32".into());
        }
    };
    let (width, height) = (width as usize, height as usize);
    let (area, samples) = (width * height, usize::from(color.num_samples()));
    let channels = if layout.planes > 1 {
        values.chunks_exact(area).map(<[f32]>::to_vec).collect()
    } else {
        let channel = |place| {
            values
                .iter()
                .skip(place)
                .step_by(samples)
                .copied()
                .collect()
        };
        (0..samples).map(channel).collect::<Vec<Vec<f32>>>()
    };
    let eight_bits = color.bit_depth() == 8 && kind == Kind::Unsigned16;
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples);
    let extra = extra.map_err(undecodable)?.unwrap_or_default();
    Ok(Page {
        width,
        height,
        channels,
        eight_bits,
        kind,
        mode: format!("{color:?}"),
        // Multiplied with the colours, or not.
        transparent: extra.iter().filter(|kind| [1, 2].contains(*kind)).count(),
        known: !matches!(color, ColorType::Multiband { .. }),
    })
}

/// The channels as an image: 8 bits as they are, others by the levels.
fn finish(page: Page, channels: usize, reading: &Reading, count: usize) -> Result<Decoded, String> {
    let area = page.width * page.height;
    let mut data = Vec::with_capacity(area * channels);
    for pixel in 0..area {
        data.extend(page.channels.iter().map(|channel| channel[pixel]));
    }
    let (levels, range) = if page.eight_bits {
        let levels = data.iter().map(|v| v.round_ties_even() as u8);
        (levels.collect(), None)
    } else {
        let values = Values {
            data,
            kind: page.kind,
        };
        let made = values.to_levels(reading.levels)?;
        (made.levels, Some(made.range))
    };
    let (width, height) = (page.width, page.height);
    let pixels = match channels {
        1 => Pixels::from_grey(width, height, levels),
        many if !are_colours(reading.in_chans) => {
            Pixels::from_channels(width, height, many, levels)
        }
        2 => {
            let rgb = levels.as_chunks::<2>().0.iter();
            Pixels::from_rgb(width, height, rgb.flat_map(|[r, g]| [*r, *g, 0]).collect())
        }
        _ => Pixels::from_rgb(width, height, levels),
    };
    Ok(Decoded {
        pixels,
        format: "TIFF",
        mode: page.mode,
        range,
        widest: None,
        turned: false,
        frames: count,
        patient: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_channels_are_offered_only_where_a_network_may_have_as_many() {
        for (count, offered) in [(2, true), (13, true), (14, false)] {
            let page = Page {
                width: 1,
                height: 1,
                channels: vec![vec![0.0]; count],
                eight_bits: true,
                kind: Kind::Unsigned16,
                mode: String::new(),
                transparent: 0,
                known: false,
            };
            let said = as_it_is(page).err().unwrap_or_default();
            assert!(said.starts_with(&format!("has {count} channels")), "{said}");
            let offer = format!("--in-chans {count} takes them all");
            assert_eq!(said.contains(&offer), offered, "{said}");
        }
    }
}
