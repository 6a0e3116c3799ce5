//! DINO's loss, a kernel of `cass-ops`.

use candle_core::{Result, Tensor};
use cass_ops::Tracked;
use cass_ops::nn::{SoftCrossEntropyConfig, soft_cross_entropy};

/// ε inside the logarithm of vit-pytorch's `loss_fn`.
const DINO_EPS: f64 = 1e-20;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::Golden;
    use cass_ops::compose;

    #[test]
    fn dino_equals_torch() {
        for case in ["dino", "dino_peaked"] {
            Golden::load().check(case, &["s1", "s2"], |get, s| {
                let one = |t: &str, s: &Tracked| dino_loss(&get(t), s, &get("centers"), 0.04, 0.9);
                let (first, second) = (one("t1", &s[1])?, one("t2", &s[0])?);
                compose(&[&first, &second], |l| (&l[0] + &l[1])? / 2.0)
            });
        }
    }
}
