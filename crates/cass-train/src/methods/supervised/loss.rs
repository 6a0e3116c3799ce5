//! The focal loss, of Candle's operations whose gradients are right.

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::ops::{log_softmax, sigmoid};
use serde::{Deserialize, Serialize};

/// ε inside the logarithms of the published notebook's focal loss.
const FOCAL_EPS: f64 = 1e-12;

/// Focal loss (Lin et al. 2017) with a weight per class.
#[derive(Debug, Clone, PartialEq)]
pub struct FocalLoss {
    /// Factor of the whole loss.
    pub alpha: f64,
    /// How much less an example counts that is classified well already; 0 or from 1.
    pub gamma: f64,
    /// Weight of each class.
    pub weights: Vec<f64>,
    /// What the loss is taken of.
    pub form: FocalForm,
}

/// What a [`FocalLoss`] is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FocalForm {
    /// `-α w_y (1 - p_y)^γ log p_y` of the softmax `p`, mean over the batch: the paper's text.
    Softmax,
    /// A binary focal loss of each class' sigmoid, times the class' weight, mean over batch and
    /// classes: the published notebook.
    Sigmoid,
}

impl FocalLoss {
    /// α 1, γ 2 and [`class_weights`] of the training split (appendix E.2.2).
    pub fn new(form: FocalForm, counts: &[usize]) -> Self {
        Self {
            alpha: 1.0,
            gamma: 2.0,
            weights: class_weights(counts),
            form,
        }
    }

    /// The loss of a batch.
    ///
    /// # Shapes
    /// `logits (B, C)`, `labels` B values below C → scalar
    ///
    /// # Errors
    /// If the shapes do not fit or a label is out of range.
    pub fn forward(&self, logits: &Tensor, labels: &[usize]) -> Result<Tensor> {
        self.forward_targets(logits, &one_hot(labels, self.weights.len())?)
    }

    /// The loss of a batch in which a sample may be of any number of classes.
    ///
    /// # Shapes
    /// `logits (B, C)`, `targets (B, C)` row-major, 1 at each class of a sample and 0 elsewhere → scalar.
    /// Under [`FocalForm::Sigmoid`] a NaN is a target that is not known: the mean is over the others.
    ///
    /// # Errors
    /// If the shapes do not fit, or [`FocalForm::Softmax`] meets a sample that is not of one class.
    pub fn forward_targets(&self, logits: &Tensor, targets: &[f32]) -> Result<Tensor> {
        let (batch, classes) = logits.dims2()?;
        if batch * classes != targets.len() || classes != self.weights.len() {
            bail!(
                "focal loss: logits {:?}, {} targets and {} class weights do not fit",
                logits.dims(),
                targets.len(),
                self.weights.len()
            );
        }
        let hot = Tensor::from_slice(targets, (batch, classes), logits.device())?;
        let hot = if logits.dtype() == DType::F32 {
            hot
        } else {
            hot.to_dtype(logits.dtype())?
        };
        match self.form {
            FocalForm::Softmax => {
                let mut sums = targets.chunks(classes).map(|row| row.iter().sum::<f32>());
                if let Some(sum) = sums.find(|&sum| sum != 1.0) {
                    bail!("focal loss: a softmax chooses one class, and a sample is of {sum}");
                }
                self.softmax(logits, &hot)
            }
            FocalForm::Sigmoid if targets.iter().any(|t| t.is_nan()) => {
                let known: Vec<f32> = targets.iter().map(|t| f32::from(!t.is_nan())).collect();
                let count = known.iter().sum::<f32>().max(1.0);
                let known = Tensor::from_slice(&known, hot.shape(), hot.device())?;
                let hot: Vec<f32> = targets.iter().map(|t| t.max(0.0)).collect(); // of NaN: 0
                let hot = Tensor::from_slice(&hot, known.shape(), known.device())?;
                let [hot, known] = [hot, known].map(|t| t.to_dtype(logits.dtype()));
                let loss = (self.sigmoid(logits, &hot?)? * known?)?;
                loss.sum_all()? * (-self.alpha / f64::from(count))
            }
            FocalForm::Sigmoid => self.sigmoid(logits, &hot)?.mean_all()? * -self.alpha,
        }
    }

