//! From stored values to grey levels: modality transform, window, inversion.

use super::colour::mapped_first;
use super::elements::{
    BITS_STORED, CENTER, Elements, FUNCTION, INTERCEPT, LUT_DATA, LUT_DESCRIPTOR, MODALITY_LUT,
    PADDING, PADDING_LIMIT, SIGNED, SLOPE, VOI_LUT, WIDTH,
};
use crate::decode::{Kind, Values};
use crate::image::{Levels, Reading};
use dicom_core::Tag;

/// How stored values become grey levels (DICOM PS3.3, C.11).
pub(super) struct Transform {
    pub(super) bits_stored: u16,
    signed: bool,
    slope: f64,
    intercept: f64,
    modality: Option<Table>,
    window: Option<Window>,
    /// Of values of interest, where there is no window.
    interest: Option<Table>,
    /// Stored values that are no part of the picture, from one to another.
    padding: Option<[f64; 2]>,
    inverted: bool,
}

/// A look-up table (DICOM PS3.3, C.11.1 and C.11.2).
struct Table {
    first: i32,
    values: Vec<u16>,
    bits: u16,
}

struct Window {
    center: f64,
    width: f64,
    function: Function,
}

enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Transform {
    pub(super) fn of(
        elements: &Elements,
        bits_allocated: u16,
        inverted: bool,
        reading: &Reading,
    ) -> Result<Self, String> {
        let bits_stored = elements.number(BITS_STORED, "bits stored")?;
        let bits_stored = bits_stored.unwrap_or(bits_allocated);
        if !(1..=bits_allocated).contains(&bits_stored) {
            return Err(format!(
                "has {bits_stored} bits stored of {bits_allocated} allocated"
            ));
        }
        let signed = elements.number(SIGNED, "pixel representation")? == Some(1);
        let window = match reading.levels {
            Levels::HighByte => Window::of(elements, reading.window_index)?,
            _ => None, // nor can it be wrong
        };
        let modality = Table::of(elements, MODALITY_LUT, signed)?;
        let interest = match (&window, reading.levels) {
            (None, Levels::HighByte) => Table::of(elements, VOI_LUT, signed && modality.is_none())?,
            // A window goes first, as pydicom would not have it, but as it was before tables were read.
            _ => None,
        };
        let slope = elements.decimal(SLOPE, "rescale slope")?;
        let intercept = elements.decimal(INTERCEPT, "rescale intercept")?;
        Ok(Self {
            bits_stored,
            padding: padding(elements, bits_stored, signed)?,
            signed,
            modality,
            interest,
            slope: slope.unwrap_or(1.0),
            intercept: intercept.unwrap_or(0.0),
            window,
            inverted,
        })
    }

    /// The frame's grey levels: in the window; without one, of 8 unsigned bits as they are, and of
    /// others from the frame's least to its greatest value.
    pub(super) fn apply(&self, frame: &[u16], levels: Levels) -> Result<Vec<u8>, String> {
        let all = 1usize << self.bits_stored;
        let mask = (all - 1) as u16;
        let values: Vec<f64> = (0..all)
            .map(|stored| self.modality(stored as u16))
            .collect();
        let padded = |stored: u16| {
            let value = self.stored(stored);
            let range = self.padding;
            range.is_some_and(|[least, most]| (least..=most).contains(&value))
        };
        if levels != Levels::HighByte {
            let value = |&v: &u16| {
                let stored = v & mask;
                if padded(stored) {
                    return f32::NAN;
                }
                values[usize::from(stored)] as f32
            };
            let data: Vec<f32> = frame.iter().map(value).collect();
            let kind = if data
                .iter()
                .all(|value| *value >= 0.0 && value.fract() == 0.0)
            {
                Kind::Unsigned16
            } else {
                Kind::Other("rescaled")
            };
            let mut made = Values { data, kind }.to_levels(levels)?.levels;
            if self.inverted {
                made.iter_mut().for_each(|level| *level = 255 - *level);
            }
            return Ok(made);
        }
        let as_is =
            self.bits_stored == 8 && !self.signed && self.slope == 1.0 && self.modality.is_none();
        let share: Box<dyn Fn(f64) -> f64> = match &self.window {
            Some(window) => Box::new(|value| window.share(value)),
            None if self.interest.is_some() => Box::new(|value| {
                let table = self.interest.as_ref();
                table.map_or(0.0, |t| t.at(value) / f64::from(t.most()))
            }),
            None if as_is => Box::new(|value| (value - self.intercept) / 255.0),
            None => {
                let of_frame = || {
                    let stored = frame.iter().map(|&v| v & mask);
                    let shown = stored.filter(|&stored| !padded(stored));
                    shown.map(|stored| values[usize::from(stored)])
                };
                let (least, most) = (
                    of_frame().fold(f64::INFINITY, f64::min),
                    of_frame().fold(f64::NEG_INFINITY, f64::max),
                );
                // A frame of one value is black.
                let range = if most > least { most - least } else { 1.0 };
                Box::new(move |value| (value - least) / range)
            }
        };
        let level = |&value: &f64| {
            let level = (share(value).clamp(0.0, 1.0) * 255.0).round() as u8;
            if self.inverted { 255 - level } else { level }
        };
        let table: Vec<u8> = values.iter().map(level).collect();
        let levels = frame.iter().map(|&v| table[usize::from(v & mask)]);
        Ok(levels.collect())
    }

    /// The rescaled value of stored bits.
    fn modality(&self, stored: u16) -> f64 {
        let value = self.stored(stored);
        match &self.modality {
            Some(table) => table.at(value),
            None => value * self.slope + self.intercept,
        }
    }

    /// The number that these bits are.
    fn stored(&self, stored: u16) -> f64 {
        number(stored, self.bits_stored, self.signed)
    }
}

