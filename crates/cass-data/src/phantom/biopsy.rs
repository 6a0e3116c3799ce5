use cass_rng::Rng;

/// The colour in which each cell type glows, its radius in parts of the image's height, and how
/// elongated it is.
const CELLS: [([f32; 3], f32, f32); 5] = [
    ([0.15, 1.0, 0.25], 0.030, 1.0), // TFH-1
    ([1.0, 0.25, 0.2], 0.030, 1.0),  // TFH-217
    ([0.9, 0.9, 0.2], 0.040, 1.8),   // TFH-Like
    ([0.25, 0.4, 1.0], 0.050, 1.0),  // B cells
    ([0.8, 0.8, 0.85], 0.022, 2.5),  // others
];

/// An RGB image with 16 bits a channel of tissue in which the cell types of `labels` glow.
pub(super) fn tissue(width: usize, height: usize, labels: &[usize], rng: &mut Rng) -> Vec<u16> {
    let glow = rng.uniform_in(0.03, 0.08) as f32;
    let mut light = vec![glow; 3 * width * height];
    for &label in labels {
        for _ in 0..6 + rng.below(10) {
            cell(&mut light, [width, height], CELLS[label], rng);
        }
    }
    let noise = rng.uniform_in(0.005, 0.02);
    light
        .into_iter()
        .map(|v| ((v + (noise * rng.normal()) as f32) * 65535.0).round() as u16) // saturates
        .collect()
}

fn cell(
    light: &mut [f32],
    [width, height]: [usize; 2],
    (colour, radius, stretch): ([f32; 3], f32, f32),
    rng: &mut Rng,
) {
    let mut between = |lo: f64, hi: f64| rng.uniform_in(lo, hi) as f32;
    let centre = [between(0.0, width as f64), between(0.0, height as f64)];
    let radius = radius * height as f32 * between(0.8, 1.2);
    let (sin, cos) = between(0.0, std::f64::consts::PI).sin_cos();
    let gain = between(0.5, 0.9);
    let reach = (radius * stretch * 2.5).ceil();
    let range = |centre: f32, side: usize| {
        let end = (centre + reach).clamp(0.0, side as f32) as usize;
        (centre - reach).max(0.0) as usize..end
    };
    for y in range(centre[1], height) {
        for x in range(centre[0], width) {
            let [dx, dy] = [x as f32 + 0.5 - centre[0], y as f32 + 0.5 - centre[1]];
            let [u, v] = [(cos * dx + sin * dy) / stretch, cos * dy - sin * dx];
            let glow = gain * (-(u * u + v * v) / (radius * radius)).exp();
            let pixel = &mut light[3 * (y * width + x)..][..3];
            pixel
                .iter_mut()
                .zip(colour)
                .for_each(|(v, c)| *v += glow * c);
        }
    }
}
