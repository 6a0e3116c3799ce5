//! One operation with its input, ours and Candle's.

use super::measure::{Measured, Rival, Work, ms, pause};
use crate::bench::spread::Spread;
use candle_core::{DType, Device, Result, Tensor, Var};
use cass_ops::Tracked;
use cass_rng::Rng;
use std::time::Instant;

pub type Ours = Box<dyn Fn(&[Tracked]) -> Result<Tracked>>;
pub type Candles = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// A differentiable operation.
pub struct Case {
    pub op: &'static str,
    pub inputs: Vec<Input>,
    pub ours: Ours,
    /// What Candle offers, by name.
    pub candle: (&'static str, Candles),
    /// Multiply-adds of the forward pass, by the definition; 0 where memory is the limit.
    pub multiply_adds: usize,
}

/// What a tensor is filled with, and whether a gradient is taken of it.
pub struct Input {
    shape: Vec<usize>,
    fill: Fill,
    trained: bool,
}

enum Fill {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Absolute values of standard normal ones.
    Positive,
}

impl Input {
    /// A tensor that a network's layer before computes, or a parameter.
    pub fn trained(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            fill: Fill::Normal(1.0),
            trained: true,
        }
    }

    /// An image, or whatever else needs no gradient.
    pub fn constant(shape: &[usize]) -> Self {
        Self {
            trained: false,
            ..Self::trained(shape)
        }
    }

    /// Smaller values, as of weights.
    pub fn scaled(self, by: f64) -> Self {
        Self {
            fill: Fill::Normal(by),
            ..self
        }
    }

    pub fn positive(self) -> Self {
        Self {
            fill: Fill::Positive,
            ..self
        }
    }

    fn draw(&self, index: u64) -> Result<Tensor> {
        let values = random(&self.shape, index, |x| match self.fill {
            Fill::Normal(scale) => scale * x,
            Fill::Positive => x.abs(),
        })?;
        if self.trained {
            return Ok(Var::from_tensor(&values)?.as_tensor().clone());
        }
        Ok(values)
    }

    fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

pub fn random(shape: &[usize], index: u64, f: impl Fn(f64) -> f64) -> Result<Tensor> {
    let mut rng = Rng::new(0, "ops", [index, 0], 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| f(rng.normal()) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// A gradient further off than this is another one: f32 rounds by far less.
const TOLERANCE: f64 = 1e-3;

impl Case {
    /// A row forward and, where something is trained, one backward.
    pub fn measure(&self, repeats: u64) -> Result<Vec<Measured>> {
        let inputs = self.draw()?;
        let tracked: Vec<Tracked> = inputs.iter().map(Tracked::from).collect();
        let values = (self.ours)(&tracked)?.into_value();
        let probe = random(values.dims(), 99, |x| x)?;
        let verdict = self.verdict(&inputs, &tracked, &probe);

        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let (mut rival_forward, mut rival_backward) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            pause();
            let started = Instant::now();
            let y = (self.ours)(&tracked)?;
            forward.push(ms(started));
            let started = Instant::now();
            let gradients = y.backward_from(&probe)?;
            backward.push(ms(started));
            drop(gradients);
            if verdict.values.is_err() {
                continue;
            }
            pause();
            let started = Instant::now();
            let y = (self.candle.1)(&inputs)?;
            rival_forward.push(ms(started));
            if verdict.gradient.is_ok() {
                let started = Instant::now();
                let gradients = y.backward()?;
                rival_backward.push(ms(started));
                drop(gradients);
            }
        }
        let rival = |times: &[f64], verdict: &std::result::Result<(), String>| Rival {
            what: self.candle.0,
            time: verdict.is_ok().then(|| Spread::of(times)),
            wrong: verdict.as_ref().err().cloned(),
        };
        let shape = self.shape();
        let row = |pass, times: &[f64], work, rival| Measured {
            op: self.op,
            shape: shape.clone(),
            pass,
            ours: Spread::of(times),
            work,
            rival: Some(rival),
        };
        let [to, fro] = self.work(values.elem_count());
        Ok(vec![
            row(
                "forward",
                &forward,
                to,
                rival(&rival_forward, &verdict.values),
            ),
            row(
                "backward",
                &backward,
                fro,
                rival(&rival_backward, &verdict.gradient),
            ),
        ])
    }

    /// Its inputs; what is trained is a variable.
    pub fn draw(&self) -> Result<Vec<Tensor>> {
        let inputs = self.inputs.iter().enumerate();
        inputs.map(|(i, input)| input.draw(i as u64)).collect()
    }

    /// The shapes of the first two inputs: what passes through, and the weights.
    pub fn shape(&self) -> String {
        let shapes = self.inputs.iter().take(2).map(|input| {
            let sizes: Vec<_> = input.shape.iter().map(usize::to_string).collect();
            sizes.join("x")
        });
        shapes.collect::<Vec<_>>().join(", ")
    }

    /// Forward and backward.
    fn work(&self, result: usize) -> [Work; 2] {
        let read: usize = self.inputs.iter().map(Input::count).sum();
        let trained: Vec<_> = self.inputs.iter().filter(|input| input.trained).collect();
        let written: usize = trained.iter().map(|input| input.count()).sum();
        // A product of two has a product a factor on the way back; attention's factors are both
        // in its one input.
        let [first, second] = [0, 1].map(|i| self.inputs.get(i).is_none_or(|input| input.trained));
        let products = usize::from(first) + usize::from(second);
        let bytes = |values: usize| values * size_of::<f32>();
        [
            Work {
                flops: 2 * self.multiply_adds,
                bytes: bytes(read + result),
            },
            Work {
                flops: 2 * self.multiply_adds * products,
                bytes: bytes(read + result + written),
            },
        ]
    }

    /// Whether Candle computes the same.
    fn verdict(&self, inputs: &[Tensor], tracked: &[Tracked], probe: &Tensor) -> Verdict {
        let error = |error: candle_core::Error| {
            // One line, without the backtrace that Candle may append.
            let text = error.to_string();
            Err(text.lines().next().unwrap_or_default().to_owned())
        };
        let values = (self.candle.1)(inputs).and_then(|y| {
            let ours = (self.ours)(tracked)?.into_value();
            relative_error(&y, &ours)
        });
        let gradient = self.gradient_error(inputs, tracked, probe);
        Verdict {
            values: match values {
                Ok(off) if off <= TOLERANCE => Ok(()),
                Ok(off) => Err(format!("other values, by {:.0} %", 100.0 * off)),
                Err(found) => error(found),
            },
            gradient: match gradient {
                Ok(Some(off)) if off <= TOLERANCE => Ok(()),
                Ok(Some(off)) => Err(format!("wrong gradient, by {:.0} %", 100.0 * off)),
                Ok(None) => Err("no gradient".to_owned()),
                Err(found) => error(found),
            },
        }
    }

    /// The largest of all trained inputs; none where Candle has no gradient for one.
    fn gradient_error(
        &self,
        inputs: &[Tensor],
        tracked: &[Tracked],
        probe: &Tensor,
    ) -> Result<Option<f64>> {
        let ours = (self.ours)(tracked)?.backward_from(probe)?;
        let theirs = ((self.candle.1)(inputs)? * probe)?.sum_all()?.backward()?;
        let mut worst = 0.0;
        for input in inputs.iter().filter(|input| input.is_variable()) {
            let (Some(ours), Some(theirs)) = (ours.get(input), theirs.get(input)) else {
                return Ok(None);
            };
            worst = f64::max(worst, relative_error(theirs, ours)?);
        }
        Ok(Some(worst))
    }
}

/// Whether Candle's values and gradients are ours; if not, how they differ.
struct Verdict {
    values: std::result::Result<(), String>,
    gradient: std::result::Result<(), String>,
}

/// ‖a - b‖₂ / ‖b‖₂, in f64 on the CPU.
pub fn relative_error(a: &Tensor, b: &Tensor) -> Result<f64> {
    let here = |t: &Tensor| t.to_device(&Device::Cpu)?.to_dtype(DType::F64);
    let norm =
        |t: &Tensor| Ok::<_, candle_core::Error>(t.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt());
    let (a, b) = (here(a)?, here(b)?);
    Ok(norm(&(a - &b)?)? / norm(&b)?.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(candle: Candles) -> Case {
        Case {
            op: "relu",
            inputs: vec![Input::trained(&[3, 5])],
            ours: Box::new(|t| cass_ops::nn::relu(&t[0])),
            candle: ("relu", candle),
            multiply_adds: 0,
        }
    }

    #[test]
    fn what_candle_gets_wrong_is_told_and_not_timed() {
        for (candle, said) in [
            (Box::new(|t: &[Tensor]| t[0].relu()) as Candles, None),
            (Box::new(|t| t[0].detach().relu()), Some("no gradient")),
            (
                Box::new(|t| t[0].relu()? + (t[0].detach() - &t[0])?),
                Some("wrong gradient, by "),
            ),
            (Box::new(|t| t[0].reshape((7, 2))), Some("Shape mismatch")),
        ] {
            let [_, backward] = case(candle).measure(2).unwrap().try_into().unwrap();
            let rival = backward.rival.unwrap();
            assert_eq!(rival.time.is_some(), said.is_none(), "{said:?}");
            let wrong = rival.wrong.unwrap_or_default();
            assert!(wrong.contains(said.unwrap_or_default()), "{wrong}");
        }
        let [forward, _] = case(Box::new(|t| t[0].sqr()))
            .measure(1)
            .unwrap()
            .try_into()
            .unwrap();
        let rival = forward.rival.unwrap();
        assert!(rival.time.is_none() && rival.wrong.unwrap().starts_with("other values"));
    }
}
