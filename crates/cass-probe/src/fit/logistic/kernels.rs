//! The two loops over features that a fit spends its time in. Multiplications and additions stay apart and sums
//! keep their lanes, so that every machine, with whatever vectors, gives the same bits.

/// Rows worked on together: coefficients are loaded once for all of them.
pub(super) const ROWS: usize = 4;

/// Sums that are kept apart.
const LANES: usize = 8;

/// Inner products of each of four rows with `w`.
#[inline(always)]
pub(super) fn dots(rows: [&[f64]; ROWS], w: &[f64]) -> [f64; ROWS] {
    let mut sums = [[0f64; LANES]; ROWS];
    let (w_lanes, w_rest) = w.as_chunks::<LANES>();
    let lanes = rows.map(|row| row.as_chunks::<LANES>());
    for (i, w) in w_lanes.iter().enumerate() {
        for row in 0..ROWS {
            let z = &lanes[row].0[i];
            for lane in 0..LANES {
                sums[row][lane] += z[lane] * w[lane];
            }
        }
    }
    let mut dots = [0.0; ROWS];
    for row in 0..ROWS {
        let rest: f64 = lanes[row].1.iter().zip(w_rest).map(|(z, w)| z * w).sum();
        dots[row] = sums[row].iter().sum::<f64>() + rest;
    }
    dots
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
