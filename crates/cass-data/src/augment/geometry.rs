use crate::image::Pixels;
use cass_rng::Rng;
use pulp::Arch;

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

/// The parameters of an affine map about the centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    /// Clockwise.
    pub(crate) degrees: f64,
    /// Across and down, in pixels.
    pub(crate) translate: [f64; 2],
    pub(crate) scale: f64,
    /// Across and down, in degrees.
    pub(crate) shear: [f64; 2],
}

impl Affine {
    /// The map from the new image to the old, `x = a x' + b y' + c` and `y = d x' + e y' + f`, in
    /// torchvision's order of operations (`_get_inverse_affine_matrix`).
    fn inverse(&self, width: usize, height: usize) -> [f64; 6] {
        let turn = self.degrees.to_radians();
        let [sx, sy] = self.shear.map(f64::to_radians);
        let a = (turn - sy).cos() / sy.cos();
        let b = -(turn - sy).cos() * sx.tan() / sy.cos() - turn.sin();
        let c = (turn - sy).sin() / sy.cos();
        let d = -(turn - sy).sin() * sx.tan() / sy.cos() + turn.cos();
        let [a, b, d, e] = [d, -b, -c, a].map(|v| v / self.scale);
        let (cx, cy) = (width as f64 * 0.5, height as f64 * 0.5);
        let [tx, ty] = self.translate;
        let c = a * (-cx - tx) + b * (-cy - ty) + cx;
        let f = d * (-cx - tx) + e * (-cy - ty) + cy;
        [a, b, c, d, e, f]
    }
}

impl Pixels {
    /// Moves the image's corners to these, bilinear, black outside
    /// (`torchvision.transforms.functional.perspective` on a PIL image).
    pub(crate) fn perspective(&self, to: &Corners) -> Self {
        let Some(map) = perspective_coefficients(self.width, self.height, to) else {
            return self.clone();
        };
        Arch::new().dispatch(|| match self.channels {
            1 => self.warp::<1>(&map),
            3 => self.warp::<3>(&map),
            _ => self.by_channel(|channel| channel.warp::<1>(&map)),
        })
    }

    #[inline(always)]
    fn warp<const C: usize>(&self, &[a, b, c, d, e, f, g, h]: &[f64; 8]) -> Self {
        let pixels = self.data.as_chunks::<C>().0;
        let mut from = vec![[0.0; 2]; self.width];
        self.rows::<C>(|y, row| {
            let y = y as f64 + 0.5;
            // Apart from the look-ups, so that two divisions are done at once.
            for (x, from) in from.iter_mut().enumerate() {
                let x = x as f64 + 0.5;
                let w = g * x + h * y + 1.0;
                *from = [(a * x + b * y + c) / w, (d * x + e * y + f) / w];
            }
            for (pixel, &[x, y]) in row.iter_mut().zip(&from) {
                if let Some(value) = self.bilinear(pixels, x, y) {
                    *pixel = value;
                }
            }
        })
    }

    /// PIL's bilinear filter at a point: the edge is repeated, the result truncated.
    #[inline(always)]
    fn bilinear<const C: usize>(&self, pixels: &[[u8; C]], x: f64, y: f64) -> Option<[u8; C]> {
        if !(x >= 0.0 && x < self.width as f64 && y >= 0.0 && y < self.height as f64) {
            return None;
        }
        // The neighbours before and after, and the way between them.
        let between = |v: f64, side: usize| {
            let v = v - 0.5;
            if v < 0.0 {
                return (0, 0, v + 1.0);
            }
            let first = v as usize; // without SSE 4.1, `floor` is a call
            (first, (first + 1).min(side - 1), v - first as f64)
        };
        let (x0, x1, dx) = between(x, self.width);
        let (y0, y1, dy) = between(y, self.height);
        let (top, bottom) = (y0 * self.width, y1 * self.width);
        let [top, bottom] = [top, bottom].map(|row| [pixels[row + x0], pixels[row + x1]]);
        Some(std::array::from_fn(|channel| {
            let mix = |[a, b]: [[u8; C]; 2]| {
                // The difference of two bytes is exact in whole numbers, which are cheaper.
                let (a, b) = (i32::from(a[channel]), i32::from(b[channel]));
                f64::from(a) + f64::from(b - a) * dx
            };
            let (above, below) = (mix(top), mix(bottom));
            (above + (below - above) * dy) as i32 as u8 // within 0..=255
        }))
    }

