use memmap2::Mmap;
use pulp::Arch;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// An 8-bit image, rows from the top, channels interleaved.
///
/// One channel stands for three equal ones: most of the brain MRIs are grey, in whatever mode their
/// files are, and every operation here keeps them so. Their results equal those of the RGB image
/// with equal channels, at a third of the memory and time. Any number of channels but one and three
/// is no colour: geometry, blur and solarisation act on each, brightness and contrast on all alike,
/// and saturation, hue and greyscale leave them as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) data: Bytes,
}

impl Pixels {
    /// An RGB image from `width * height * 3` bytes; kept as one channel if the three are equal
    /// everywhere.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn from_rgb(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height * 3, "{width}x{height} RGB");
        if Arch::new().dispatch(|| equal_channels(&data)) {
            let grey = data.iter().step_by(3).copied().collect();
            return Self::from_grey(width, height, grey);
        }
        Self {
            width,
            height,
            channels: 3,
            data: data.into(),
        }
    }

    /// A grey image from `width * height` bytes.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn from_grey(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height, "{width}x{height} grey");
        Self {
            width,
            height,
            channels: 1,
            data: data.into(),
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Channels: 1 where one stands for three equal ones.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `width * height * channels` bytes, the channels of a pixel next to each other.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Whether there is one channel.
    pub fn is_grey(&self) -> bool {
        self.channels == 1
    }

    /// `width * height * 3` bytes to look at, whatever is stored: of many channels the first three, two
    /// as red and green.
    pub fn to_rgb(&self) -> Vec<u8> {
        match self.channels {
            1 => self.data.iter().flat_map(|&v| [v; 3]).collect(),
            2 => self
                .data
                .as_chunks()
                .0
                .iter()
                .flat_map(|&[r, g]| [r, g, 0])
                .collect(),
            3 => self.data.to_vec(),
            many => self
                .data
                .chunks_exact(many)
                .flat_map(|p| [p[0], p[1], p[2]])
                .collect(),
        }
    }
}

/// Whether red, green and blue are the same in every pixel.
#[inline(always)]
fn equal_channels(data: &[u8]) -> bool {
    // Each byte against the next, but for every third, in steps that vectors are made of.
    const STEP: usize = 48;
    let mut at = 0;
    while let Some(step) = data.get(at..=at + STEP) {
        let mut differs = 0;
        for i in 0..STEP {
            differs |= if i % 3 < 2 { step[i] ^ step[i + 1] } else { 0 };
        }
        if differs != 0 {
            return false;
        }
        at += STEP;
    }
    let rest = data[at..].as_chunks::<3>().0;
    rest.iter().all(|[r, g, b]| r == g && g == b)
}

/// Bytes in memory or in a mapped file. Changing mapped ones copies them first.
pub(crate) enum Bytes {
    Owned(Vec<u8>),
    /// From this place on, so many.
    Mapped(Mmap, usize, usize),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map, from, length) => map.get(*from..from + length).unwrap_or_default(),
        }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        if let Self::Mapped(..) = self {
            *self = self.clone();
        }
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(..) => &mut [], // no longer
        }
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Self {
        Self::Owned(self.to_vec())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_coloured_pixel_makes_an_image_coloured() {
        for width in [1, 5, 15, 16, 17, 33, 50] {
            let grey: Vec<u8> = (0..width * 2).map(|v| (v * 37) as u8).collect();
            let rgb: Vec<u8> = grey.iter().flat_map(|&v| [v; 3]).collect();
            let image = Pixels::from_rgb(width, 2, rgb.clone());
            assert!(image.is_grey());
            assert_eq!(image.to_rgb(), rgb);
            for place in 0..rgb.len() {
                let mut coloured = rgb.clone();
                coloured[place] ^= 1;
                let image = Pixels::from_rgb(width, 2, coloured.clone());
                assert!(!image.is_grey(), "{width}, byte {place}");
                assert_eq!(image.to_rgb(), coloured);
            }
        }
    }
}