    fn softmax(&self, logits: &Tensor, hot: &Tensor) -> Result<Tensor> {
        let log_p = (log_softmax(logits, D::Minus1)? * hot)?.sum(D::Minus1)?; // (B)
        let weights = hot.broadcast_mul(&self.weights(logits)?)?.sum(D::Minus1)?;
        let loss = (self.modulate(&(1.0 - log_p.exp()?)?, &log_p)? * weights)?;
        loss.mean(0)? * -self.alpha
    }

    /// Loss of each sample and class, `(B, C)`, without α.
    fn sigmoid(&self, logits: &Tensor, hot: &Tensor) -> Result<Tensor> {
        let p = sigmoid(logits)?;
        // As published: in f32 this is 0 from a logit of 17 on, where the ε then stands alone.
        let q = (1.0 - &p)?;
        let positive = self.modulate(&q, &(&p + FOCAL_EPS)?.log()?)?;
        let negative = self.modulate(&p, &(&q + FOCAL_EPS)?.log()?)?;
        let loss = ((positive * hot)? + (negative * (1.0 - hot)?)?)?; // (B, C)
        loss.broadcast_mul(&self.weights(logits)?)
    }

    /// `miss^γ · log_p`.
    fn modulate(&self, miss: &Tensor, log_p: &Tensor) -> Result<Tensor> {
        match self.gamma {
            0.0 => Ok(log_p.clone()),
            2.0 => miss.sqr()? * log_p,
            // Rounding may leave a tiny negative, whose power would not be a number.
            gamma => miss.maximum(0.0)?.powf(gamma)? * log_p,
        }
    }

    fn weights(&self, like: &Tensor) -> Result<Tensor> {
        Tensor::from_slice(&self.weights, (1, self.weights.len()), like.device())?
            .to_dtype(like.dtype())
    }
}

/// `(B, C)` row-major: 1 at each label.
fn one_hot(labels: &[usize], classes: usize) -> Result<Vec<f32>> {
    let mut hot = vec![0f32; labels.len() * classes];
    for (row, &label) in hot.chunks_exact_mut(classes.max(1)).zip(labels) {
        match row.get_mut(label) {
            Some(cell) => *cell = 1.0,
            None => bail!("focal loss: label {label} of {classes} classes"),
        }
    }
    Ok(hot)
}

