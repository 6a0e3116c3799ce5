//! The classifier on cached features as one step of its own: logits, focal gradient and Adam over a
//! (C, D) matrix, without a graph. Equal to the general [`SupervisedStep`](cass_train::methods::SupervisedStep).

use super::counts::MicroCounts;
use super::learner::{Summed, TrainedEpoch};
use super::recipe::ProbeRecipe;
use super::vector::{add_scaled, dot};
use crate::Result;
use candle_core::{DType, Device, Tensor, Var};
use cass_models::Model;
use cass_train::methods::{FocalForm, FocalLoss};
use cass_train::optim::{AdamConfig, OptimizerConfig};
use cass_train::schedule::Schedule;

/// Trains the classifier of a network. Its variables are up to date after every epoch.
pub(crate) struct Head {
    model: Model,
    loss: FocalLoss,
    adam: AdamConfig,
    schedule: Schedule,
    /// `(C, D)` row-major, then `(C)`.
    params: [Param; 2],
    steps: u64,
}

/// A parameter with its gradient and Adam's two averages.
struct Param {
    var: Var,
    values: Vec<f32>,
    grad: Vec<f32>,
    exp_avg: Vec<f32>,
    exp_avg_sq: Vec<f32>,
}

impl Head {
    /// Whether a recipe and a network have what this step does: Adam, the softmax form, one linear
    /// classifier in f32 on the CPU. Everything else takes the general step.
    pub(crate) fn fits(recipe: &ProbeRecipe, model: &Model, loss: &FocalLoss) -> bool {
        let options = model.options();
        matches!(recipe.optimizer, OptimizerConfig::Adam(_))
            && loss.form == FocalForm::Softmax
            && loss.gamma == 2.0
            && model.classifier_params().len() == 2
            && options.dtype == DType::F32
            && matches!(options.device, Device::Cpu)
    }

    /// A step where [`Head::fits`]; `None` elsewhere.
    pub(crate) fn new(
        recipe: &ProbeRecipe,
        model: &Model,
        loss: &FocalLoss,
    ) -> Result<Option<Self>> {
        let fits = Self::fits(recipe, model, loss);
        let params = model.classifier_params();
        let (OptimizerConfig::Adam(adam), [weight, bias], true) =
            (&recipe.optimizer, params.as_slice(), fits)
        else {
            return Ok(None);
        };
        let is_weight = |(_, var): &(String, Var)| var.rank() == 2;
        let (weight, bias) = if is_weight(weight) {
            (weight, bias)
        } else {
            (bias, weight)
        };
        Ok(Some(Self {
            model: model.frozen()?,
            loss: loss.clone(),
            adam: adam.clone(),
            schedule: Schedule::new(recipe.schedule.clone(), adam.lr),
            params: [Param::new(&weight.1)?, Param::new(&bias.1)?],
            steps: 0,
        }))
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn loss(&self) -> &FocalLoss {
        &self.loss
    }

    /// Steps through the rows of `features` (N, D) in `order`, `batch` at a time.
    pub(crate) fn train_epoch(
        &mut self,
        features: &[f32],
        labels: &[usize],
        order: &[u32],
        batch: usize,
    ) -> Result<TrainedEpoch> {
        let dim = self.model.feature_dim();
        let mut sum = Summed::default();
        for rows in order.chunks(batch) {
            let rows = rows.iter().map(|&i| {
                let i = i as usize;
                (&features[i * dim..(i + 1) * dim], labels[i])
            });
            self.step(rows, &mut sum)?;
        }
        for param in &self.params {
            param.store()?;
        }
        Ok(sum.epoch())
    }

    fn step<'a>(
        &mut self,
        rows: impl ExactSizeIterator<Item = (&'a [f32], usize)>,
        sum: &mut Summed,
    ) -> Result<()> {
        let [weight, bias] = &mut self.params;
        let (dim, classes) = (self.model.feature_dim(), bias.values.len());
        for param in [&mut *weight, &mut *bias] {
            param.grad.fill(0.0);
        }
        let images = rows.len();
        let (mut loss, mut counts) = (0.0, MicroCounts::default());
        let mut logits = vec![0f32; classes];
        for (row, label) in rows {
            for (class, logit) in logits.iter_mut().enumerate() {
                *logit =
                    dot(row, &weight.values[class * dim..(class + 1) * dim]) + bias.values[class];
            }
            counts.add_row(&logits, |class| class == label);
            let factor = self.loss.alpha * self.loss.weights[label];
            let (value, grads) = focal(&logits, label);
            loss += factor * value;
            for (class, grad) in grads.enumerate() {
                let grad = (factor * grad / images as f64) as f32;
                add_scaled(&mut weight.grad[class * dim..(class + 1) * dim], grad, row);
                bias.grad[class] += grad;
            }
        }
        let loss = loss / images as f64;
        if !loss.is_finite() {
            return Err(cass_train::Error::NonFinite {
                step: self.steps,
                loss,
                last_good: None,
            }
            .into());
        }
        self.steps += 1;
        let lr = self.schedule.lr();
        for param in &mut self.params {
            let averages = [&mut param.exp_avg[..], &mut param.exp_avg_sq];
            self.adam
                .update(self.steps, lr, &mut param.values, &param.grad, averages);
        }
        self.schedule.step();
        sum.add_counted(loss, images, counts);
        Ok(())
    }
}

/// `-(1 - p)² log p` of the label's softmax `p`, and its gradient by each logit.
fn focal(logits: &[f32], label: usize) -> (f64, impl Iterator<Item = f64>) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = move |z: f32| f64::from(z) - f64::from(highest);
    let log_sum = logits.iter().map(|&z| above(z).exp()).sum::<f64>().ln();
    let log_p = move |z: f32| above(z) - log_sum;
    let own = log_p(logits[label]);
    let (p, miss) = (own.exp(), -own.exp_m1());
    let slope = 2.0 * p * miss * own - miss * miss;
    let grads = logits.iter().enumerate().map(move |(class, &z)| {
        let hot = f64::from(u8::from(class == label));
        slope * (hot - log_p(z).exp())
    });
    (-miss * miss * own, grads)
}

