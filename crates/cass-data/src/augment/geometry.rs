use cass_ops::Rng;

use crate::Pixels;

/// Where the corners go, (x, y): top left, top right, bottom right, bottom left.
pub(crate) type Corners = [[usize; 2]; 4];

/// New corners, each up to `distortion` of half a side inwards (`RandomPerspective.get_params`).
pub(crate) fn draw_corners(width: usize, height: usize, distortion: f64, rng: &mut Rng) -> Corners {
    let reach = |side: usize| (distortion * (side / 2) as f64) as usize;
    let mut near = |side: usize| rng.below(reach(side) + 1);
    let mut inward = || [near(width), near(height)];
    let [tl, tr, br, bl] = [inward(), inward(), inward(), inward()];
    let (right, bottom) = (width - 1, height - 1);
    [
        tl,
        [right - tr[0], tr[1]],
        [right - br[0], bottom - br[1]],
        [bl[0], bottom - bl[1]],
    ]
}

impl Pixels {
    /// Moves the image's corners to these, bilinear, black outside
    /// (`torchvision.transforms.functional.perspective` on a PIL image).
    pub(crate) fn perspective(&self, to: &Corners) -> Self {
        let Some([a, b, c, d, e, f, g, h]) = perspective_coefficients(self.width, self.height, to)
        else {
            return self.clone();
        };
        let mut out = self.same_shape();
        for (y, row) in out.chunks_exact_mut(self.width * self.channels).enumerate() {
            let yin = y as f64 + 0.5;
            for (x, pixel) in row.chunks_exact_mut(self.channels).enumerate() {
                let xin = x as f64 + 0.5;
                let w = g * xin + h * yin + 1.0;
                self.bilinear(
                    (a * xin + b * yin + c) / w,
                    (d * xin + e * yin + f) / w,
                    pixel,
                );
            }
        }
        Self { data: out, ..*self }
    }

    /// PIL's bilinear filter at a point; leaves `pixel` if the point is outside.
    fn bilinear(&self, x: f64, y: f64, pixel: &mut [u8]) {
        if !(0.0..self.width as f64).contains(&x) || !(0.0..self.height as f64).contains(&y) {
            return;
        }
        let (x, y) = (x - 0.5, y - 0.5);
        let (dx, dy) = (x - x.floor(), y - y.floor());
        let clip = |v: f64, side: usize| (v.max(0.0) as usize).min(side - 1);
        let (x0, x1) = (
            clip(x.floor(), self.width),
            clip(x.floor() + 1.0, self.width),
        );
        let (y0, y1) = (
            clip(y.floor(), self.height),
            clip(y.floor() + 1.0, self.height),
        );
        let at =
            |x, y, channel| f64::from(self.data[(y * self.width + x) * self.channels + channel]);
        for (channel, v) in pixel.iter_mut().enumerate() {
            let top = at(x0, y0, channel) + (at(x1, y0, channel) - at(x0, y0, channel)) * dx;
            let bottom = at(x0, y1, channel) + (at(x1, y1, channel) - at(x0, y1, channel)) * dx;
            *v = (top + (bottom - top) * dy) as u8;
        }
    }

    /// Turns the image about its centre by `degrees`, clockwise, nearest pixel, black outside
    /// (`torchvision.transforms.functional.affine` on a PIL image; PIL counts in 16.16 fixed point).
    pub(crate) fn rotate(&self, degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (cx, cy) = (self.width as f64 * 0.5, self.height as f64 * 0.5);
        // The inverse map, from out to in; torchvision's order of operations.
        let (a, b, d, e) = (cos, sin, -sin, cos);
        let c = a * -cx + b * -cy + cx;
        let f = d * -cx + e * -cy + cy;
        let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
        let (step_x, step_y) = ([fixed(a), fixed(d)], [fixed(b), fixed(e)]);
        let mut start = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
        let inside = |v: i64, side: usize| usize::try_from(v >> 16).ok().filter(|&v| v < side);
        let mut out = self.same_shape();
        for row in out.chunks_exact_mut(self.width * self.channels) {
            let [mut x, mut y] = start;
            for pixel in row.chunks_exact_mut(self.channels) {
                if let (Some(xin), Some(yin)) = (inside(x, self.width), inside(y, self.height)) {
                    let at = (yin * self.width + xin) * self.channels;
                    pixel.copy_from_slice(&self.data[at..at + self.channels]);
                }
                x += step_x[0];
                y += step_x[1];
            }
            start[0] += step_y[0];
            start[1] += step_y[1];
        }
        Self { data: out, ..*self }
    }

    /// Left for right.
    pub(crate) fn flip_horizontally(&mut self) {
        for row in self.data.chunks_exact_mut(self.width * self.channels) {
            if self.channels == 1 {
                row.reverse();
                continue;
            }
            let (mut left, mut right) = (0, self.width - 1);
            while left < right {
                for channel in 0..self.channels {
                    row.swap(
                        left * self.channels + channel,
                        right * self.channels + channel,
                    );
                }
                left += 1;
                right -= 1;
            }
        }
    }

    /// Top for bottom.
    pub(crate) fn flip_vertically(&mut self) {
        let row = self.width * self.channels;
        let (mut top, mut bottom) = (0, self.height.saturating_sub(1));
        while top < bottom {
            let (above, below) = self.data.split_at_mut(bottom * row);
            above[top * row..(top + 1) * row].swap_with_slice(&mut below[..row]);
            top += 1;
            bottom -= 1;
        }
    }

    /// Black pixels of this image's shape.
    fn same_shape(&self) -> Vec<u8> {
        vec![0; self.data.len()]
    }
}

/// The map from the new image to the old, `x = (a x' + b y' + c) / (g x' + h y' + 1)` and so on, in
/// single precision as torchvision hands it to PIL. `None` if the corners are degenerate.
fn perspective_coefficients(width: usize, height: usize, to: &Corners) -> Option<[f64; 8]> {
    let (right, bottom) = ((width - 1) as f64, (height - 1) as f64);
    let from = [[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]];
    let mut rows = [[0.0; 9]; 8];
    for (i, (&[x, y], [u, v])) in to.iter().zip(from).enumerate() {
        let (x, y) = (x as f64, y as f64);
        rows[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
        rows[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
    }
    let solution = solve(rows)?;
    Some(solution.map(|v| f64::from(v as f32)))
}

/// Gauss and Jordan with row pivoting; the last column is the right-hand side.
fn solve(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    for column in 0..8 {
        let pivot =
            (column..8).max_by(|&i, &j| rows[i][column].abs().total_cmp(&rows[j][column].abs()))?;
        rows.swap(column, pivot);
        let pivot = rows[column].map(|v| v / rows[column][column]);
        if pivot.iter().any(|v| !v.is_finite()) {
            return None;
        }
        for (i, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            if i == column {
                *row = pivot;
            } else if factor != 0.0 {
                row.iter_mut()
                    .zip(pivot)
                    .for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    Some(rows.map(|row| row[8]))
}
