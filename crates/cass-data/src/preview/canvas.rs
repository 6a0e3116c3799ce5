//! A white picture with images and text on it.

use crate::Result;
use crate::image::Pixels;
use font8x8::UnicodeFonts as _;
use std::path::Path;

/// Height of a line of text, in pixels.
pub(super) const LINE: usize = 14;
/// Width and height of a letter, and the space above it.
const LETTER: usize = 8;
const ABOVE: usize = 3;
const INK: u8 = 40;

pub(super) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: vec![255; width * height * 3],
        }
    }

    /// Puts a square RGB image with its upper left corner there.
    pub(super) fn image(&mut self, left: usize, top: usize, size: usize, rgb: &[u8]) {
        for (y, row) in rgb.chunks_exact(3 * size).enumerate() {
            let start = 3 * ((top + y) * self.width + left);
            self.rgb[start..start + row.len()].copy_from_slice(row);
        }
    }

    /// Writes a line of text, cut to `width` pixels. Letters that the font lacks become `?`.
    pub(super) fn text(&mut self, left: usize, top: usize, text: &str, width: usize) {
        for (place, c) in text.chars().take(width / LETTER).enumerate() {
            let glyph = font8x8::BASIC_FONTS
                .get(c)
                .or_else(|| font8x8::LATIN_FONTS.get(c))
                .or_else(|| font8x8::GREEK_FONTS.get(c))
                .or_else(|| font8x8::BASIC_FONTS.get('?'))
                .unwrap_or_default();
            for (y, row) in glyph.into_iter().enumerate() {
                for x in (0..LETTER).filter(|x| row >> x & 1 == 1) {
                    self.ink(left + place * LETTER + x, top + ABOVE + y);
                }
            }
        }
    }

    fn ink(&mut self, x: usize, y: usize) {
        if x < self.width && y < self.height {
            let start = 3 * (y * self.width + x);
            self.rgb[start..start + 3].fill(INK);
        }
    }

    /// Writes a PNG file.
    pub(super) fn write(self, out: &Path) -> Result<()> {
        Pixels::from_rgb(self.width, self.height, self.rgb).write_png(out)
    }
}
