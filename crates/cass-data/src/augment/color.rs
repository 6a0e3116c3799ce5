use crate::channels::COLOURS;
use crate::image::Pixels;
use cass_rng::Rng;

/// `torchvision.transforms.ColorJitter`'s ranges: factors within `1 ± range`, hue within `± hue`
/// of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JitterRanges {
    pub(crate) brightness: f64,
    pub(crate) contrast: f64,
    pub(crate) saturation: f64,
    pub(crate) hue: f64,
}

/// One part of a colour jitter, with its factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Adjust {
    Brightness(f64),
    Contrast(f64),
    Saturation(f64),
    /// In turns, -0.5 to 0.5.
    Hue(f64),
}

/// The parts in the order in which they are applied.
pub(crate) type JitterDraw = [Adjust; 4];

impl JitterRanges {
    /// All factors, and the order of the parts, uniformly (`ColorJitter.get_params`).
    pub(crate) fn draw(&self, rng: &mut Rng) -> JitterDraw {
        let mut factor = |range: f64| rng.uniform_in((1.0 - range).max(0.0), 1.0 + range);
        let (b, c, s) = (
            factor(self.brightness),
            factor(self.contrast),
            factor(self.saturation),
        );
        let h = rng.uniform_in(-self.hue, self.hue);
        let mut parts = [
            Adjust::Brightness(b),
            Adjust::Contrast(c),
            Adjust::Saturation(s),
            Adjust::Hue(h),
        ];
        rng.shuffle(&mut parts);
        parts
    }
}

impl Pixels {
    /// Applies the parts in order, as torchvision does on a PIL image. A hue of exactly 0 is that of
    /// a jitter without any, and skipped.
    pub(crate) fn jitter(&mut self, parts: &[Adjust]) {
        for part in parts {
            match *part {
                Adjust::Brightness(factor) => self.look_up(&blend_table(0, factor)),
                Adjust::Contrast(factor) => self.look_up(&blend_table(self.mean_luma(), factor)),
                Adjust::Saturation(factor) => self.saturate(factor),
                Adjust::Hue(turn) => self.turn_hue(turn),
            }
        }
    }

    /// Every channel becomes the luma (PIL's `convert("L")`); what is no colour stays.
    pub(crate) fn grayscale(&mut self) {
        if self.channels == COLOURS {
            let pixels = self.data.as_chunks().0.iter();
            let grey: Vec<u8> = pixels.map(|&[r, g, b]| luma(r, g, b)).collect();
            self.data = grey.into();
            self.channels = 1;
        }
    }

    /// Turns the hues by a share of a full turn, by way of PIL's 8-bit HSV. Equal channels have no
    /// hue and stay, and so does what is no colour.
    fn turn_hue(&mut self, turn: f64) {
        if self.channels != COLOURS || turn == 0.0 {
            return;
        }
        let turn = (turn * 255.0) as i32 as u8; // truncated, then wrapped
        for pixel in self.data.as_chunks_mut().0 {
            let [h, s, v] = rgb_to_hsv(*pixel);
            *pixel = hsv_to_rgb([h.wrapping_add(turn), s, v]);
        }
    }

    /// Inverts all values of at least `threshold` (`PIL.ImageOps.solarize`).
    pub fn solarize(&mut self, threshold: u8) {
        let table = std::array::from_fn(|v| {
            let v = v as u8; // 0..256
            if v < threshold { v } else { 255 - v }
        });
        self.look_up(&table);
    }

    fn look_up(&mut self, table: &[u8; 256]) {
        for v in self.data.iter_mut() {
            *v = table[usize::from(*v)];
        }
    }

    /// Away from each pixel's luma. Equal channels are equal to their luma and stay, and so does what
    /// is no colour.
    fn saturate(&mut self, factor: f64) {
        if self.channels != COLOURS {
            return;
        }
        let factor = factor as f32;
        for p in self.data.chunks_exact_mut(3) {
            let grey = luma(p[0], p[1], p[2]);
            for v in p {
                *v = blend(grey, *v, factor);
            }
        }
    }

    /// The rounded mean of the luma, which PIL's contrast turns around; of what is no colour the mean of
    /// all channels.
    fn mean_luma(&self) -> u8 {
        if !self.is_of_colours() {
            let sum: u64 = self.data.iter().map(|&v| u64::from(v)).sum();
            return (sum as f64 / self.data.len() as f64 + 0.5) as u8;
        }
        let sum: u64 = if self.is_grey() {
            self.data.iter().map(|&v| u64::from(v)).sum()
        } else {
            self.data
                .chunks_exact(3)
                .map(|p| u64::from(luma(p[0], p[1], p[2])))
                .sum()
        };
        (sum as f64 / (self.width * self.height) as f64 + 0.5) as u8
    }
}

/// PIL's `convert("L")`: ITU-R 601 weights in 16-bit fixed point.
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// PIL's `Image.blend`: truncated, not rounded.
fn blend(degenerate: u8, value: u8, factor: f32) -> u8 {
    let d = f32::from(degenerate);
    (d + factor * (f32::from(value) - d)) as u8 // `as` saturates
}

fn blend_table(degenerate: u8, factor: f64) -> [u8; 256] {
    std::array::from_fn(|v| blend(degenerate, v as u8, factor as f32))
}

/// PIL's `convert("HSV")`: hue, saturation and value in 0..=255, truncated.
fn rgb_to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [rc, gc, bc] = [r, g, b].map(|v| f32::from(most - v) / range);
    let sextant = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = ((f64::from(sextant) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(most);
    let byte = |share: f32| (f64::from(share) * 255.0) as u8; // `as` saturates
    [byte(hue), byte(saturation), most]
}

/// PIL's way back, rounded.
fn hsv_to_rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let hue = (f64::from(h) * 6.0 / 255.0) as f32;
    let sextant = hue.floor();
    let f = f64::from(hue - sextant);
    let s = f64::from((f64::from(s) / 255.0) as f32);
    let byte = |share: f64| (f64::from(v) * share).round() as u8;
    let (p, q, t) = (byte(1.0 - s), byte(1.0 - s * f), byte(1.0 - s * (1.0 - f)));
    match sextant as u8 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}
