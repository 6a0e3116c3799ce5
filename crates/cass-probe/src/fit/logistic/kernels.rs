//! The two loops over features that a fit spends its time in. Multiplications and additions stay apart and sums
//! keep their lanes, so that every machine, with whatever vectors, gives the same bits.

/// Rows worked on together: coefficients are loaded once for all of them.
pub(super) const ROWS: usize = 4;

/// Sums that are kept apart.
const LANES: usize = 8;

/// Columns worked on together: what four rows have of them stays in the fastest cache for all outputs.
pub(super) const COLUMNS: usize = 64 * LANES;

/// Inner products of four rows, [`COLUMNS`] after the others.
#[derive(Clone, Copy, Default)]
pub(super) struct Dots {
    lanes: [[f64; LANES]; ROWS],
    /// Of the columns that fill no lane.
    rest: [f64; ROWS],
}

impl Dots {
    /// Adds the products of these columns of the rows with those of `w`. All calls but the last bring whole lanes.
    #[inline(always)]
    pub(super) fn add(&mut self, rows: [&[f64]; ROWS], w: &[f64]) {
        let (w_lanes, w_rest) = w.as_chunks::<LANES>();
        let lanes = rows.map(|row| &row.as_chunks::<LANES>().0[..w_lanes.len()]);
        let mut sums = self.lanes;
        for (i, w) in w_lanes.iter().enumerate() {
            for row in 0..ROWS {
                let z = &lanes[row][i];
                for lane in 0..LANES {
                    sums[row][lane] += z[lane] * w[lane];
                }
            }
        }
        self.lanes = sums;
        for (rest, row) in self.rest.iter_mut().zip(rows) {
            let z = &row[row.len() - w_rest.len()..];
            *rest += z.iter().zip(w_rest).map(|(z, w)| z * w).sum::<f64>();
        }
    }

    /// The sums.
    #[inline(always)]
    pub(super) fn sums(&self) -> [f64; ROWS] {
        std::array::from_fn(|row| self.lanes[row].iter().sum::<f64>() + self.rest[row])
    }
}

/// `sum += Σ factor × row` over four rows.
#[inline(always)]
pub(super) fn add_scaled(sum: &mut [f64], factors: [f64; ROWS], rows: [&[f64]; ROWS]) {
    let n = sum.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    let [fa, fb, fc, fd] = factors;
    for i in 0..n {
        sum[i] += (fa * a[i] + fb * b[i]) + (fc * c[i] + fd * d[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_rng::Rng;

    /// However many pieces a row is cut into, each product and each factor is taken once.
    #[test]
    fn pieces_of_rows_give_what_whole_rows_give() {
        for dim in [1, 7, 8, COLUMNS - 1, COLUMNS, COLUMNS + 1, 2 * COLUMNS + 13] {
            let drawn = |name: u64| -> Vec<f64> {
                let mut rng = Rng::new(3, "kernels", [dim as u64, name], 0);
                (0..dim).map(|_| rng.normal()).collect()
            };
            let rows: [Vec<f64>; ROWS] = std::array::from_fn(|i| drawn(i as u64));
            let (w, start) = (drawn(10), drawn(11));
            let factors = [0.5, -2.0, 0.0, 3.0];
            let (mut dots, mut sum) = (Dots::default(), start.clone());
            for at in (0..dim).step_by(COLUMNS) {
                let columns = at..(at + COLUMNS).min(dim);
                let four = std::array::from_fn(|i| &rows[i][columns.clone()]);
                dots.add(four, &w[columns.clone()]);
                add_scaled(&mut sum[columns], factors, four);
            }
            for (row, dot) in rows.iter().zip(dots.sums()) {
                let plain: f64 = row.iter().zip(&w).map(|(z, w)| z * w).sum();
                assert!((dot - plain).abs() < 1e-11, "{dim}: {dot} {plain}");
            }
            for i in 0..dim {
                let plain: f64 = factors.iter().zip(&rows).map(|(f, row)| f * row[i]).sum();
                assert!((sum[i] - start[i] - plain).abs() < 1e-12, "{dim}: {i}");
            }
        }
    }
}
