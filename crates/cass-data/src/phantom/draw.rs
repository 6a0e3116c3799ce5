use super::PhantomStyle;
use super::lesion::Lesion;
use super::texture::Texture;
use cass_rng::Rng;

/// A grey image of `size` x `size`: a head with the lesion of `class`.
pub(super) fn head(size: usize, class: &str, style: PhantomStyle, rng: &mut Rng) -> Vec<u8> {
    let (head, noise, brightness) = match style {
        PhantomStyle::Varied => (Head::varied(class, rng), [0.01, 0.05], [0.14, 0.34]),
        PhantomStyle::Clear => (Head::clear(class, rng), [0.01, 0.02], [0.25, 0.27]),
    };
    let pixel = 2.0 / size as f32;
    let mut values: Vec<f32> = (0..size * size)
        .map(|i| {
            let centre = |k: usize| (k as f32 + 0.5) * pixel - 1.0;
            head.at(centre(i % size), centre(i / size), pixel)
        })
        .collect();
    let noise = rng.uniform_in(noise[0], noise[1]);
    for v in &mut values {
        // The modulus of a complex signal with noise, as in magnitude images.
        *v = (*v + (noise * rng.normal()) as f32).hypot((noise * rng.normal()) as f32);
    }
    expose(&values, rng.uniform_in(brightness[0], brightness[1]) as f32)
}

/// A soft step: 0 below `-width / 2`, 1 above `width / 2`.
pub(super) fn step(signed_depth: f32, width: f32) -> f32 {
    let t = (signed_depth / width + 0.5).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Scales to the wanted mean, in 0..=1, after clipping, and to 8 bits.
fn expose(values: &[f32], mean: f32) -> Vec<u8> {
    let clipped_mean =
        |gain: f32| values.iter().map(|v| (v * gain).min(1.0)).sum::<f32>() / values.len() as f32;
    // Increasing in the gain: bisect.
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if clipped_mean(middle) < mean {
            low = middle;
        } else {
            high = middle;
        }
    }
    values
        .iter()
        .map(|v| (v * high * 255.0).round() as u8) // `as` saturates
        .collect()
}

/// One head: pose, anatomy and tissue.
struct Head {
    centre: [f32; 2],
    /// Half the inner skull's width and height.
    radii: [f32; 2],
    /// Sine and cosine of the tilt.
    tilt: [f32; 2],
    skull: f32,
    scalp: f32,
    tissue: f32,
    contrast: f32,
    /// Brightness of the ventricles: dark or bright, as in T1 and T2 images.
    fluid: f32,
    ventricles: [Ventricle; 2],
    folds: Texture,
    grain: Texture,
    bias: [f32; 2],
    lesion: Lesion,
}

struct Ventricle {
    centre: [f32; 2],
    radii: [f32; 2],
    tilt: [f32; 2],
}

impl Head {
    fn varied(class: &str, rng: &mut Rng) -> Self {
        let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
        let width = between(0.6, 0.72);
        let tilt = between(-0.25, 0.25);
        let fluid = if between(0.0, 1.0) < 0.7 {
            between(0.02, 0.2)
        } else {
            between(0.8, 1.0)
        };
        let (length, gap, lean) = (between(0.2, 0.36), between(0.09, 0.16), between(0.1, 0.4));
        let (thickness, shift) = (between(0.05, 0.11), between(-0.2, 0.05));
        let ventricles = [-1.0, 1.0].map(|side| Ventricle {
            centre: [side * gap, shift],
            radii: [thickness, length],
            tilt: [(side * lean).sin(), (side * lean).cos()],
        });
        Self {
            centre: [between(-0.06, 0.06), between(-0.06, 0.06)],
            radii: [width, (width * between(1.1, 1.3)).min(0.84)],
            tilt: [tilt.sin(), tilt.cos()],
            skull: between(0.04, 0.08),
            scalp: between(0.5, 1.0),
            tissue: between(0.38, 0.55),
            contrast: between(0.6, 1.4),
            fluid,
            ventricles,
            bias: [between(-0.2, 0.2), between(-0.2, 0.2)],
            folds: Texture::new(between(3.0, 5.0), 2, rng),
            grain: Texture::new(12.0, 2, rng),
            lesion: Lesion::varied(class, rng),
        }
    }

    /// Nearly the same head every time, with a lesion that stands out.
    fn clear(class: &str, rng: &mut Rng) -> Self {
        let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
        let width = between(0.66, 0.7);
        let tilt = between(-0.08, 0.08);
        let ventricles = [-1.0, 1.0].map(|side: f32| Ventricle {
            centre: [side * 0.12, -0.08],
            radii: [between(0.07, 0.09), between(0.25, 0.31)],
            tilt: [(side * 0.25).sin(), (side * 0.25).cos()],
        });
        Self {
            centre: [between(-0.02, 0.02), between(-0.02, 0.02)],
            radii: [width, (width * between(1.16, 1.24)).min(0.84)],
            tilt: [tilt.sin(), tilt.cos()],
            skull: 0.06,
            scalp: 0.7,
            tissue: 0.42,
            contrast: 0.5,
            fluid: 0.1,
            ventricles,
            bias: [0.0; 2],
            folds: Texture::new(between(3.5, 4.5), 2, rng),
            grain: Texture::new(12.0, 2, rng),
            lesion: Lesion::clear(class, rng),
        }
    }

    /// The signal at a point of the image, both coordinates in -1..1.
    fn at(&self, x: f32, y: f32, pixel: f32) -> f32 {
        let [u, v] = turn([x - self.centre[0], y - self.centre[1]], self.tilt);
        let [u, v] = [u / self.radii[0], v / self.radii[1]];
        let blur = pixel / self.radii[0];
        let radius = u.hypot(v);
        // From outside: air, scalp, skull (dark), a rim of fluid, brain.
        let outer = 1.0 + 2.2 * self.skull;
        let scalp = self.scalp * step(outer - radius, blur) * step(radius - 1.0 - self.skull, blur);
        let brain = step(1.0 - radius, 0.02 + blur);
        let bias = 1.0 + self.bias[0] * x + self.bias[1] * y;
        (scalp + brain * self.brain(u, v, blur)) * bias
    }

    fn brain(&self, u: f32, v: f32, blur: f32) -> f32 {
        let folds = (3.0 * self.folds.at(u, v)).sin();
        let mut value = self.tissue + self.contrast * (0.09 * folds + 0.05 * self.grain.at(u, v));
        // The fissure between the halves.
        value *= 1.0 - 0.35 * step(0.015 - u.abs(), 0.03 + blur);
        for ventricle in &self.ventricles {
            let [x, y] = turn(
                [u - ventricle.centre[0], v - ventricle.centre[1]],
                ventricle.tilt,
            );
            let [rx, ry] = ventricle.radii;
            let depth = (1.0 - (x / rx).hypot(y / ry)) * rx;
            value += step(depth, 0.02 + blur) * (self.fluid - value);
        }
        self.lesion.over(value, u, v, blur).max(0.0)
    }
}

fn turn([x, y]: [f32; 2], [sin, cos]: [f32; 2]) -> [f32; 2] {
    [cos * x + sin * y, cos * y - sin * x]
}
