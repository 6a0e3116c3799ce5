//! BYOL's loss and the network that follows.

use crate::average::blend_parameters;
use crate::error::Result;
use crate::methods::cass_loss;
use crate::methods::siamese::{Objective, Online};
use candle_core::Tensor;
use cass_ops::{Tracked, compose};
use std::f64::consts::PI;

/// What BYOL asks of two views: `2 - 2 cos(prediction, target)`, there and back, the mean squared distance of both at
/// length 1 (Grill et al. 2020, equation 2), which is [CASS' loss](cass_loss) but that no gradient reaches the target.
///
/// The target runs in training mode: its BatchNorm normalises by its own batches.
pub(crate) struct Byol {
    momentum: f64,
    steps: Option<u64>,
    target: Online,
}

impl Byol {
    /// A target that begins as a copy of the network and its projector; it has no predictor.
    pub(super) fn new(momentum: f64, online: &Online, steps: Option<u64>) -> Result<Self> {
        let projector = online.heads.iter().take(1);
        let heads = projector.map(|(name, head)| Ok((*name, head.deep_copy()?)));
        Ok(Self {
            momentum,
            steps,
            target: Online {
                name: online.name.clone(),
                network: online.network.deep_copy()?,
                heads: heads.collect::<Result<_>>()?,
                mode: online.mode,
                precision: online.precision,
            },
        })
    }

    /// How much of the target stays after a step, counted from 0: ever more, until at the end of the run all of it
    /// does; as in the first step where the run's length is not known.
    fn keep(&self, step: u64) -> f64 {
        let done = self
            .steps
            .map_or(0.0, |steps| (step as f64 / steps.max(1) as f64).min(1.0));
        1.0 - (1.0 - self.momentum) * ((PI * done).cos() + 1.0) / 2.0
    }
}

/// The loss of both predictions.
fn byol_loss([q1, q2]: [&Tensor; 2], [t1, t2]: [&Tensor; 2]) -> candle_core::Result<Tensor> {
    cass_loss(q1, t2)? + cass_loss(q2, t1)?
}

impl Objective for Byol {
    fn loss(&self, online: &Online, [first, second]: &[Tensor; 2]) -> Result<Tracked> {
        let ([_, q1], [_, q2]) = (
            online.project(first, false)?,
            online.project(second, false)?,
        );
        let ([t1], [t2]) = (
            self.target.project(first, true)?,
            self.target.project(second, true)?,
        );
        Ok(compose(&[&q1, &q2], |q| {
            byol_loss([&q[0], &q[1]], [t1.value(), t2.value()])
        })?)
    }

    fn follow(&mut self, online: &Online, step: u64) -> Result<()> {
        let keep = self.keep(step);
        blend_parameters(&self.target.network, &online.network, keep)?;
        let mut heads = self.target.heads.iter().zip(&online.heads);
        heads.try_for_each(|((_, target), (_, online))| target.blend(online, keep))
    }

    fn target(&self) -> Option<&Online> {
        Some(&self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::testing::{Golden, check_slopes};
    use candle_core::Device;

    #[test]
    fn byol_equals_torch() {
        Golden::load().check("byol", &["q1", "q2"], |get, q| {
            let (t1, t2) = (get("t1"), get("t2"));
            compose(&[&q[0], &q[1]], |q| byol_loss([&q[0], &q[1]], [&t1, &t2]))
        });
    }

    #[test]
    fn gradients_equal_finite_differences() -> candle_core::Result<()> {
        let other = Tensor::arange(0f64, 12.0, &Device::Cpu)?.reshape((3, 4))?;
        check_slopes("byol", &|x| byol_loss([x, &other], [&other, &other]));
        check_slopes("byol, back", &|x| {
            byol_loss([&other, x], [&other.neg()?, &other])
        });
        Ok(())
    }
}
