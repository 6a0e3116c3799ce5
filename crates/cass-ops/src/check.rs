//! Holds an op against its plain twin and against finite differences; for tests only.

use crate::emulated::emulated;
use crate::{Tracked, compose};
use candle_core::{DType, Device, Result, Tensor, Var};
use cass_rng::Rng;
use cass_testing::{assert_close, assert_slopes};

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
    /// differences, f32 against f64; the same once more on an emulated GPU.
    pub(crate) fn run(
        &self,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
        twin: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<()> {
        let twin = |t: &[Tracked]| compose(&t.iter().collect::<Vec<_>>(), &twin);
        self.hold(&op, twin)?;
        self.run_on_gpu(op, twin)
    }

    /// The kernels of a CPU alone, for an op whose way on a GPU another case has.
    pub(crate) fn run_on_cpu(
        &self,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
        twin: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<()> {
        self.hold(op, |t| compose(&t.iter().collect::<Vec<_>>(), &twin))
    }

    fn run_on_gpu(
        &self,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
        twin: impl Fn(&[Tracked]) -> Result<Tracked>,
    ) -> Result<()> {
        let on_gpu = Self {
            name: format!("{} on an emulated GPU", self.name),
            inputs: self.inputs.clone(),
        };
        emulated(|| on_gpu.hold(&op, &twin))
    }

    fn hold(
        &self,
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
        twin: impl Fn(&[Tracked]) -> Result<Tracked>,
    ) -> Result<()> {
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
        assert_close(&format!("{}: {what}", self.name), a, b, tolerance)
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
        assert_slopes(&self.name, &self.inputs, grads, |n| rng.below(n), loss)
    }
}
