//! CASS' loss, and the penalty that keeps it from collapsing: compositions of Candle's operations.

use crate::methods::directions::cosines;
use crate::methods::vicreg::spread;
use candle_core::{Result, Tensor};

/// ε of `torch.nn.functional.normalize`.
const NORMALIZE_EPS: f64 = 1e-12;
/// VICReg's weight of the covariances, 1, against its 25 of agreement and variance.
const VICREG_COVARIANCE: f64 = 1.0 / 25.0;

/// CASS' loss: `2 - 2 cos(r, t)`, mean over the batch (paper, equation 1 and algorithm 1; from 0,
/// same direction, to 4, opposite). Gradients flow into both arms. A zero vector has cosine 0 with
/// everything, and a finite gradient.
///
/// # Shapes
/// `r (B, K)`, `t (B, K)` → scalar
///
/// # Errors
/// If the shapes differ.
pub fn cass_loss(r: &Tensor, t: &Tensor) -> Result<Tensor> {
    let cosine = cosines("CASS", r, t, NORMALIZE_EPS)?; // (B)
    (2.0 - (cosine * 2.0)?)?.mean(0)
}

/// VICReg's penalty of outputs that vary too little over the batch, or together (Bardes et al. 2022,
/// equations 1 to 4): `mean_j max(0, 1 - sqrt(var_j + 1e-4)) + 0.04 / K · Σ_{i≠j} cov_ij²`, 0.04 being
/// the ratio of its weights there. Beyond the CASS paper: see [`Guard::Variance`](crate::methods::Guard::Variance).
///
/// # Shapes
/// `x (B, K)`, B from 2 → scalar
///
/// # Errors
/// If there are fewer than two rows.
pub fn variance_penalty(x: &Tensor) -> Result<Tensor> {
    let [flat, together] = spread(x)?;
    flat + (together * (VICREG_COVARIANCE / x.dim(1)? as f64))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::{Golden, check_slopes};
    use candle_core::Device;
    use cass_ops::compose;

    #[test]
    fn cass_equals_torch_zero_vector_included() {
        Golden::load().check("cass", &["r", "t"], |_, v| {
            compose(&[&v[0], &v[1]], |v| cass_loss(&v[0], &v[1]))
        });
    }

    #[test]
    fn variance_penalty_equals_torch_a_constant_output_included() {
        Golden::load().check("variance", &["x"], |_, v| {
            compose(&[&v[0]], |v| variance_penalty(&v[0]))
        });
    }

    #[test]
    fn logits_that_tell_nothing_apart_meet_the_papers_loss_and_not_the_guard() -> Result<()> {
        let row = Tensor::new(&[[1f32, -2.0, 0.5]], &Device::Cpu)?;
        let same = row.repeat((4, 1))?;
        let value = |loss: Tensor| loss.to_scalar::<f32>();
        assert!(value(cass_loss(&same, &same)?)?.abs() < 1e-6);
        assert!((value(variance_penalty(&same)?)? - 0.99).abs() < 1e-6);
        // Outputs that differ by as much as is asked for, each by itself, cost nothing.
        let apart = [[2f32, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]];
        let apart = Tensor::new(&apart, &Device::Cpu)?;
        assert!(value(variance_penalty(&apart)?)?.abs() < 1e-6);
        let error = variance_penalty(&row).unwrap_err().to_string();
        assert!(error.contains("1 rows have no variance"), "{error}");
        Ok(())
    }

    #[test]
    fn cass_is_symmetric_bounded_and_checks_shapes() -> Result<()> {
        let (r, t) = (
            Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?,
            Tensor::new(&[[3f32, -1.0]], &Device::Cpu)?,
        );
        let value = |r: &Tensor, t: &Tensor| cass_loss(r, t).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(value(&r, &t), value(&t, &r));
        assert!(value(&r, &r).abs() < 1e-6);
        assert!((value(&r, &r.neg()?) - 4.0).abs() < 1e-6);
        assert_eq!(value(&r, &t.zeros_like()?), 2.0);
        assert!(cass_loss(&r, &t.t()?).is_err());
        assert!(cass_loss(&r.squeeze(0)?, &t.squeeze(0)?).is_err());
        Ok(())
    }

    #[test]
    fn gradients_equal_finite_differences() -> Result<()> {
        let other = Tensor::arange(0f64, 12.0, &Device::Cpu)?.reshape((3, 4))?;
        check_slopes("cass", &|x| cass_loss(x, &other));
        check_slopes("variance penalty", &variance_penalty);
        Ok(())
    }
}
