//! How the pixels of a file become 8 bits, where the file leaves that open.

use crate::channels::{COLOURS, MOST_CHANNELS, are_colours};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How images are read: chosen once for a data set, and the same for every image that is shown to
/// what was trained on it.
///
/// ```
/// use cass_data::image::{Levels, Reading};
/// let reading = Reading { levels: "bits:12".parse().unwrap(), ..Reading::default() };
/// assert_eq!(reading.levels, Levels::Bits(12));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// How more than 8 bits become 8.
    pub levels: Levels,
    /// Whether a picture is turned as its EXIF data say. PIL does not, and nor does this by default.
    pub exif: bool,
    /// Which pages and channels of a TIFF file are used.
    pub pages: Pages,
    /// Which of a DICOM file's frames is used.
    pub frame: Frame,
    /// Which of a DICOM file's windows is used, from 1.
    pub window_index: usize,
    /// The most pixels that an image may have, in millions; 0 is 100.
    pub max_megapixels: u64,
    /// Channels of the images that a network sees: 3 for colours, where grey is three equal ones; 1 for
    /// grey, which coloured images become; any other number for images that have as many.
    pub in_chans: usize,
}

impl Default for Reading {
    /// As images are read where nothing is said: the first of what there are several of, three channels.
    fn default() -> Self {
        Self {
            levels: Levels::default(),
            exif: false,
            pages: Pages::default(),
            frame: Frame::default(),
            window_index: 0,
            max_megapixels: 0,
            in_chans: COLOURS,
        }
    }
}

/// How grey levels of more than 8 bits become 8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Levels {
    /// The high byte of 16 bits; DICOM by its own window.
    #[default]
    HighByte,
    /// From an image's least value, black, to its greatest, white.
    MinMax,
    /// From one percentile of an image's values to another.
    Percentile(f64, f64),
    /// The high byte of so many bits, 8 to 16: of 12, from 0 to 4095.
    Bits(u8),
    /// Center and width, as DICOM's LINEAR function: of Hounsfield units, 40 and 400.
    Window(f64, f64),
}

/// Which pages of a TIFF file, or channels of its only page, are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pages {
    /// The first page, which has to be grey or coloured.
    #[default]
    First,
    /// One, as grey, or two or three, as red, green and blue; or as many as the network's images have
    /// channels, where that is another number; from 1.
    These(Vec<usize>),
    /// The mean of all, as grey.
    Mean,
    /// The greatest of all, as grey.
    Max,
    /// Of a pyramid, the smallest page that is at least as large as what is needed.
    Pyramid,
}

/// Which of several frames is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Frame {
    /// The first.
    #[default]
    First,
    /// The one in the middle; of an even number the later.
    Middle,
    /// This one, from 1.
    Number(usize),
    /// Every one: each is an image of its own.
    All,
}

impl Reading {
    /// Whether it is the default, by which images are read where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The most pixels that an image may have.
    pub(crate) fn max_pixels(&self) -> u64 {
        match self.max_megapixels {
            0 => super::MAX_PIXELS,
            millions => millions.saturating_mul(1_000_000),
        }
    }

    /// Whether this says which pages or frames of a format's files are used, and the first is not merely the default.
    pub(crate) fn chooses_of(&self, format: &str) -> bool {
        match format {
            "TIFF" => self.pages != Pages::First,
            "DICOM" => self.frame != Frame::First,
            _ => false,
        }
    }

    /// Larger files are refused unread.
    pub(crate) fn max_bytes(&self) -> u64 {
        match self.max_megapixels {
            0 => super::MAX_FILE_BYTES,
            _ => super::MAX_FILE_BYTES.max(3 * self.max_pixels()),
        }
    }

    /// What a decoder may allocate.
    pub(crate) fn max_decoder_bytes(&self) -> u64 {
        match self.max_megapixels {
            0 => super::MAX_DECODER_BYTES,
            _ => super::MAX_DECODER_BYTES.max(6 * self.max_pixels()),
        }
    }

    /// What tells images read so from images read otherwise.
    pub(crate) fn key(&self) -> String {
        format!("{self:?}")
    }

