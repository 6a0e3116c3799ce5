//! Cross-entropy of one distribution under another, over very many outputs.

use crate::cuda::{self, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::parallel::{lane_max, lane_sum, share_with, vectorized};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{DType, Result, Tensor, bail};

/// Temperatures that turn logits into distributions, and what keeps the logarithm finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftCrossEntropyConfig {
    /// Divides the target's logits.
    pub target_temp: f64,
    /// Divides the logits that learn.
    pub temp: f64,
    /// Added to a probability before its logarithm is taken.
    pub eps: f64,
}

/// Cross-entropy of softened targets under softened logits, mean over the batch: the loss of DINO
/// (`loss_fn` of vit-pytorch's `dino.py`).
///
/// It is `-Σ softmax((target - center) / target_temp) log(softmax(logits / temp) + eps)`.
///
/// A row is read once while it is in the cache; its gradient is kept instead of the three
/// distributions that a composition of softmax and logarithm keeps.
///
/// # Shapes
/// `target (B, K)`, `center (1, K)`, `logits (B, K)` → scalar
///
/// # Errors
/// If the shapes do not fit, or the inputs are of different types, neither f32 nor f64.
pub fn soft_cross_entropy(
    target: &Tensor,
    center: &Tensor,
    logits: &Tracked,
    config: &SoftCrossEntropyConfig,
) -> Result<Tracked> {
    let (b, k) = logits.value().dims2()?;
    if target.dims() != [b, k] || center.dims() != [1, k] || b * k == 0 {
        bail!(
            "soft_cross_entropy: targets {:?} and centre {:?} do not fit logits ({b}, {k})",
            target.dims(),
            center.dims()
        );
    }
    let (target, center, config) = (target.detach(), center.detach(), *config);
    if let Some(gpu) = Gpu::of(logits) {
        let numbers = [config.target_temp, config.temp, config.eps];
        return cuda::soft_cross_entropy(gpu, &target, &center, logits, numbers);
    }
    if !logits.is_on_cpu() {
        return compose_as("soft_cross_entropy", &[logits], |t| {
            reference::soft_cross_entropy(&target, &center, &t[0], &config)
        });
    }
    let (target, center) = (target.contiguous()?, center.contiguous()?);
    let logits = logits.contiguous()?;
    let (loss, gradient) = timed("soft_cross_entropy", Pass::Forward, || {
        let (tr, cr) = (Read::new(&target)?, Read::new(&center)?);
        let lr = Read::new(logits.value())?;
        with_float!(logits.value().dtype(), "soft_cross_entropy", T => {
            let slices = [tr.slice::<T>()?, cr.slice()?, lr.slice()?];
            let (loss, gradient) = forward(&config, slices, logits.is_tracked());
            let gradient = gradient.map(|g| tensor(g, &[b, k])).transpose()?;
            Ok((Tensor::from_vec(vec![loss], (), target.device())?, gradient))
        })
    })?;
    Ok(Tracked::record(
        "soft_cross_entropy",
        loss,
        &[&logits],
        move |dy| {
            let dy = dy.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            let dx = gradient.map(|gradient| gradient * dy).transpose()?;
            Ok(vec![dx.map(Gradient::fresh)])
        },
    ))
}

/// Elements summed in their own precision; the sums of such pieces are summed in f64.
const PIECE: usize = 4096;

#[inline(always)]
fn sum<T: Element, const N: usize>(len: usize, term: impl Fn(usize) -> [T; N]) -> [f64; N] {
    let mut total = [0.0; N];
    for first in (0..len).step_by(PIECE) {
        let piece = lane_sum(PIECE.min(len - first), |i| term(first + i));
        for (total, piece) in total.iter_mut().zip(piece) {
            *total += piece.to_f64();
        }
    }
    total
}

/// Writes `exp(x - max x)` and gives the reciprocal of its sum.
#[inline(always)]
fn exponentials<T: Element>(len: usize, x: impl Fn(usize) -> T, to: &mut Vec<T>) -> T {
    to.clear();
    to.extend((0..len).map(&x));
    let max = lane_max(to);
    to.iter_mut().for_each(|x| *x = Element::exp(*x - max));
    let [total] = sum(len, |i| [to[i]]);
    T::of(1.0 / total)
}

