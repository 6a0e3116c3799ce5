//! The two loops that classifying features is made of, and the numbers of a tensor to run them on.

use candle_core::{DType, Result, Tensor};

/// Numbers worked on side by side: one AVX-512 register, two AVX2 ones.
const LANES: usize = 16;

/// All values of a tensor, wherever it is, row-major.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// The inner product of two slices of one length; the same bits on every machine.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for (x, y) in a_lanes.iter().zip(b_lanes) {
        for i in 0..LANES {
            sums[i] += x[i] * y[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// `sum += scale * x`.
pub(crate) fn add_scaled(sum: &mut [f32], scale: f32, x: &[f32]) {
    for (s, &x) in sum.iter_mut().zip(x) {
        *s += scale * x;
    }
}
