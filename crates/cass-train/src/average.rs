//! Averages of weights over training.

use crate::error::{Error, Result};
use crate::optim::blend_all;
use candle_core::Tensor;
use cass_models::{Mode, Model};

/// Stochastic weight averaging: the equal mean of a network's parameters at chosen moments
/// (`torch.optim.swa_utils.AveragedModel`; Izmailov et al. 2018).
///
/// Buffers are no weights and are not averaged: call [`update_bn`] before use.
pub struct WeightAverage {
    model: Model,
    count: u64,
}

impl WeightAverage {
    /// An average of nothing yet, for networks of the shape of `model`.
    ///
    /// # Errors
    /// If there is no memory for another copy.
    pub fn new(model: &Model) -> Result<Self> {
        Ok(Self {
            model: model.deep_copy()?,
            count: 0,
        })
    }

    /// The average that had counted `count` moments when its parameters were those of `model` now.
    pub(crate) fn resume(model: Model, count: u64) -> Self {
        Self { model, count }
    }

    /// Counts the network as it is now in.
    ///
    /// # Errors
    /// If the networks differ in shape.
    pub fn update(&mut self, model: &Model) -> Result<()> {
        let keep = self.count as f64 / (self.count + 1) as f64;
        blend_parameters(&self.model, model, keep)?;
        self.count += 1;
        Ok(())
    }

    /// How many moments it is the mean of.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The network with the mean weights.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// Re-estimates the running statistics of every BatchNorm as the equal mean over `batches`, in
/// training mode and without gradients (`torch.optim.swa_utils.update_bn`). A network without BatchNorm takes no batch.
///
/// # Errors
/// If a batch is an error or does not fit the network.
pub fn update_bn(model: &Model, batches: impl Iterator<Item = Result<Tensor>>) -> Result<()> {
    if model.params().buffers().is_empty() {
        return Ok(());
    }
    model.params().reset_statistics()?;
    let model = model.frozen()?;
    for batch in batches {
        model.features(&batch?, Mode::Average)?;
    }
    Ok(())
}

/// `target = keep * target + (1 - keep) * source` for every parameter that is trained, no buffer.
pub(crate) fn blend_parameters(target: &Model, source: &Model, keep: f64) -> Result<()> {
    let trained = source.trained().into_iter();
    let pairs = trained.map(|(name, source)| {
        let target = target.params().get(&name).ok_or_else(|| {
            Error::Mismatch("networks of different shapes cannot be averaged".into())
        })?;
        Ok((target.clone(), source.as_tensor().clone()))
    });
    blend_all(&pairs.collect::<Result<Vec<_>>>()?, keep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use cass_models::ModelOptions;

    fn network(name: &str) -> Model {
        let options = ModelOptions {
            num_classes: 3,
            input_size: 32,
            ..ModelOptions::default()
        };
        Model::new(name, &options).unwrap()
    }

    #[test]
    fn statistics_are_the_mean_over_the_batches_and_cost_nothing_where_there_are_none() {
        let never =
            || std::iter::from_fn(|| -> Option<Result<Tensor>> { panic!("a batch was taken") });
        update_bn(&network("vit_tiny_patch16_224"), never()).unwrap();
        let cnn = network("resnet18");
        let images =
            |value: f32| Tensor::full(value, (2, 3, 32, 32), &Device::Cpu).map_err(Error::from);
        let after = |batches: &[f32]| {
            update_bn(&cnn, batches.iter().map(|&value| images(value))).unwrap();
            let mean = cnn.params().get("bn1.running_mean").unwrap();
            mean.abs()
                .unwrap()
                .max(0)
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
        };
        let one = after(&[0.5]);
        assert!(one > 1e-3, "{one}");
        let both = after(&[0.5, -0.5]);
        // What one batch moves the first layer by, the other moves it back by.
        assert!(both < 1e-6, "{both}");
    }
}
