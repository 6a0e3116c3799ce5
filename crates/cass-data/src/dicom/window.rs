//! From stored values to grey levels: modality transform, window, inversion.

use super::elements::{
    BITS_STORED, CENTER, Elements, FUNCTION, INTERCEPT, MODALITY_LUT, SIGNED, SLOPE, VOI_LUT, WIDTH,
};

/// How stored values become grey levels (DICOM PS3.3, C.11).
pub(super) struct Transform {
    pub(super) bits_stored: u16,
    signed: bool,
    slope: f64,
    intercept: f64,
    window: Option<Window>,
    inverted: bool,
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
    ) -> Result<Self, String> {
        let bits_stored = elements.number(BITS_STORED, "bits stored")?;
        let bits_stored = bits_stored.unwrap_or(bits_allocated);
        if !(1..=bits_allocated).contains(&bits_stored) {
            return Err(format!(
                "has {bits_stored} bits stored of {bits_allocated} allocated"
            ));
        }
        if elements.has(MODALITY_LUT) {
            return Err("has a modality LUT, expected rescale slope and intercept".into());
        }
        let window = Window::of(elements)?;
        if window.is_none() && elements.has(VOI_LUT) {
            return Err("has a VOI LUT, expected window center and width".into());
        }
        let slope = elements.decimal(SLOPE, "rescale slope")?;
        let intercept = elements.decimal(INTERCEPT, "rescale intercept")?;
        Ok(Self {
            bits_stored,
            signed: elements.number(SIGNED, "pixel representation")? == Some(1),
            slope: slope.unwrap_or(1.0),
            intercept: intercept.unwrap_or(0.0),
            window,
            inverted,
        })
    }

    /// The frame's grey levels: in the window; without one, of 8 unsigned bits as they are, and of
    /// others from the frame's least to its greatest value.
    pub(super) fn apply(&self, frame: &[u16]) -> Vec<u8> {
        let all = 1usize << self.bits_stored;
        let mask = (all - 1) as u16;
        let values: Vec<f64> = (0..all)
            .map(|stored| self.modality(stored as u16))
            .collect();
        let as_is = self.bits_stored == 8 && !self.signed && self.slope == 1.0;
        let share: Box<dyn Fn(f64) -> f64> = match &self.window {
            Some(window) => Box::new(|value| window.share(value)),
            None if as_is => Box::new(|value| (value - self.intercept) / 255.0),
            None => {
                let of_frame = || frame.iter().map(|&v| values[usize::from(v & mask)]);
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
        levels.collect()
    }

    /// The rescaled value of stored bits.
    fn modality(&self, stored: u16) -> f64 {
        let unused = 16 - self.bits_stored;
        let value = if self.signed {
            f64::from((stored << unused) as i16 >> unused)
        } else {
            f64::from(stored)
        };
        value * self.slope + self.intercept
    }
}

impl Window {
    /// The first of the windows.
    fn of(elements: &Elements) -> Result<Option<Self>, String> {
        let center = elements.decimal(CENTER, "window center")?;
        let width = elements.decimal(WIDTH, "window width")?;
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
            return Err(format!("has window width {width}, expected {least}"));
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
