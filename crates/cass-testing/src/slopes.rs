//! Gradients against finite differences.

use candle_core::{DType, Result, Tensor};

/// Places of an input where the slope is measured.
const PLACES: usize = 12;
/// Half the distance between the two values that a slope is measured from.
const STEP: f64 = 1e-6;

/// Asserts that `gradients` are the slopes of `loss` at some places of each input, within 1e-6 of
/// the largest element of the gradient.
///
/// `below` gives a number below its argument: where to measure. Inputs are f64.
///
/// # Errors
/// If `loss` fails.
///
/// # Panics
/// If a gradient is no slope; the message names `what`.
pub fn assert_slopes(
    what: &str,
    inputs: &[Tensor],
    gradients: &[Tensor],
    mut below: impl FnMut(usize) -> usize,
    loss: impl Fn(&[Tensor]) -> Result<f64>,
) -> Result<()> {
    assert_eq!(inputs.len(), gradients.len(), "{what}: gradients");
    for (i, (input, gradient)) in inputs.iter().zip(gradients).enumerate() {
        assert_eq!(input.dtype(), DType::F64, "{what}: input {i}");
        let data = input.flatten_all()?.to_vec1::<f64>()?;
        let gradient = gradient.flatten_all()?.to_vec1::<f64>()?;
        let largest = gradient.iter().map(|g| g.abs()).fold(0.0, f64::max);
        for _ in 0..PLACES {
            let at = below(data.len());
            let shifted = |by: f64| -> Result<f64> {
                let mut moved = data.clone();
                moved[at] += by;
                let mut inputs = inputs.to_vec();
                inputs[i] = Tensor::from_vec(moved, input.dims(), input.device())?;
                loss(&inputs)
            };
            let slope = (shifted(STEP)? - shifted(-STEP)?) / (2.0 * STEP);
            let error = (slope - gradient[at]).abs() / largest.max(1e-3);
            assert!(
                error < 1e-6,
                "{what}: gradient of input {i} at {at}: {} but the slope is {slope}",
                gradient[at]
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_wrong_gradient_is_found() -> Result<()> {
        let x = Tensor::new(&[1f64, -2.0, 0.5], &Device::Cpu)?;
        let loss = |t: &[Tensor]| t[0].sqr()?.sum_all()?.to_scalar::<f64>();
        let check = |gradient: &Tensor| {
            let mut next = 0;
            let below = |n: usize| {
                next += 1;
                next % n
            };
            assert_slopes(
                "x²",
                std::slice::from_ref(&x),
                std::slice::from_ref(gradient),
                below,
                loss,
            )
        };
        check(&(&x * 2.0)?)?;
        let wrong = (&x * 2.001)?;
        assert!(catch_unwind(AssertUnwindSafe(|| check(&wrong))).is_err());
        Ok(())
    }
}