/// The loss, and its gradient if `wanted`.
fn forward<T: Element>(
    config: &SoftCrossEntropyConfig,
    [target, center, logits]: [&[T]; 3],
    wanted: bool,
) -> (T, Option<Vec<T>>) {
    let k = center.len();
    let b = logits.len() / k;
    let [target_temp, temp] = [config.target_temp, config.temp].map(T::of);
    let (eps, step) = (T::of(config.eps), T::of(1.0 / (config.temp * b as f64)));
    let mut gradient = vec![T::ZERO; if wanted { b * k } else { 0 }];
    let mut rows = gradient.chunks_mut(k);
    let losses = share_with(
        (0..b).map(|_| rows.next()).collect(),
        || (Vec::with_capacity(k), Vec::with_capacity(k)),
        |(p, q), row, gradient| {
            let (target, logits) = (&target[row * k..][..k], &logits[row * k..][..k]);
            vectorized(
                #[inline(always)]
                || {
                    let total = exponentials(k, |i| (target[i] - center[i]) / target_temp, p);
                    p.iter_mut().for_each(|p| *p *= total);
                    let total = exponentials(k, |i| logits[i] / temp, q);
                    q.iter_mut().for_each(|q| *q *= total);
                    let (p, q) = (&p[..k], &q[..k]);
                    let share = |i: usize| p[i] * q[i] / (q[i] + eps);
                    let [loss, shares] = sum(k, |i| [p[i] * (q[i] + eps).ln(), share(i)]);
                    if let Some(gradient) = gradient {
                        let shares = T::of(shares);
                        for (i, g) in gradient.iter_mut().enumerate() {
                            *g = (q[i] * shares - share(i)) * step;
                        }
                    }
                    -loss
                },
            )
        },
    );
    let loss = losses.iter().sum::<f64>() / b as f64;
    (T::of(loss), wanted.then_some(gradient))
}

/// The plain twin, and the path on other devices.
mod reference {
    use super::SoftCrossEntropyConfig;
    use candle_core::{D, Result, Tensor};
    use candle_nn::ops::softmax;

    pub(super) fn soft_cross_entropy(
        target: &Tensor,
        center: &Tensor,
        logits: &Tensor,
        config: &SoftCrossEntropyConfig,
    ) -> Result<Tensor> {
        let target = (target.broadcast_sub(center)? / config.target_temp)?;
        let target = softmax(&target, D::Minus1)?;
        let learned = softmax(&(logits / config.temp)?, D::Minus1)?;
        let learned = (learned + config.eps)?.log()?;
        (target * learned)?.sum(D::Minus1)?.mean(0)?.neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Case, constant, input};

    const DINO: SoftCrossEntropyConfig = SoftCrossEntropyConfig {
        target_temp: 0.04,
        temp: 0.9,
        eps: 1e-20,
    };

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (b, k) in [(1, 1), (2, 7), (3, 40), (2, 9000)] {
            // A target that is no near one-hot, or the f32 loss hangs on one logit's rounding.
            let config = SoftCrossEntropyConfig {
                target_temp: 0.5,
                ..DINO
            };
            let target = |t: &Tensor| {
                let target = input(7, &[b, k])?.to_dtype(t.dtype())?;
                Ok::<_, candle_core::Error>((target, input(8, &[1, k])?.to_dtype(t.dtype())?))
            };
            // One output has no gradient to compare: its probability is 1 whatever the logit.
            if k > 1 {
                Case::new("soft_cross_entropy", &[&[b, k]]).run(
                    |t| {
                        let (target, center) = target(t[0].value())?;
                        soft_cross_entropy(&target, &center, &t[0], &config)
                    },
                    |t| {
                        let (target, center) = target(&t[0])?;
                        reference::soft_cross_entropy(&target, &center, &t[0], &config)
                    },
                )?;
            } else {
                let (target, center) = target(&input(0, &[b, k])?)?;
                let loss = soft_cross_entropy(&target, &center, &constant(0, &[b, k])?, &config)?;
                assert_eq!(loss.value().to_scalar::<f64>()?, 0.0);
            }
        }
        Ok(())
    }

    #[test]
    fn extreme_logits_have_a_finite_loss() -> Result<()> {
        let far = Tensor::new(&[[1e4f32, -1e4, 0.]], &candle_core::Device::Cpu)?;
        let center = far.zeros_like()?;
        let other = candle_core::Var::from_tensor(&far.neg()?)?;
        let loss = soft_cross_entropy(&far, &center, &Tracked::from(&other), &DINO)?;
        // log ε: the target's only class has probability 0.
        let value = loss.value().to_scalar::<f32>()?;
        assert!((value + 1e-20f32.ln()).abs() < 1e-4, "{value}");
        let grads = loss.backward()?;
        let dx = grads.get(&other).map(|g| g.flatten_all()?.to_vec1::<f32>());
        assert!(
            dx.transpose()?
                .is_some_and(|dx| dx.iter().all(|g| g.is_finite()))
        );
        Ok(())
    }

    #[test]
    fn a_logit_that_is_no_number_makes_a_loss_that_is_none() -> Result<()> {
        let cpu = &candle_core::Device::Cpu;
        let (good, bad) = (
            Tensor::new(&[[1f32, 2., 3.]], cpu)?,
            Tensor::new(&[[1f32, f32::NAN, 3.]], cpu)?,
        );
        for (target, logits) in [(&good, &bad), (&bad, &good)] {
            let logits = Tracked::constant(logits);
            let loss = soft_cross_entropy(target, &good.zeros_like()?, &logits, &DINO)?;
            assert!(loss.value().to_scalar::<f32>()?.is_nan());
        }
        Ok(())
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() -> Result<()> {
        let (target, logits) = (input(0, &[2, 3])?, constant(1, &[2, 4])?);
        assert!(soft_cross_entropy(&target, &input(2, &[1, 4])?, &logits, &DINO).is_err());
        let target = input(0, &[2, 4])?;
        assert!(soft_cross_entropy(&target, &input(2, &[1, 3])?, &logits, &DINO).is_err());
        Ok(())
    }
}
