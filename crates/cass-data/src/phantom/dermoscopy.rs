use super::draw::step;
use super::texture::Texture;
use cass_rng::Rng;
use std::f32::consts::TAU;

/// Of each ISIC class: radius, elongation, roughness of the outline, strength of the pattern, and
/// the lesion's colour. They make eight kinds of blobs, no model of disease.
const KINDS: [(f32, f32, f32, f32, [f32; 3]); 8] = [
    (0.52, 1.3, 0.30, 0.8, [0.24, 0.15, 0.13]), // MEL: dark, ragged, uneven
    (0.42, 1.1, 0.06, 0.3, [0.45, 0.28, 0.20]), // NV: even and round
    (0.40, 1.2, 0.15, 0.4, [0.75, 0.52, 0.55]), // BCC: pearly
    (0.50, 1.5, 0.25, 0.9, [0.80, 0.45, 0.38]), // AK: red and scaly
    (0.48, 1.2, 0.10, 0.9, [0.52, 0.40, 0.27]), // BKL: greyish, sharp
    (0.26, 1.0, 0.05, 0.2, [0.62, 0.42, 0.34]), // DF: small
    (0.30, 1.1, 0.12, 0.3, [0.60, 0.10, 0.20]), // VASC: red to purple
    (0.46, 1.1, 0.22, 0.6, [0.85, 0.62, 0.48]), // SCC: pale with a crust
];

/// What the images of one lesion share.
pub(super) struct Lesion {
    kind: usize,
    radius: f32,
    stretch: f32,
    /// Amplitude and phase of the outline's waves, two to five a turn.
    waves: [[f32; 2]; 4],
    pattern: Texture,
    hue: [f32; 3],
}

impl Lesion {
    pub(super) fn new(kind: usize, rng: &mut Rng) -> Self {
        let (radius, stretch, rough, _, _) = KINDS[kind];
        let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
        Self {
            kind,
            radius: radius * between(0.8, 1.2),
            stretch: stretch * between(0.9, 1.1),
            waves: [1.0, 0.7, 0.5, 0.4]
                .map(|a| [rough * a * between(0.5, 1.0), between(0.0, 1.0) * TAU]),
            hue: [0; 3].map(|_| between(-0.05, 0.05)),
            pattern: Texture::new(f64::from(between(5.0, 9.0)) as f32, 3, rng),
        }
    }

    /// An RGB image of `size` x `size`: the lesion in a pose of its own, on skin.
    pub(super) fn draw(&self, size: usize, rng: &mut Rng) -> Vec<u8> {
        let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
        let centre = [between(-0.15, 0.15), between(-0.15, 0.15)];
        let angle = between(0.0, 1.0) * TAU;
        let light = between(0.85, 1.1);
        let skin = [
            between(0.78, 0.95),
            between(0.58, 0.72),
            between(0.48, 0.62),
        ];
        let noise = f64::from(between(0.01, 0.03));
        let pores = Texture::new(14.0, 2, rng);
        let pixel = 2.0 / size as f32;
        let (_, _, _, strength, colour) = KINDS[self.kind];
        let mut rgb = Vec::with_capacity(3 * size * size);
        for i in 0..size * size {
            let at = |k: usize| (k as f32 + 0.5) * pixel - 1.0;
            let [x, y] = [at(i % size) - centre[0], at(i / size) - centre[1]];
            let [u, v] = [
                angle.cos() * x + angle.sin() * y,
                (angle.cos() * y - angle.sin() * x) * self.stretch,
            ];
            let turn = v.atan2(u);
            let waves = self.waves.iter().zip(2..);
            let wave: f32 = waves
                .map(|([a, phase], n)| a * (n as f32 * turn + phase).sin())
                .sum();
            let inside = step(self.radius * (1.0 + wave) - u.hypot(v), 0.08 + pixel);
            let (pattern, pore) = (
                strength * 0.25 * self.pattern.at(u, v),
                0.04 * pores.at(x, y),
            );
            for channel in 0..3 {
                let lesion = colour[channel] + self.hue[channel] + pattern;
                let value = skin[channel] + pore + inside * (lesion - skin[channel]);
                let grain = (noise * rng.normal()) as f32;
                rgb.push(((value * light + grain) * 255.0).round() as u8); // `as` saturates
            }
        }
        rgb
    }
}