impl Param {
    fn new(var: &Var) -> Result<Self> {
        let values = var.flatten_all()?.to_vec1::<f32>()?;
        let zeros = vec![0.0; values.len()];
        Ok(Self {
            var: var.clone(),
            grad: zeros.clone(),
            exp_avg: zeros.clone(),
            exp_avg_sq: zeros,
            values,
        })
    }

    fn store(&self) -> Result<()> {
        let values = Tensor::from_slice(&self.values, self.var.dims(), &Device::Cpu)?;
        Ok(self.var.set(&values)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::ProbeMode;
    use cass_models::ModelOptions;
    use cass_rng::Rng;
    use cass_train::Protocol;
    use cass_train::methods::{SupervisedStep, Trains};

    /// A network whose classifier is all that matters, features and labels.
    fn setting(name: &str) -> (ProbeRecipe, Model, FocalLoss, Vec<f32>, Vec<usize>) {
        let options = ModelOptions {
            num_classes: 3,
            input_size: 32,
            ..Default::default()
        };
        let model = Model::new(name, &options).unwrap();
        let mut rng = Rng::new(0, "features", [0, 0], 0);
        let labels: Vec<usize> = (0..40).map(|i| i * i % 3).collect();
        let features = (0..40 * model.feature_dim()).map(|_| rng.normal() as f32);
        let features = features.collect();
        let loss = FocalLoss::new(FocalForm::Softmax, &[10, 20, 14]);
        let recipe = ProbeRecipe::preset(Protocol::Paper, ProbeMode::Linear);
        (recipe, model, loss, features, labels)
    }

    #[test]
    fn equals_the_general_step() {
        for decay in [0.0, 0.01] {
            let (mut recipe, model, loss, features, labels) = setting("vit_tiny_patch16_224");
            if let OptimizerConfig::Adam(adam) = &mut recipe.optimizer {
                adam.weight_decay = decay;
            }
            let twin = model.deep_copy().unwrap();
            let mut head = Head::new(&recipe, &model, &loss).unwrap().unwrap();
            let mut general =
                SupervisedStep::new(twin, Trains::Classifier, &recipe.as_arm(), loss).unwrap();
            let dim = model.feature_dim();
            let order: Vec<u32> = (0..40).rev().collect();
            for _ in 0..10 {
                let epoch = head.train_epoch(&features, &labels, &order, 16).unwrap();
                let mut sum = Summed::default();
                for batch in order.chunks(16) {
                    let rows = batch.iter().map(|&i| &features[i as usize * dim..][..dim]);
                    let rows: Vec<f32> = rows.flatten().copied().collect();
                    let rows = Tensor::from_vec(rows, (batch.len(), dim), &Device::Cpu).unwrap();
                    let labels: Vec<usize> = batch.iter().map(|&i| labels[i as usize]).collect();
                    let (report, logits) = general.step(&rows, &labels).unwrap();
                    let hot = labels
                        .iter()
                        .flat_map(|&l| (0..3).map(move |c| f32::from(u8::from(c == l))));
                    sum.add(report.loss, &logits, &hot.collect::<Vec<_>>())
                        .unwrap();
                }
                let expected = sum.epoch();
                assert!((epoch.loss - expected.loss).abs() < 1e-5 * expected.loss);
                assert_eq!(epoch.counts, expected.counts);
            }
            let general: std::collections::HashMap<_, _> =
                general.model().classifier_params().into_iter().collect();
            for (name, var) in model.classifier_params() {
                let difference = (var.as_tensor() - general[&name].as_tensor()).unwrap();
                let largest = difference
                    .abs()
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .max(0)
                    .unwrap();
                let largest = largest.to_scalar::<f32>().unwrap();
                assert!(largest < 1e-6, "{name}: {largest:e}");
            }
        }
    }

    #[test]
    fn finite_for_logits_of_a_hundred() {
        for (label, loss) in [(0, 0.0), (1, 200.0)] {
            let (value, grads) = focal(&[100.0, -100.0, -100.0], label);
            let grads: Vec<f64> = grads.collect();
            assert!((value - loss).abs() < 1e-9, "{value}");
            assert!(grads.iter().all(|g| g.is_finite()), "{grads:?}");
            assert!(grads.iter().sum::<f64>().abs() < 1e-12);
        }
    }

    #[test]
    fn features_that_are_no_numbers_stop_it() {
        let (recipe, model, loss, mut features, labels) = setting("vit_tiny_patch16_224");
        features[5] = f32::NAN;
        let mut head = Head::new(&recipe, &model, &loss).unwrap().unwrap();
        let error = head
            .train_epoch(&features, &labels, &[0, 1], 2)
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("the loss is NaN at step 0"),
            "{error}"
        );
    }

    #[test]
    fn what_it_does_not_do_takes_the_general_step() {
        let (mut recipe, model, mut loss, ..) = setting("vit_tiny_patch16_224");
        assert!(Head::fits(&recipe, &model, &loss));
        let adam = std::mem::replace(
            &mut recipe.optimizer,
            OptimizerConfig::Sgd(Default::default()),
        );
        assert!(!Head::fits(&recipe, &model, &loss));
        recipe.optimizer = adam;
        loss.form = FocalForm::Sigmoid;
        assert!(!Head::fits(&recipe, &model, &loss));
    }
}
