//! Values of more than 8 bits to grey levels.

use super::reading::Levels;

/// The values of an image, channels interleaved, and what their type could hold.
pub(crate) struct Values {
    pub(crate) data: Vec<f32>,
    pub(crate) kind: Kind,
}

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From 0 to 65,535.
    Unsigned16,
    /// Signed, floating, or of more than 16 bits: there is no byte to take.
    Other(&'static str),
}

/// An image's levels, and how many of the 256 their range takes.
pub(crate) struct Made {
    pub(crate) levels: Vec<u8>,
    /// One more than the greatest level less the least.
    pub(crate) range: u16,
}

impl Values {
    /// The values as 8 bits, or why they cannot be.
    pub(crate) fn to_levels(&self, how: Levels) -> Result<Made, String> {
        let high_byte = |bits: u8| {
            let most = f32::from((u32::from(1u16) << bits).saturating_sub(1) as u16);
            let beyond = self.data.iter().find(|value| **value > most);
            match beyond {
                Some(value) => Err(format!(
                    "has a value of {value}, expected at most {most} of {bits} bits"
                )),
                None => Ok(self.map(|value| (value as u16 >> (bits - 8)) as u8)),
            }
        };
        let levels = match (how, self.kind) {
            (Levels::HighByte, Kind::Unsigned16) => high_byte(16)?,
            (Levels::Bits(bits), Kind::Unsigned16) => high_byte(bits)?,
            (Levels::HighByte | Levels::Bits(_), Kind::Other(kind)) => {
                return Err(format!(
                    "has {kind} pixels, which have no high byte; expected --levels min-max, percentile or window"
                ));
            }
            (Levels::MinMax, _) => self.between(self.least_and_most()),
            (Levels::Percentile(low, high), _) => self.between(self.percentiles(low, high)),
            (Levels::Window(center, width), _) => self.map(|value| {
                let share =
                    (f64::from(value) - (center - 0.5)) / (width - 1.0).max(f64::MIN_POSITIVE);
                level(share + 0.5)
            }),
        };
        let (least, most) = (levels.iter().min(), levels.iter().max());
        let range = match (least, most) {
            (Some(least), Some(most)) => u16::from(*most) - u16::from(*least) + 1,
            _ => 0,
        };
        Ok(Made { levels, range })
    }

    fn map(&self, level: impl Fn(f32) -> u8) -> Vec<u8> {
        self.data.iter().map(|&value| level(value)).collect()
    }

    /// From the first, black, to the second, white. An image of one value is black, and so is what is
    /// no number.
    fn between(&self, [low, high]: [f64; 2]) -> Vec<u8> {
        let range = if high > low {
            high - low
        } else {
            f64::INFINITY
        };
        self.map(|value| level((f64::from(value) - low) / range))
    }

    fn least_and_most(&self) -> [f64; 2] {
        let finite = self.data.iter().filter(|value| value.is_finite());
        let (least, most) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| {
            (a.min(v), b.max(v))
        });
        [least.into(), most.into()]
    }

    /// NumPy's percentiles, with a straight line between values.
    fn percentiles(&self, low: f64, high: f64) -> [f64; 2] {
        let finite = self.data.iter().copied().filter(|value| value.is_finite());
        let mut finite: Vec<f32> = finite.collect();
        if finite.is_empty() {
            return [0.0, 0.0];
        }
        [low, high].map(|percent| {
            let place = percent / 100.0 * (finite.len() - 1) as f64;
            let (below, share) = (place.floor() as usize, place.fract());
            let (_, &mut a, above) = finite.select_nth_unstable_by(below, f32::total_cmp);
            let b = above.iter().copied().min_by(f32::total_cmp).unwrap_or(a);
            f64::from(a) + (f64::from(b) - f64::from(a)) * share
        })
    }
}

/// A share of the range as a level, rounded as NumPy does it.
fn level(share: f64) -> u8 {
    (share.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8 // of NaN: 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data: &[f32], kind: Kind, how: &str) -> Result<Vec<u8>, String> {
        let data = data.to_vec();
        let made = Values { data, kind }.to_levels(how.parse().unwrap());
        made.map(|made| made.levels)
    }

    #[test]
    fn each_way_on_values_by_hand() {
        let data = [0.0, 1024.0, 4095.0];
        let u16 = |how| of(&data, Kind::Unsigned16, how).unwrap();
        assert_eq!(u16("high-byte"), [0, 4, 15]);
        assert_eq!(u16("bits:12"), [0, 64, 255]);
        assert_eq!(u16("min-max"), [0, 64, 255]);
        assert_eq!(u16("window:1024,2049"), [0, 128, 255]);
        assert_eq!(u16("percentile:0,50"), [0, 255, 255]);
        let said = of(&data, Kind::Unsigned16, "bits:11").unwrap_err();
        assert!(
            said.contains("4095, expected at most 2047 of 11 bits"),
            "{said}"
        );
        let hounsfield = [-1000.0, 40.0, 240.0, f32::NAN];
        let other = |how| of(&hounsfield, Kind::Other("floating-point"), how);
        assert_eq!(other("window:40,400").unwrap(), [0, 128, 255, 0]);
        assert_eq!(other("min-max").unwrap(), [0, 214, 255, 0]);
        assert!(
            other("high-byte")
                .unwrap_err()
                .contains("floating-point pixels")
        );
        assert_eq!(of(&[7.0; 3], Kind::Unsigned16, "min-max").unwrap(), [0; 3]);
    }
}
