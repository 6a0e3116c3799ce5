//! Losses over logits: DINO's a kernel of `cass-ops`, the others compositions of operations whose
//! Candle gradients are right.

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::ops::{log_softmax, sigmoid};
use cass_ops::{SoftCrossEntropyConfig, Tracked, soft_cross_entropy};
use serde::{Deserialize, Serialize};

/// ε of `torch.nn.functional.normalize`.
const NORMALIZE_EPS: f64 = 1e-12;
/// ε of VICReg's standard deviations.
const VICREG_EPS: f64 = 1e-4;
/// VICReg's weight of the covariances, 1, against its 25 of agreement and variance.
const VICREG_COVARIANCE: f64 = 1.0 / 25.0;
/// ε inside the logarithms of the published notebook's focal loss.
const FOCAL_EPS: f64 = 1e-12;
/// ε inside the logarithm of vit-pytorch's `loss_fn`.
const DINO_EPS: f64 = 1e-20;

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
    if r.dims() != t.dims() || r.rank() != 2 {
        bail!(
            "CASS compares two (B, K) tensors, not {:?} and {:?}",
            r.dims(),
            t.dims()
        );
    }
    let cosine = (normalize(r)? * normalize(t)?)?.sum(D::Minus1)?; // (B)
    (2.0 - (cosine * 2.0)?)?.mean(0)
}

/// VICReg's penalty of outputs that vary too little over the batch, or together (Bardes et al. 2022,
/// equations 1 to 4): `mean_j max(0, 1 - sqrt(var_j + 1e-4)) + 0.04 / K · Σ_{i≠j} cov_ij²`, 0.04 being
/// the ratio of its weights there. Beyond the CASS paper: see [`Guard::Variance`](crate::Guard::Variance).
///
/// # Shapes
/// `x (B, K)`, B from 2 → scalar
///
/// # Errors
/// If there are fewer than two rows.
pub fn variance_penalty(x: &Tensor) -> Result<Tensor> {
    let (rows, outputs) = x.dims2()?;
    if rows < 2 {
        bail!("variance penalty: {rows} rows have no variance");
    }
    let degrees = (rows - 1) as f64;
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    let var = (centred.sqr()?.sum(0)? / degrees)?; // (K)
    let flat = (1.0 - (&var + VICREG_EPS)?.sqrt()?)?.relu()?.mean(0)?;
    // All squares of the K x K covariances are those of the B x B products of rows.
    let gram = (centred.matmul(&centred.t()?)? / degrees)?;
    let together = (gram.sqr()?.sum_all()? - var.sqr()?.sum_all()?)?;
    flat + (together * (VICREG_COVARIANCE / outputs as f64))?
}

/// `x / max(‖x‖₂, ε)` over the last dimension, as `torch.nn.functional.normalize`.
///
/// The maximum is taken of the squares: under a root, a zero would have an infinite gradient.
fn normalize(x: &Tensor) -> Result<Tensor> {
    let squares = x.sqr()?.sum_keepdim(D::Minus1)?; // (B, 1)
    x.broadcast_div(&squares.maximum(NORMALIZE_EPS * NORMALIZE_EPS)?.sqrt()?)
}

/// DINO's loss: cross-entropy of the student's distribution under the teacher's centred and
/// sharpened one, mean over the batch (`loss_fn` of vit-pytorch 0.35.8). No gradient reaches the teacher.
///
/// # Shapes
/// `teacher (B, K)`, `student (B, K)`, `centers (1, K)` → scalar
///
/// # Errors
/// If the shapes do not fit.
pub fn dino_loss(
    teacher: &Tensor,
    student: &Tracked,
    centers: &Tensor,
    teacher_temp: f64,
    student_temp: f64,
) -> Result<Tracked> {
    let config = SoftCrossEntropyConfig {
        target_temp: teacher_temp,
        temp: student_temp,
        eps: DINO_EPS,
    };
    soft_cross_entropy(teacher, centers, student, &config)
}

/// Focal loss (Lin et al. 2017) with a weight per class.
#[derive(Debug, Clone, PartialEq)]
pub struct FocalLoss {
    /// Factor of the whole loss.
    pub alpha: f64,
    /// How much less an example counts that is classified well already; 0 or from 1.
    pub gamma: f64,
    /// One weight a class.
    pub weights: Vec<f64>,
    /// Of what the loss is taken.
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

    /// Of each sample and class, `(B, C)`, without α.
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
/// assert_eq!(cass_train::class_weights(&[10, 30, 10]), [0.2, 1.0, 0.2]);
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
mod tests;
