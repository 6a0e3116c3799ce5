//! SimSiam's loss, a composition of Candle's operations.

use crate::methods::directions::cosines;
use candle_core::{Result, Tensor};

/// ε of `torch.nn.CosineSimilarity`.
const EPS: f64 = 1e-8;

/// SimSiam's loss of predictions of one view and what is said of the other (Chen and He 2021, equation 1): minus
/// their cosine, mean over the batch. What is predicted is to be a constant.
///
/// # Shapes
/// `prediction (B, K)`, `target (B, K)` → scalar
///
/// # Errors
/// If the shapes differ.
pub fn simsiam_loss(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    cosines("SimSiam", prediction, target, EPS)?.mean(0)?.neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::{Golden, check_slopes};
    use candle_core::Device;
    use cass_ops::compose;

    #[test]
    fn simsiam_equals_torch_a_zero_vector_included() {
        Golden::load().check("simsiam", &["p1", "p2"], |get, p| {
            let (z1, z2) = (get("z1"), get("z2"));
            compose(&[&p[0], &p[1]], |p| {
                (simsiam_loss(&p[0], &z2)? + simsiam_loss(&p[1], &z1)?)? * 0.5
            })
        });
    }

    #[test]
    fn simsiam_is_least_where_directions_are_the_same_and_checks_shapes() -> Result<()> {
        let (a, b) = (
            Tensor::new(&[[1f32, 2.0], [0.5, 0.0]], &Device::Cpu)?,
            Tensor::new(&[[3f32, 6.0], [2.0, 0.0]], &Device::Cpu)?,
        );
        let value = |a: &Tensor, b: &Tensor| simsiam_loss(a, b)?.to_scalar::<f32>();
        assert!((value(&a, &b)? + 1.0).abs() < 1e-6);
        assert!((value(&a, &b.neg()?)? - 1.0).abs() < 1e-6);
        assert_eq!(value(&a, &b.zeros_like()?)?, 0.0);
        let error = simsiam_loss(&a, &b.narrow(1, 0, 1)?).unwrap_err();
        assert!(
            error.to_string().contains("SimSiam compares two"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn gradients_equal_finite_differences() -> Result<()> {
        let other = Tensor::arange(0f64, 12.0, &Device::Cpu)?.reshape((3, 4))?;
        check_slopes("simsiam", &|x| simsiam_loss(x, &other));
        Ok(())
    }
}