fn number(stored: u16, bits: u16, signed: bool) -> f64 {
    let unused = 16 - bits;
    if signed {
        f64::from((stored << unused) as i16 >> unused)
    } else {
        f64::from(stored)
    }
}

/// The stored values that are no part of the picture.
fn padding(elements: &Elements, bits: u16, signed: bool) -> Result<Option<[f64; 2]>, String> {
    let value = |tag, name| -> Result<Option<f64>, String> {
        let word = elements.number(tag, name)?;
        // Written in 16 bits, whatever is stored.
        let all = u16::MAX >> (16 - bits);
        Ok(word.map(|word| number(word & all, bits, signed)))
    };
    let Some(one) = value(PADDING, "pixel padding value")? else {
        return Ok(None);
    };
    let limit = value(PADDING_LIMIT, "pixel padding range limit")?.unwrap_or(one);
    Ok(Some([one.min(limit), one.max(limit)]))
}

impl Table {
    /// The first table of a sequence, where there is one.
    fn of(elements: &Elements, sequence: Tag, signed: bool) -> Result<Option<Self>, String> {
        if !elements.has(sequence) {
            return Ok(None);
        }
        let descriptor = elements.table(sequence, LUT_DESCRIPTOR).unwrap_or_default();
        let mut data = elements.table(sequence, LUT_DATA).unwrap_or_default();
        let &[entries, first, bits] = &descriptor[..] else {
            return Err("has a LUT without a descriptor of three numbers".into());
        };
        let entries = if entries == 0 {
            1 << 16
        } else {
            usize::from(entries)
        };
        if bits <= 8 && data.len() < entries {
            // Two entries to a word.
            data = data
                .iter()
                .flat_map(|word| [word & 0xFF, word >> 8])
                .collect();
        }
        if data.len() < entries || !(1..=16).contains(&bits) {
            let found = data.len();
            return Err(format!(
                "has a LUT of {found} entries of {bits} bits, expected {entries} of 1 to 16"
            ));
        }
        Ok(Some(Self {
            first: mapped_first(first, signed),
            values: data[..entries].to_vec(),
            bits,
        }))
    }

    /// The entry of a value; beyond the ends theirs.
    fn at(&self, value: f64) -> f64 {
        let place = (value - f64::from(self.first)).clamp(0.0, (self.values.len() - 1) as f64);
        f64::from(self.values[place as usize])
    }

    fn most(&self) -> u16 {
        u16::MAX >> (16 - self.bits)
    }
}

impl Window {
    /// The window of this number, from 1; of 0 the first.
    fn of(elements: &Elements, index: usize) -> Result<Option<Self>, String> {
        let place = index.saturating_sub(1);
        let center = elements.decimal_at(CENTER, "window center", place)?;
        let width = elements.decimal_at(WIDTH, "window width", place)?;
        if index > 1 && width.is_none() {
            return Err(format!("has no window {index}"));
        }
        let (Some(center), Some(width)) = (center, width) else {
            return Ok(None);
        };
        let function = match elements.text(FUNCTION).as_deref() {
            None | Some("" | "LINEAR") => Function::Linear,
            Some("LINEAR_EXACT") => Function::LinearExact,
            Some("SIGMOID") => Function::Sigmoid,
            Some(other) => {
                return Err(format!(
                    "has VOI LUT function {other:?}, expected LINEAR, LINEAR_EXACT or SIGMOID"
                ));
            }
        };
        let (least, fits) = match function {
            Function::Linear => ("at least 1", width >= 1.0),
            _ => ("above 0", width > 0.0),
        };
        if !fits {
            return Err(format!(
                "has window width {width}, expected {least} (--levels min-max does without)"
            ));
        }
        Ok(Some(Self {
            center,
            width,
            function,
        }))
    }

    /// Where in the range from black, 0, to white, 1; beyond it where outside of the window.
    fn share(&self, value: f64) -> f64 {
        let Self { center, width, .. } = *self;
        match self.function {
            Function::Linear if width == 1.0 => f64::from(u8::from(value > center - 0.5)),
            Function::Linear => (value - (center - 0.5)) / (width - 1.0) + 0.5,
            Function::LinearExact => (value - center) / width + 0.5,
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
        }
    }
}