    /// Moves, turns, scales and shears the image about its centre, nearest pixel, black outside
    /// (`torchvision.transforms.functional.affine` on a PIL image).
    pub(crate) fn affine(&self, affine: &Affine) -> Self {
        let map = affine.inverse(self.width, self.height);
        match self.channels {
            1 => self.nearest::<1>(&map),
            3 => self.nearest::<3>(&map),
            _ => self.by_channel(|channel| channel.nearest::<1>(&map)),
        }
    }

    fn nearest<const C: usize>(&self, map: &[f64; 6]) -> Self {
        let pixels = self.data.as_chunks::<C>().0;
        if map[1] == 0.0 && map[3] == 0.0 {
            return self.scaled(pixels, map);
        }
        // PIL counts in 16.16 fixed point.
        let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
        let &[a, b, c, d, e, f] = map;
        let [a16, b16, d16, e16] = [a, b, d, e].map(fixed);
        let start_x = fixed(c + a * 0.5 + b * 0.5);
        let start_y = fixed(f + d * 0.5 + e * 0.5);
        self.rows::<C>(|y, row| {
            let mut xin = start_x + b16 * y as i64;
            let mut yin = start_y + e16 * y as i64;
            for pixel in row {
                // What is negative becomes too large.
                let (column, line) = ((xin >> 16) as usize, (yin >> 16) as usize);
                if column < self.width && line < self.height {
                    *pixel = pixels[line * self.width + column];
                }
                xin += a16;
                yin += d16;
            }
        })
    }

    /// Where nothing is turned or sheared, PIL adds up floats.
    fn scaled<const C: usize>(&self, pixels: &[[u8; C]], map: &[f64; 6]) -> Self {
        let &[a, _, c, _, e, f] = map;
        let places = |start: f64, step: f64, side: usize| -> Vec<Option<usize>> {
            let inside = |&at: &f64| (at >= 0.0 && at < side as f64).then_some(at as usize);
            let steps = std::iter::successors(Some(start + step * 0.5), |at| Some(at + step));
            steps.take(side).map(|at| inside(&at)).collect()
        };
        let columns = places(c, a, self.width);
        let lines = places(f, e, self.height);
        self.rows::<C>(|y, row| {
            let Some(line) = lines[y] else { return };
            let from = &pixels[line * self.width..][..self.width];
            for (pixel, column) in row.iter_mut().zip(&columns) {
                if let Some(column) = *column {
                    *pixel = from[column];
                }
            }
        })
    }

    /// An image of this shape, black but for what `fill` writes into each row.
    #[inline(always)]
    fn rows<const C: usize>(&self, mut fill: impl FnMut(usize, &mut [[u8; C]])) -> Self {
        let mut data = vec![0; self.data.len()];
        let pixels = data.as_chunks_mut::<C>().0;
        for (y, row) in pixels.chunks_exact_mut(self.width).enumerate() {
            fill(y, row);
        }
        Self {
            data: data.into(),
            ..*self
        }
    }

    /// Left for right.
    pub(crate) fn flip_horizontally(&mut self) {
        for row in self.data.chunks_exact_mut(self.width * self.channels) {
            match self.channels {
                1 => row.reverse(),
                3 => row.as_chunks_mut::<3>().0.reverse(),
                many => {
                    row.reverse();
                    row.chunks_exact_mut(many).for_each(<[u8]>::reverse);
                }
            }
        }
    }

    /// Top for bottom.
    pub(crate) fn flip_vertically(&mut self) {
        let row = self.width * self.channels;
        let half = self.height / 2 * row;
        let (top, bottom) = self.data.split_at_mut(half);
        let from_below = bottom.rchunks_exact_mut(row);
        for (above, below) in top.chunks_exact_mut(row).zip(from_below) {
            above.swap_with_slice(below);
        }
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
