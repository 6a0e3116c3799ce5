//! VICReg's loss, a composition of Candle's operations.

use super::config::VicregConfig;
use candle_core::{Result, Tensor, bail};

/// ε of the standard deviations.
const EPS: f64 = 1e-4;

/// VICReg's loss of the embeddings of two views (Bardes et al. 2022, equations 1 to 6, weighed as
/// `facebookresearch/vicreg` does): `sim_coeff` times their mean squared difference, `std_coeff` times the mean over
/// both of `mean_j max(0, 1 - sqrt(var_j + 1e-4))`, and `cov_coeff` times the sum over both of `Σ_{i≠j} cov_ij² / K`.
///
/// # Shapes
/// `a (B, K)`, `b (B, K)`, B from 2 → scalar
///
/// # Errors
/// If the shapes differ, or there are fewer than two rows.
pub fn vicreg_loss(a: &Tensor, b: &Tensor, config: &VicregConfig) -> Result<Tensor> {
    if a.dims() != b.dims() || a.rank() != 2 {
        bail!(
            "VICReg compares two (B, K) tensors, not {:?} and {:?}",
            a.dims(),
            b.dims()
        );
    }
    let invariance = (a - b)?.sqr()?.mean_all()?;
    let ([flat_a, together_a], [flat_b, together_b]) = (spread(a)?, spread(b)?);
    let variance = ((flat_a + flat_b)? / 2.0)?;
    let covariance = ((together_a + together_b)? / a.dim(1)? as f64)?;
    (invariance * config.sim_coeff)?
        + ((variance * config.std_coeff)? + (covariance * config.cov_coeff)?)?
}

/// By how much outputs vary too little over the batch, `mean_j max(0, 1 - sqrt(var_j + 1e-4))`, and how far they vary
/// together, `Σ_{i≠j} cov_ij²`.
pub(in crate::methods) fn spread(x: &Tensor) -> Result<[Tensor; 2]> {
    let rows = x.dims2()?.0;
    if rows < 2 {
        bail!("variance over a batch: {rows} rows have no variance");
    }
    let degrees = (rows - 1) as f64;
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    let var = (centred.sqr()?.sum(0)? / degrees)?; // (K)
    let flat = (1.0 - (&var + EPS)?.sqrt()?)?.relu()?.mean(0)?;
    // All squares of the K x K covariances are those of the B x B products of rows.
    let gram = (centred.matmul(&centred.t()?)? / degrees)?;
    let together = (gram.sqr()?.sum_all()? - var.sqr()?.sum_all()?)?;
    Ok([flat, together])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::{Golden, check_slopes};
    use candle_core::Device;
    use cass_ops::compose;

    #[test]
    fn vicreg_equals_torch_a_constant_output_included() {
        Golden::load().check("vicreg", &["a", "b"], |_, v| {
            let config = VicregConfig::default();
            compose(&[&v[0], &v[1]], |v| vicreg_loss(&v[0], &v[1], &config))
        });
    }

    #[test]
    fn vicreg_is_symmetric_and_checks_shapes() -> Result<()> {
        let config = VicregConfig::default();
        let a = Tensor::new(&[[1f32, 2.0], [0.0, 1.0]], &Device::Cpu)?;
        let b = Tensor::new(&[[3f32, -1.0], [1.0, 1.0]], &Device::Cpu)?;
        let value = |a: &Tensor, b: &Tensor| vicreg_loss(a, b, &config)?.to_scalar::<f32>();
        assert_eq!(value(&a, &b)?, value(&b, &a)?);
        assert!(vicreg_loss(&a, &b.narrow(1, 0, 1)?, &config).is_err());
        let error = value(&a.narrow(0, 0, 1)?, &b.narrow(0, 0, 1)?).unwrap_err();
        assert!(
            error.to_string().contains("1 rows have no variance"),
            "{error}"
        );
        // What tells nothing apart agrees, and pays for its missing variance alone: 25 · (1 - sqrt(1e-4)).
        let flat = a.zeros_like()?;
        assert!((value(&flat, &flat)? - 24.75).abs() < 1e-5);
        Ok(())
    }

    #[test]
    fn gradients_equal_finite_differences() -> Result<()> {
        let config = VicregConfig::default();
        let other = (Tensor::arange(0f64, 12.0, &Device::Cpu)?.reshape((3, 4))? * 0.1)?;
        check_slopes("vicreg", &|x| vicreg_loss(x, &other, &config));
        check_slopes("vicreg, the other view", &|x| {
            vicreg_loss(&other, x, &config)
        });
        Ok(())
    }
}
