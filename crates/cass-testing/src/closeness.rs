//! How far two tensors are apart.

use candle_core::{DType, Result, Tensor};

/// `‖a - b‖₂ / ‖b‖₂` in f64; infinite if only `b` is zero, NaN if either has a NaN.
///
/// # Errors
/// If the tensors cannot be read.
///
/// # Panics
/// If the shapes differ.
pub fn relative_error(a: &Tensor, b: &Tensor) -> Result<f64> {
    assert_eq!(a.dims(), b.dims(), "shapes differ");
    let numbers = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (numbers(a)?, numbers(b)?);
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let off = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b));
    let size = norm(&mut b.iter().copied());
    Ok(if off == 0.0 { 0.0 } else { off / size })
}

/// Asserts that `a` is within `tolerance` of `b` by [`relative_error`].
///
/// # Errors
/// If the tensors cannot be read.
///
/// # Panics
/// If they are further apart; the message names `what`.
pub fn assert_close(what: &str, a: &Tensor, b: &Tensor, tolerance: f64) -> Result<()> {
    assert_eq!(a.dims(), b.dims(), "shape of {what}");
    let error = relative_error(a, b)?;
    assert!(
        error <= tolerance,
        "{what} is off by {error:.2e}, expected at most {tolerance:.0e}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn an_error_is_relative_and_a_nan_is_never_close() -> Result<()> {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        let (a, b) = (tensor(&[3.0, 4.0])?, tensor(&[3.0, 4.5])?);
        assert!((relative_error(&b, &a)? - 0.1).abs() < 1e-7);
        assert_eq!(relative_error(&a.zeros_like()?, &a.zeros_like()?)?, 0.0);
        assert_eq!(relative_error(&a, &a.zeros_like()?)?, f64::INFINITY);
        let nan = tensor(&[f32::NAN, 4.0])?;
        for (a, b) in [(&nan, &a), (&a, &nan)] {
            let close = || assert_close("it", a, b, f64::INFINITY);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(close)).is_err());
        }
        Ok(())
    }
}
