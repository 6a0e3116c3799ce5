//! What follows the backward pass: optimisers and averages over all parameters of a network.

use super::measure::{Measured, Rival, Work, ms, pause};
use crate::bench::spread::Spread;
use candle_core::{Result, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer as _, ParamsAdamW, SGD};
use cass_models::{Model, ModelOptions};
use cass_ops::{Tracked, compose};
use cass_train::average::WeightAverage;
use cass_train::optim::{AdamConfig, Optimizer, OptimizerConfig, SgdConfig};
use std::time::Instant;

/// An update of every parameter.
#[derive(Clone, Copy)]
pub enum Update {
    Adam,
    Sgd,
    Momentum,
    Average,
}

/// Whose parameters: 62 tensors, 11.7 million values.
const NETWORK: &str = "resnet18";
const LR: f64 = 1e-3;

type Step<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

impl Update {
    pub const ALL: [Self; 4] = [Self::Adam, Self::Sgd, Self::Momentum, Self::Average];

    pub fn op(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Sgd => "sgd",
            Self::Momentum => "sgd with momentum",
            Self::Average => "moving average",
        }
    }

    /// Tensors of the parameters' size that are read or written.
    fn tensors(self) -> usize {
        match self {
            Self::Adam => 7,     // w, g, m, v read; w, m, v written
            Self::Sgd => 3,      // w, g; w
            Self::Momentum => 5, // w, g, m; w, m
            Self::Average => 3,  // average, w; average
        }
    }

    pub fn measure(self, repeats: u64) -> Result<Vec<Measured>> {
        let model = model()?;
        let params = model.params().trainable();
        let vars: Vec<Var> = params.iter().map(|(_, var)| var.clone()).collect();
        let count: usize = vars.iter().map(|var| var.elem_count()).sum();
        let mut ours = self.ours(&model, params)?;
        let mut candle = self.candle(&vars)?;
        ours()?;
        let (mut times, mut rival_times) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            pause();
            let started = Instant::now();
            ours()?;
            times.push(ms(started));
            if let Some((_, candle)) = &mut candle {
                pause();
                let started = Instant::now();
                candle()?;
                rival_times.push(ms(started));
            }
        }
        Ok(vec![Measured {
            op: self.op(),
            shape: format!("{:.1} M of {NETWORK}", count as f64 / 1e6),
            pass: "update",
            ours: Spread::of(&times),
            work: Work {
                flops: 0,
                bytes: self.tensors() * count * size_of::<f32>(),
            },
            rival: Some(match candle {
                Some((what, _)) => Rival {
                    what,
                    time: Some(Spread::of(&rival_times)),
                    wrong: None,
                },
                None => Rival {
                    what: "SGD",
                    time: None,
                    wrong: Some("has no momentum".to_owned()),
                },
            }),
        }])
    }

    fn ours(self, model: &Model, params: Vec<(String, Var)>) -> Result<Step<'_>> {
        let config = match self {
            Self::Adam => OptimizerConfig::Adam(AdamConfig::default()),
            Self::Sgd => OptimizerConfig::Sgd(SgdConfig::default()),
            Self::Momentum => OptimizerConfig::Sgd(SgdConfig {
                momentum: 0.9,
                ..Default::default()
            }),
            Self::Average => {
                let mut average = WeightAverage::new(model).map_err(candle_core::Error::wrap)?;
                return Ok(Box::new(move || {
                    average.update(model).map_err(candle_core::Error::wrap)
                }));
            }
        };
        let tracked: Vec<Tracked> = params.iter().map(|(_, var)| var.into()).collect();
        let loss = compose(&tracked.iter().collect::<Vec<_>>(), sum_of_squares)?;
        let gradients = loss.backward()?;
        let mut optimizer = Optimizer::new(&config, params).map_err(candle_core::Error::wrap)?;
        Ok(Box::new(move || {
            let step = optimizer.step(&gradients, LR);
            step.map_err(candle_core::Error::wrap)
        }))
    }

    /// Candle's, where it has one.
    fn candle(self, vars: &[Var]) -> Result<Option<(&'static str, Step<'_>)>> {
        let gradients = || {
            let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
            sum_of_squares(&tensors)?.backward()
        };
        Ok(Some(match self {
            Self::Adam => {
                let config = ParamsAdamW {
                    lr: LR,
                    weight_decay: 0.0,
                    ..Default::default()
                };
                let (mut adam, gradients) = (AdamW::new(vars.to_vec(), config)?, gradients()?);
                ("AdamW", Box::new(move || adam.step(&gradients)))
            }
            Self::Sgd => {
                let (mut sgd, gradients) = (SGD::new(vars.to_vec(), LR)?, gradients()?);
                ("SGD", Box::new(move || sgd.step(&gradients)))
            }
            Self::Momentum => return Ok(None),
            Self::Average => {
                let copy = |var: &Var| Var::from_tensor(&var.as_detached_tensor().copy()?);
                let average = vars.iter().map(copy).collect::<Result<Vec<_>>>()?;
                let step = move || {
                    average.iter().zip(vars).try_for_each(|(average, var)| {
                        let kept = (average.as_detached_tensor() * 0.9)?;
                        average.set(&(kept + (var.as_detached_tensor() * 0.1)?)?)
                    })
                };
                ("mul, mul, add, set", Box::new(step))
            }
        }))
    }
}

fn model() -> Result<Model> {
    Model::new(NETWORK, &ModelOptions::default()).map_err(candle_core::Error::wrap)
}

/// A loss with a gradient for every parameter.
fn sum_of_squares(tensors: &[Tensor]) -> Result<Tensor> {
    let mut sum = Tensor::new(0f32, &candle_core::Device::Cpu)?;
    for tensor in tensors {
        sum = (sum + tensor.sqr()?.sum_all()?)?;
    }
    Ok(sum)
}
