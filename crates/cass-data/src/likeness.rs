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

    /// One bit of the hash in [`PARTS`], from all over the picture.
    fn part(&self, part: usize) -> u32 {
        let bits = (part..SIDE * (SIDE - 1)).step_by(PARTS);
        bits.fold(0, |all, bit| {
            all << 1 | (self.hash[bit / 64] >> (bit % 64) & 1) as u32
        })
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

/// Parts that hashes are looked up by, one more than bits that may differ: two pictures that are nearly the same agree in
/// one part at least.
const PARTS: usize = MAX_BITS as usize + 1;

/// Finds those that are nearly the same as one, among many, without comparing it with each.
pub(crate) struct Gallery<'a> {
    pictures: Vec<&'a Likeness>,
    /// Of each part of the hash: whose it is.
    by_part: [HashMap<u32, Vec<u32>>; PARTS],
}

impl<'a> Gallery<'a> {
    pub(crate) fn of(pictures: Vec<&'a Likeness>) -> Self {
        let by_part = std::array::from_fn(|part| {
            let mut places: HashMap<u32, Vec<u32>> = HashMap::new();
            let pictures = pictures.iter().zip(0..);
            for (picture, at) in pictures.filter(|(picture, _)| !picture.is_blank()) {
                places.entry(picture.part(part)).or_default().push(at);
            }
            places
        });
        Self { pictures, by_part }
    }

    /// Numbers below `end` of the pictures that are nearly the same as this one, in order, and how much they differ.
    pub(crate) fn near(&self, own: &Likeness, end: usize) -> Vec<(usize, f64)> {
        let parts = self.by_part.iter().enumerate();
        let found = parts.filter_map(|(part, places)| places.get(&own.part(part)));
        let mut found: Vec<usize> = found
            .flat_map(|places| {
                places
                    .iter()
                    .map(|&at| at as usize)
                    .take_while(|&at| at < end)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        let with_difference = |at: usize| Some((at, own.difference(self.pictures[at])?));
        found.into_iter().filter_map(with_difference).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_rng::Rng;

    /// Pictures of a few kinds, each changed a little, and blank ones.
    fn pictures() -> Vec<Likeness> {
        let picture = |i: u64| {
            let mut kind = Rng::new(0, "kind", [i % 7, 0], 0);
            let mut change = Rng::new(0, "change", [i, 0], 0);
            let thumbnail = std::array::from_fn(|_| {
                let level = 128.0 + 60.0 * kind.normal() + i as f64 / 20.0 * change.normal();
                if i.is_multiple_of(11) {
                    9
                } else {
                    level.clamp(0.0, 255.0) as u8
                }
            });
            Likeness::of_thumbnail(thumbnail)
        };
        (0..120).map(picture).collect()
    }

    #[test]
    fn a_gallery_finds_what_comparing_each_with_each_finds() {
        let pictures = pictures();
        let gallery = Gallery::of(pictures.iter().collect());
        let mut all = 0;
        for (i, own) in pictures.iter().enumerate() {
            let each = (0..i).filter_map(|j| Some((j, own.difference(&pictures[j])?)));
            let each: Vec<(usize, f64)> = each.collect();
            assert_eq!(gallery.near(own, i), each, "{i}");
            all += each.len();
        }
        // Some are, and some are not.
        assert!((50..3000).contains(&all), "{all}");
    }
}