    /// Checks every number.
    ///
    /// # Errors
    /// Naming the first that cannot be, its value and what was expected.
    pub fn check(&self) -> Result<()> {
        // More would overflow what decoders count in.
        const MOST: u64 = 4000;
        if self.max_megapixels > MOST {
            return Err(Error::Setting {
                name: "max_megapixels",
                value: self.max_megapixels.to_string(),
                expected: "at most 4000",
            });
        }
        let is_colour = are_colours(self.in_chans);
        let (name, value, expected) = match &self.pages {
            _ if !(1..=MOST_CHANNELS).contains(&self.in_chans) => {
                ("in_chans", self.in_chans.to_string(), "1 to 13 channels")
            }
            Pages::These(these) if is_colour && these.len() > COLOURS => {
                let expected = "at most three, or in_chans with as many channels";
                ("pages", self.pages.to_string(), expected)
            }
            Pages::These(these) if !is_colour && these.len() != self.in_chans => {
                let expected = "as many as in_chans has channels";
                ("pages", self.pages.to_string(), expected)
            }
            Pages::Mean | Pages::Max if !is_colour => {
                let expected = "in_chans of 1 or 3: one grey channel is made";
                ("pages", self.pages.to_string(), expected)
            }
            _ => return Ok(()),
        };
        Err(Error::Setting {
            name,
            value,
            expected,
        })
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, numbers) = text.split_once(':').unwrap_or((text, ""));
        let numbers: Option<Vec<f64>> = match numbers {
            "" => Some(Vec::new()),
            numbers => numbers.split(',').map(|n| n.trim().parse().ok()).collect(),
        };
        let numbers = numbers.unwrap_or_default();
        Ok(match (name, &numbers[..]) {
            ("high-byte", []) => Self::HighByte,
            ("min-max", []) => Self::MinMax,
            ("percentile", &[low, high]) if (0.0..high).contains(&low) && high <= 100.0 => {
                Self::Percentile(low, high)
            }
            ("bits", &[bits]) if bits.fract() == 0.0 && (8.0..=16.0).contains(&bits) => {
                Self::Bits(bits as u8)
            }
            ("window", &[center, width]) if center.is_finite() && (1.0..1e9).contains(&width) => {
                Self::Window(center, width)
            }
            _ => {
                return Err(format!(
                    "{text:?}; expected high-byte, min-max, percentile:LOW,HIGH (as 0.5,99.5), \
                     bits:N (8 to 16) or window:CENTER,WIDTH (as 40,400)"
                ));
            }
        })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HighByte => f.write_str("high-byte"),
            Self::MinMax => f.write_str("min-max"),
            Self::Percentile(low, high) => write!(f, "percentile:{low},{high}"),
            Self::Bits(bits) => write!(f, "bits:{bits}"),
            Self::Window(center, width) => write!(f, "window:{center},{width}"),
        }
    }
}

impl FromStr for Pages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?}; expected first, mean, max, pyramid, or at most {MOST_CHANNELS} numbers from 1, as in 1,2,3"
            )
        };
        Ok(match text {
            "first" => Self::First,
            "mean" => Self::Mean,
            "max" => Self::Max,
            "pyramid" => Self::Pyramid,
            numbers => {
                let these: Option<Vec<usize>> =
                    numbers.split(',').map(|n| n.trim().parse().ok()).collect();
                let these =
                    these.filter(|t| (1..=MOST_CHANNELS).contains(&t.len()) && !t.contains(&0));
                Self::These(these.ok_or_else(wrong)?)
            }
        })
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
            Self::Pyramid => f.write_str("pyramid"),
            Self::These(these) => {
                let these: Vec<_> = these.iter().map(usize::to_string).collect();
                f.write_str(&these.join(","))
            }
        }
    }
}

impl FromStr for Frame {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        match (text, number) {
            ("first", _) => Ok(Self::First),
            ("middle", _) => Ok(Self::Middle),
            ("all", _) => Ok(Self::All),
            (_, Some(number)) => Ok(Self::Number(number)),
            _ => Err(format!(
                "{text:?}; expected first, middle, all or a number from 1"
            )),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Middle => f.write_str("middle"),
            Self::All => f.write_str("all"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// As text in a recipe.
macro_rules! as_text {
    ($($kind:ty)*) => {$(
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> Self {
                value.to_string()
            }
        }
    )*};
}
as_text!(Levels Pages Frame);

impl Frame {
    /// The place of the frame among `count`, from 0.
    pub(crate) fn of(self, count: usize) -> Result<usize, String> {
        match self {
            Self::First => Ok(0),
            Self::Middle => Ok(count / 2),
            Self::Number(number) if number <= count => Ok(number - 1),
            Self::Number(number) => Err(format!("has {count} frames, no frame {number}")),
            Self::All if count < 2 => Ok(0),
            // Taking one of them in silence would be worse.
            Self::All => Err(format!(
                "has {count} frames, expected one of them by its name, with #1 to #{count} at its end"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back() {
        for text in [
            "high-byte",
            "min-max",
            "percentile:0.5,99.5",
            "bits:12",
            "window:40,400",
            "window:-600,1500",
        ] {
            assert_eq!(text.parse::<Levels>().unwrap().to_string(), text);
        }
        for text in [
            "bits:7",
            "bits:17",
            "bits",
            "bits:x",
            "percentile:99,1",
            "percentile:0,101",
            "window:40",
            "window:40,0",
            "max",
        ] {
            let said = text.parse::<Levels>().unwrap_err();
            assert!(said.contains("expected high-byte"), "{said}");
        }
        for text in ["first", "mean", "max", "pyramid", "3", "1,2,3"] {
            assert_eq!(text.parse::<Pages>().unwrap().to_string(), text);
        }
        for text in ["0", "1,2,3,4,5,6,7,8,9,10,11,12,13,14", "", "all"] {
            assert!(text.parse::<Pages>().is_err(), "{text}");
        }
        for text in ["first", "middle", "all", "7"] {
            assert_eq!(text.parse::<Frame>().unwrap().to_string(), text);
        }
        assert!("0".parse::<Frame>().is_err());
    }
}
