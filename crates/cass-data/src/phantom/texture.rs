use cass_rng::Rng;

/// Smooth random values over the plane, in about -1..1: octaves of interpolated lattice noise.
pub(super) struct Texture {
    lattice: Vec<f32>,
    frequency: f32,
    octaves: u32,
}

/// Lattice points a side; the pattern repeats after them.
const SIDE: usize = 32;

impl Texture {
    /// `frequency` is in cells a unit of length of the first octave; each next one has twice the
    /// frequency and half the weight.
    pub(super) fn new(frequency: f32, octaves: u32, rng: &mut Rng) -> Self {
        let lattice = (0..SIDE * SIDE).map(|_| rng.uniform_in(-1.0, 1.0) as f32);
        Self {
            lattice: lattice.collect(),
            frequency,
            octaves,
        }
    }

    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        let (mut sum, mut frequency, mut weight) = (0.0, self.frequency, 1.0);
        for octave in 0..self.octaves {
            // Shifted, so that the octaves' lattices do not coincide.
            let shift = 7.3 * octave as f32;
            sum += weight * self.smooth(x * frequency + shift, y * frequency - shift);
            frequency *= 2.0;
            weight *= 0.5;
        }
        sum
    }

    fn smooth(&self, x: f32, y: f32) -> f32 {
        let fade = |t: f32| t * t * (3.0 - 2.0 * t);
        let (cell_x, cell_y) = (x.floor(), y.floor());
        let (tx, ty) = (fade(x - cell_x), fade(y - cell_y));
        let at = |dx: i32, dy: i32| {
            let wrap = |v: i32| v.rem_euclid(SIDE as i32) as usize;
            self.lattice[wrap(cell_y as i32 + dy) * SIDE + wrap(cell_x as i32 + dx)]
        };
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(mix(at(0, 0), at(1, 0), tx), mix(at(0, 1), at(1, 1), tx), ty)
    }
}
