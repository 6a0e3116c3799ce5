//! Stored values of colours to red, green and blue.

use super::elements::{Elements, PALETTE_DESCRIPTORS, PALETTES, SIGNED};
use super::stored::Frame;

/// How colours are stored (DICOM PS3.3, C.7.6.3.1.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Rgb,
    /// Luminance and two chrominances, of every pixel.
    Ybr,
    /// The same, of which two pixels share the chrominances where they are not compressed.
    Ybr422,
    /// Places in three tables.
    Palette,
}

impl Colour {
    /// By the photometric interpretation; `None` where it is monochrome or unknown.
    pub(super) fn of(photometric: &str) -> Option<Self> {
        Some(match photometric {
            // The latter two are JPEG 2000's own, of which it makes the former.
            "RGB" | "YBR_RCT" | "YBR_ICT" => Self::Rgb,
            "YBR_FULL" => Self::Ybr,
            "YBR_FULL_422" => Self::Ybr422,
            "PALETTE COLOR" => Self::Palette,
            _ => return None,
        })
    }

    pub(super) fn samples(self) -> usize {
        if self == Self::Palette { 1 } else { 3 }
    }
}

/// Interleaved bytes of a frame's stored values.
pub(super) fn rgb(
    colour: Colour,
    elements: &Elements,
    frame: Frame,
    values: &[u16],
    planes: bool,
) -> Result<Vec<u8>, String> {
    let area = frame.area();
    let byte = |place: usize| values.get(place).map_or(0, |&value| value as u8);
    let mut rgb = Vec::with_capacity(3 * area);
    match colour {
        Colour::Palette => {
            let table = Palette::of(elements)?;
            values.iter().for_each(|&value| rgb.extend(table.at(value)));
        }
        // Y Y Cb Cr; of run-length coded planes there are three whole ones.
        Colour::Ybr422 if frame.subsampled => {
            for pixel in 0..area {
                let pair = pixel / 2 * 4;
                let ybr = [pair + pixel % 2, pair + 2, pair + 3].map(byte);
                rgb.extend(from_ybr(ybr));
            }
        }
        _ => {
            for pixel in 0..area {
                let place = |sample: usize| {
                    if planes {
                        sample * area + pixel
                    } else {
                        3 * pixel + sample
                    }
                };
                let samples = [0, 1, 2].map(|sample| byte(place(sample)));
                rgb.extend(match colour {
                    Colour::Rgb => samples,
                    _ => from_ybr(samples),
                });
            }
        }
    }
    Ok(rgb)
}

/// The inverse of DICOM PS3.3's C.7.6.3.1.2, rounded as pydicom does it.
fn from_ybr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0];
    let rgb = [
        y + 1.402 * cr,
        y - (0.114 * 1.772 / 0.587) * cb - (0.299 * 1.402 / 0.587) * cr,
        y + 1.772 * cb,
    ];
    rgb.map(|value| (value + 0.5).floor().clamp(0.0, 255.0) as u8)
}

/// Three tables of colours.
struct Palette {
    first: i32,
    signed: bool,
    tables: [Vec<u8>; 3],
}

impl Palette {
    fn of(elements: &Elements) -> Result<Self, String> {
        let mut first = 0;
        let mut tables = [const { Vec::new() }; 3];
        let signed = elements.number(SIGNED, "pixel representation")? == Some(1);
        for (place, table) in tables.iter_mut().enumerate() {
            let descriptor = elements.words(PALETTE_DESCRIPTORS[place]);
            let descriptor = descriptor.unwrap_or_default();
            let &[entries, start, bits] = &descriptor[..] else {
                return Err("has a palette without a descriptor of three numbers".into());
            };
            first = mapped_first(start, signed);
            let entries = if entries == 0 {
                1 << 16
            } else {
                usize::from(entries)
            };
            let data = elements.bytes(PALETTES[place]).unwrap_or_default();
            *table = if bits == 8 && data.len() < 2 * entries {
                data.get(..entries).map(<[u8]>::to_vec)
            } else {
                let words = elements.words(PALETTES[place]).unwrap_or_default();
                let shift = if bits == 8 { 0 } else { 8 };
                let words = words.get(..entries);
                words.map(|words| words.iter().map(|word| (word >> shift) as u8).collect())
            }
            .ok_or_else(|| format!("has a palette of under {entries} entries"))?;
        }
        Ok(Self {
            first,
            signed,
            tables,
        })
    }

    /// The colour of a stored value; beyond the ends of the tables theirs.
    fn at(&self, value: u16) -> [u8; 3] {
        let value = if self.signed {
            i32::from(value as i16)
        } else {
            i32::from(value)
        };
        let place = (value - self.first).max(0) as usize;
        [0, 1, 2].map(|c| {
            let table = &self.tables[c];
            table
                .get(place.min(table.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0)
        })
    }
}

/// The first stored value that a table is for.
pub(super) fn mapped_first(word: u16, signed: bool) -> i32 {
    if signed {
        i32::from(word as i16)
    } else {
        i32::from(word)
    }
}