/// The published class weights, from 0.2 for the rarest class to 1 for the *most frequent*:
/// `0.2 + 0.8 (n - min) / (max - min)`; 1 for all where all are equally frequent.
///
/// ```
/// assert_eq!(cass_train::methods::class_weights(&[10, 30, 10]), [0.2, 1.0, 0.2]);
/// ```
pub fn class_weights(counts: &[usize]) -> Vec<f64> {
    let low = counts.iter().min().copied().unwrap_or(0);
    let high = counts.iter().max().copied().unwrap_or(0);
    let share = |n: usize| match high - low {
        0 => 1.0,
        range => (n - low) as f64 / range as f64,
    };
    counts.iter().map(|&n| 0.2 + 0.8 * share(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::{Golden, check_slopes};
    use candle_core::{Device, Var};
    use cass_ops::compose;

    fn labels(target: &Tensor) -> Vec<usize> {
        target
            .to_vec1::<i64>()
            .unwrap()
            .into_iter()
            .map(|y| y as usize)
            .collect()
    }

    fn focal(form: FocalForm, weight: &Tensor) -> FocalLoss {
        let weights = weight.to_dtype(DType::F64).unwrap().to_vec1().unwrap();
        FocalLoss {
            alpha: 1.0,
            gamma: 2.0,
            weights,
            form,
        }
    }

    #[test]
    fn focal_losses_equal_torch() {
        let golden = Golden::load();
        for suffix in ["", "_extreme"] {
            golden.check(&format!("focal_softmax{suffix}"), &["logits"], |get, v| {
                let focal = focal(FocalForm::Softmax, &get("weight"));
                compose(&[&v[0]], |v| focal.forward(&v[0], &labels(&get("target"))))
            });
            golden.check(&format!("focal_sigmoid{suffix}"), &["logits"], |get, v| {
                let target = get("target").argmax(D::Minus1)?.to_dtype(DType::I64)?;
                let focal = focal(FocalForm::Sigmoid, &get("weight"));
                compose(&[&v[0]], |v| focal.forward(&v[0], &labels(&target)))
            });
            golden.check(
                &format!("focal_sigmoid_several{suffix}"),
                &["logits"],
                |get, v| {
                    let targets = get("target").to_dtype(DType::F32)?.flatten_all()?;
                    let targets = targets.to_vec1::<f32>()?;
                    let focal = focal(FocalForm::Sigmoid, &get("weight"));
                    compose(&[&v[0]], |v| focal.forward_targets(&v[0], &targets))
                },
            );
        }
    }

    #[test]
    fn class_weights_equal_the_notebooks() {
        let golden = Golden::load();
        let counts = labels(&golden.get(DType::F64, "class_weights.counts"));
        let want = golden
            .get(DType::F64, "class_weights.value")
            .to_vec1::<f64>()
            .unwrap();
        for (got, want) in class_weights(&counts).iter().zip(want) {
            assert!((got - want).abs() < 1e-12);
        }
        assert_eq!(class_weights(&[7, 7]), [1.0, 1.0]);
        assert_eq!(class_weights(&[]), [0.0; 0]);
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let focal = |form, gamma| FocalLoss {
            alpha: 0.5,
            gamma,
            weights: vec![0.2, 1.0, 0.5, 0.7],
            form,
        };
        for (form, gamma) in [
            (FocalForm::Softmax, 2.0),
            (FocalForm::Softmax, 0.0),
            (FocalForm::Softmax, 1.5),
            (FocalForm::Sigmoid, 2.0),
        ] {
            let focal = focal(form, gamma);
            check_slopes(&format!("{form:?} {gamma}"), &|x| {
                focal.forward(x, &[3, 0, 1])
            });
        }
    }

    #[test]
    fn wrong_labels_and_shapes_are_errors() -> Result<()> {
        let logits = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        for form in [FocalForm::Softmax, FocalForm::Sigmoid] {
            for labels in [&[0, 3][..], &[0], &[0, 1, 2]] {
                assert!(
                    FocalLoss::new(form, &[1, 2, 3])
                        .forward(&logits, labels)
                        .is_err()
                );
            }
            assert!(
                FocalLoss::new(form, &[1, 2])
                    .forward(&logits, &[0, 1])
                    .is_err()
            );
            let several = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
            let loss = FocalLoss::new(form, &[1, 2, 3]).forward_targets(&logits, &several);
            assert_eq!(loss.is_ok(), form == FocalForm::Sigmoid);
        }
        Ok(())
    }

    /// The mean over what is known is the loss of that alone, and what is not gets no gradient.
    #[test]
    fn unknown_targets_count_in_no_focal_loss() {
        let loss = FocalLoss {
            weights: vec![0.5, 1.5],
            ..FocalLoss::new(FocalForm::Sigmoid, &[1, 1])
        };
        let logits = Var::from_slice(&[0.3f64, -1.0, 2.0, 0.7], (2, 2), &Device::Cpu).unwrap();
        let masked = loss
            .forward_targets(&logits, &[1.0, f32::NAN, 0.0, 1.0])
            .unwrap();
        let of = |targets: &[f32; 4]| {
            let all = loss.forward_targets(&logits, targets).unwrap();
            4.0 * all.to_scalar::<f64>().unwrap()
        };
        // The term of the unknown target, from two losses that differ in the other class' term alone.
        let weights = |a, b| FocalLoss {
            weights: vec![a, b],
            ..loss.clone()
        };
        let row = logits.narrow(0, 0, 1).unwrap();
        let term = weights(0.0, 1.5)
            .forward_targets(&row, &[1.0, 0.0])
            .unwrap();
        let term = 2.0 * term.to_scalar::<f64>().unwrap();
        let want = (of(&[1.0, 0.0, 0.0, 1.0]) - term) / 3.0;
        assert!((masked.to_scalar::<f64>().unwrap() - want).abs() < 1e-12);
        let gradient = masked.backward().unwrap().get(&logits).unwrap().clone();
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(
            gradient[1] == 0.0 && gradient.iter().all(|g| g.is_finite()),
            "{gradient:?}"
        );
        assert!(gradient[0] != 0.0 && gradient[2] != 0.0 && gradient[3] != 0.0);
    }
}
