//! The loss of a contrast: a composition of Candle's operations.

use crate::methods::directions;
use candle_core::{D, Result, Tensor, bail};

/// ε of `torch.nn.functional.normalize`.
const NORMALIZE_EPS: f64 = 1e-12;
/// ε of `torch.nn.functional.batch_norm`.
const VARIANCE_EPS: f64 = 1e-5;
/// What is added to the logit of a key that a query is not to be compared with.
const LEFT_OUT: f64 = -1e9;

/// NT-Xent of queries against keys: `-log softmax(cos(query, key) / temperature)` at the key of the same image in
/// the other view, mean over the queries. The key of the same image in the same view is left out.
///
/// Queries and keys of two views: row `i` is image `i` in the first, row `B + i` the same in the second. With one
/// set as both it is SimCLR's loss (Chen et al. 2020, equation 1); with those of two networks each learns from the
/// other's. `others` are more keys, of images that are none of these. Gradients flow into queries and keys.
///
/// # Shapes
/// `queries (2 B, D)`, `keys (2 B, D)`, `others (Q, D)` → scalar
///
/// # Errors
/// If the shapes do not fit.
pub fn contrast_loss(
    queries: &Tensor,
    keys: &Tensor,
    others: Option<&Tensor>,
    temperature: f64,
) -> Result<Tensor> {
    let (rows, width) = queries.dims2()?;
    if keys.dims() != [rows, width] || rows < 2 || rows % 2 == 1 {
        bail!(
            "a contrast needs queries and keys (2 B, D), not {:?} and {:?}",
            queries.dims(),
            keys.dims()
        );
    }
    let (queries, keys) = (normalize(queries)?, normalize(keys)?);
    let own = queries.matmul(&keys.t()?)?; // (2 B, 2 B)
    let other_view: Vec<u32> = (0..rows).map(|i| ((i + rows / 2) % rows) as u32).collect();
    let device = queries.device();
    let other_view = Tensor::from_vec(other_view, (rows, 1), device)?;
    let positive = own.gather(&other_view, 1)?; // (2 B, 1)
    let same = (Tensor::eye(rows, queries.dtype(), device)? * LEFT_OUT)?;
    let mut logits = ((own / temperature)? + same)?;
    if let Some(others) = others {
        let others = queries.matmul(&normalize(others)?.t()?)?; // (2 B, Q)
        logits = Tensor::cat(&[&logits, &(others / temperature)?], 1)?;
    }
    let most = logits.max_keepdim(D::Minus1)?.detach();
    let sum = logits.broadcast_sub(&most)?.exp()?.sum_keepdim(D::Minus1)?;
    let all = (sum.log()? + most)?; // (2 B, 1)
    (all - (positive / temperature)?)?.mean_all()
}

/// Mean squared error of predictions of a network's features, these standardised over the rows: what a constant
/// predicts well costs nothing, and each feature counts alike. No gradient reaches the features.
///
/// # Shapes
/// `predictions (B, D)`, `features (B, D)` → scalar
///
/// # Errors
/// If the shapes differ.
pub fn prediction_loss(predictions: &Tensor, features: &Tensor) -> Result<Tensor> {
    let features = features.detach();
    let centred = features.broadcast_sub(&features.mean_keepdim(0)?)?;
    let variance = centred.sqr()?.mean_keepdim(0)?; // (1, D)
    let standard = centred.broadcast_div(&(variance + VARIANCE_EPS)?.sqrt()?)?;
    (predictions - standard)?.sqr()?.mean_all()
}

/// `torch.nn.functional.normalize`.
fn normalize(x: &Tensor) -> Result<Tensor> {
    directions::normalize(x, NORMALIZE_EPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::{Golden, check_slopes};
    use candle_core::Device;
    use cass_ops::compose;

    #[test]
    fn a_contrast_equals_torch_with_itself_another_and_more_keys() {
        let golden = Golden::load();
        golden.check("contrast", &["q", "k"], |_, v| {
            compose(&[&v[0], &v[1]], |v| contrast_loss(&v[0], &v[1], None, 0.2))
        });
        golden.check("contrast_self", &["q"], |_, v| {
            compose(&[&v[0]], |v| contrast_loss(&v[0], &v[0], None, 0.2))
        });
        golden.check("contrast_others", &["q", "k"], |get, v| {
            let others = get("others");
            compose(&[&v[0], &v[1]], |v| {
                contrast_loss(&v[0], &v[1], Some(&others), 0.2)
            })
        });
    }

    #[test]
    fn predictions_of_features_equal_torch_a_constant_feature_included() {
        Golden::load().check("prediction", &["p"], |get, v| {
            let features = get("features");
            compose(&[&v[0]], |v| prediction_loss(&v[0], &features))
        });
    }

    #[test]
    fn gradients_equal_finite_differences() -> Result<()> {
        // The slopes are taken of three rows: a constant fourth makes two images in two views of them.
        let fourth = Tensor::new(&[[0.3f64, -1.0, 0.2, 0.9]], &Device::Cpu)?;
        let rows = |x: &Tensor| Tensor::cat(&[x, &fourth], 0);
        let keys = (Tensor::arange(0f64, 16.0, &Device::Cpu)?
            .reshape((4, 4))?
            .sin())?;
        let others = (Tensor::arange(0f64, 8.0, &Device::Cpu)?
            .reshape((2, 4))?
            .cos())?;
        check_slopes("with itself", &|x| {
            contrast_loss(&rows(x)?, &rows(x)?, None, 0.5)
        });
        check_slopes("queries", &|x| {
            contrast_loss(&rows(x)?, &keys, Some(&others), 0.5)
        });
        let features = Tensor::arange(0f64, 12.0, &Device::Cpu)?.reshape((3, 4))?;
        check_slopes("predictions", &|x| prediction_loss(x, &features.sin()?));
        check_slopes("keys", &|x| contrast_loss(&keys, &rows(x)?, None, 0.5));
        Ok(())
    }

    #[test]
    fn what_tells_images_apart_costs_little_and_what_does_not_costs_the_chance() -> Result<()> {
        let value = |rows: &[[f32; 2]; 4], temperature| -> Result<f32> {
            let rows = Tensor::new(rows, &Device::Cpu)?;
            contrast_loss(&rows, &rows, None, temperature)?.to_scalar()
        };
        // Two images, each alike in both views and opposite to the other.
        let apart = [[1.0, 0.0], [-1.0, 0.0], [3.0, 0.0], [-0.5, 0.0]];
        assert!(value(&apart, 0.1)? < 1e-6);
        // Outputs that tell nothing: one of three keys.
        let same = [[1.0, 1.0]; 4];
        assert!((value(&same, 0.1)? - 3f32.ln()).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn queries_and_keys_of_two_views_are_expected() -> Result<()> {
        let (even, odd) = (
            Tensor::ones((4, 3), candle_core::DType::F32, &Device::Cpu)?,
            Tensor::ones((3, 3), candle_core::DType::F32, &Device::Cpu)?,
        );
        for (queries, keys) in [(&odd, &odd), (&even, &odd)] {
            let error = contrast_loss(queries, keys, None, 0.1).unwrap_err();
            assert!(error.to_string().contains("(2 B, D)"), "{error}");
        }
        Ok(())
    }
}
