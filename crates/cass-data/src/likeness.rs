//! Pictures that are nearly the same: resized, or compressed again.

use crate::image::Pixels;
use std::collections::HashMap;

/// Side of the thumbnails that pictures are compared by: their differences from one pixel to the next are the
/// picture's perceptual hash.
const SIDE: usize = 17;
/// Grey levels of a thumbnail.
pub(crate) const PIXELS: usize = SIDE * SIDE;
/// Differing bits of 272 up to which two pictures may be one.
const MAX_BITS: u32 = 12;
/// Mean difference of their thumbnails, in grey levels, up to which they are.
const MAX_MEAN: f64 = 2.5;

/// What a picture is recognised by, whatever its size and format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Likeness {
    hash: [u64; 5],
    thumbnail: Box<[u8; PIXELS]>,
}

/// What images are recognised by, for each file's SHA-256.
pub(crate) type Likenesses = HashMap<[u8; 32], Likeness>;

impl Likeness {
    pub(crate) fn of(pixels: &Pixels) -> Self {
        let small = pixels.resize(SIDE);
        let mut thumbnail = [0; PIXELS];
        if small.is_grey() {
            thumbnail.copy_from_slice(&small.data);
        } else {
            let channels = small.channels;
            for (grey, pixel) in thumbnail.iter_mut().zip(small.data.chunks_exact(channels)) {
                *grey = (pixel.iter().map(|&v| usize::from(v)).sum::<usize>() / channels) as u8;
            }
        }
        Self::of_thumbnail(thumbnail)
    }

    pub(crate) fn of_thumbnail(thumbnail: [u8; PIXELS]) -> Self {
        // Whether each pixel is brighter than its left neighbour: a difference hash.
        let mut hash = [0; 5];
        let rows = thumbnail.chunks_exact(SIDE);
        let brighter = rows.flat_map(|row| row.windows(2).map(|pair| pair[1] > pair[0]));
        for (place, brighter) in brighter.enumerate() {
            hash[place / 64] |= u64::from(brighter) << (place % 64);
        }
        Self {
            hash,
            thumbnail: Box::new(thumbnail),
        }
    }

    /// Grey levels, row by row.
    pub(crate) fn thumbnail(&self) -> &[u8; PIXELS] {
        &self.thumbnail
    }

    /// Whether there is nothing to be recognised by: all pictures of one colour would be the same.
    pub(crate) fn is_blank(&self) -> bool {
        self.thumbnail.iter().all(|&v| v == self.thumbnail[0])
    }

    /// The mean difference in grey levels of two pictures that are nearly the same; `None` of others.
    pub(crate) fn difference(&self, other: &Self) -> Option<f64> {
        let pairs = self.hash.iter().zip(&other.hash);
        let bits: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        if bits > MAX_BITS {
            return None;
        }
        let pairs = self.thumbnail.iter().zip(other.thumbnail.iter());
        let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = f64::from(sum) / PIXELS as f64;
        (mean <= MAX_MEAN && !self.is_blank() && !other.is_blank()).then_some(mean)
    }
}
