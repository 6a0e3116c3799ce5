//! Holds an op against its plain twin and against finite differences; for tests only.

use crate::{Tracked, compose};
use candle_core::{DType, Device, Result, Tensor, Var};
use cass_rng::Rng;

/// Standard normal f64 input, the same for the same `index` and shape.
pub(crate) fn input(index: u64, shape: &[usize]) -> Result<Tensor> {
    let mut rng = Rng::new(1, "check", [index, shape.len() as u64], 0);
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Tensor::from_vec(data, shape, &Device::Cpu)
}

/// The same, for an op that is to fail or to be compared.
pub(crate) fn constant(index: u64, shape: &[usize]) -> Result<Tracked> {
    input(index, shape).map(|t| Tracked::constant(&t))
}

/// ‖a - b‖₂ / ‖b‖₂, in f64.
pub(crate) fn relative_error(a: &Tensor, b: &Tensor) -> Result<f64> {
    assert_eq!(a.dims(), b.dims(), "shapes differ");
    let flat = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (flat(a)?, flat(b)?);
    let square = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>();
    let difference = square(&mut a.iter().zip(&b).map(|(a, b)| a - b));
    let size = square(&mut b.iter().copied());
    Ok((difference / size.max(f64::MIN_POSITIVE)).sqrt())
}

/// One op at one set of input shapes.
pub(crate) struct Case {
    name: String,
    inputs: Vec<Tensor>,
}

impl Case {
    pub(crate) fn new(name: &str, shapes: &[&[usize]]) -> Self {
        let inputs = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| input(i as u64, shape).expect("input"))
            .collect();
        Self {
            name: format!("{name} {shapes:?}"),
            inputs,
        }
    }

    /// Replaces input `index` by what `f` makes of it.
    pub(crate) fn with(mut self, index: usize, f: impl Fn(&Tensor) -> Result<Tensor>) -> Self {
        self.inputs[index] = f(&self.inputs[index]).expect("input");
        self
    }

    /// Forward and gradients: f64 against the twin, as other devices compute it, and against finite
    /// differences, f32 against f64.
    pub(crate) fn run(
        &self,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
        twin: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<()> {
        let twin = |t: &[Tracked]| compose(&t.iter().collect::<Vec<_>>(), &twin);
        let (y, grads) = self.gradients(DType::F64, &op)?;
        let (twin_y, twin_grads) = self.gradients(DType::F64, twin)?;
        self.close("f64 forward against the twin", &y, &twin_y, 1e-12)?;
        for (i, (a, b)) in grads.iter().zip(&twin_grads).enumerate() {
            self.close(&format!("f64 gradient {i} against the twin"), a, b, 1e-10)?;
        }
        self.finite_differences(&op, &grads)?;

        let (y, grads) = self.gradients(DType::F32, &op)?;
        self.close("f32 forward against f64", &y, &twin_y, 2e-6)?;
        for (i, (a, b)) in grads.iter().zip(&twin_grads).enumerate() {
            self.close(&format!("f32 gradient {i} against f64"), a, b, 1e-5)?;
        }
        Ok(())
    }

    fn close(&self, what: &str, a: &Tensor, b: &Tensor, tolerance: f64) -> Result<()> {
        let error = relative_error(a, b)?;
        assert!(error <= tolerance, "{}: {what}: {error:.2e}", self.name);
        Ok(())
    }

    fn probe(y: &Tensor) -> Result<Tensor> {
        input(99, y.dims())?.to_dtype(y.dtype())
    }

    fn gradients(
        &self,
        dtype: DType,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let vars: Vec<Var> = self
            .inputs
            .iter()
            .map(|t| Var::from_tensor(&t.to_dtype(dtype)?))
            .collect::<Result<_>>()?;
        let inputs: Vec<Tracked> = vars.iter().map(Tracked::from).collect();
        let result = op(&inputs)?;
        let y = result.value().clone();
        let grads = result.backward_from(&Self::probe(&y)?)?;
        let grads = vars
            .iter()
            .enumerate()
            .map(|(i, v)| match grads.get(v) {
                Some(g) => Ok(g.clone()),
                None => panic!("{}: no gradient for input {i}", self.name),
            })
            .collect::<Result<_>>()?;
        Ok((y, grads))
    }

    /// Central differences at up to 12 places an input.
    fn finite_differences(
        &self,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
        grads: &[Tensor],
    ) -> Result<()> {
        let loss = |inputs: &[Tensor]| -> Result<f64> {
            let inputs: Vec<Tracked> = inputs.iter().map(Tracked::constant).collect();
            let y = op(&inputs)?.into_value();
            (&y * Self::probe(&y)?)?.sum_all()?.to_scalar::<f64>()
        };
        let mut rng = Rng::new(2, "check", [0, 0], 0);
        for (i, grad) in grads.iter().enumerate() {
            let data = self.inputs[i].flatten_all()?.to_vec1::<f64>()?;
            let grad = grad.flatten_all()?.to_vec1::<f64>()?;
            let scale = grad.iter().map(|g| g.abs()).fold(0.0, f64::max).max(1e-3);
            for _ in 0..12 {
                let at = rng.below(data.len());
                let step = 1e-6;
                let shifted = |by: f64| -> Result<f64> {
                    let mut moved = data.clone();
                    moved[at] += by;
                    let mut inputs = self.inputs.clone();
                    inputs[i] = Tensor::from_vec(moved, inputs[i].dims(), &Device::Cpu)?;
                    loss(&inputs)
                };
                let slope = (shifted(step)? - shifted(-step)?) / (2.0 * step);
                let error = (slope - grad[at]).abs() / scale;
                assert!(
                    error < 1e-6,
                    "{}: gradient of input {i} at {at}: {} but the slope is {slope}",
                    self.name,
                    grad[at]
                );
            }
        }
        Ok(())
    }
}
