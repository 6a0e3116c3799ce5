//! What a computation consists of: its operations in order, for whoever writes them down in another
//! form, an ONNX file for instance.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use cass_ops::Tracked;
//! use cass_ops::nn::{linear, relu};
//! use cass_ops::trace::{Op, trace};
//!
//! # fn main() -> candle_core::Result<()> {
//! let x = Tracked::constant(&Tensor::new(&[[1f32, -2.0]], &Device::Cpu)?);
//! let (y, steps) = trace(|| relu(&linear(&x, &x, None)?))?;
//! assert!(matches!(steps.steps()[0].op, Op::Linear { has_bias: false }));
//! assert_eq!(steps.steps().len(), 2);
//! assert_eq!(steps.find(y.value()), Some(cass_ops::trace::Value::Step(1)));
//! # Ok(()) }
//! ```

pub use crate::op::{Function, Op};

use candle_core::{Result, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// An earlier step, by its number.
    Step(usize),
    /// A tensor that no step computed, by its number among those.
    Leaf(usize),
}

/// One operation of a computation.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it does.
    pub op: Op,
    /// What it does it with.
    pub inputs: Vec<Value>,
    /// Sizes of the result.
    pub shape: Vec<usize>,
}

/// A computation: steps and what they began from.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    steps: Vec<Step>,
    leaves: Vec<Tensor>,
    values: HashMap<TensorId, Value>,
}

impl Trace {
    /// The operations, in the order of computation.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The tensors that no step computed: inputs, parameters, constants.
    pub fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Where a tensor of the computation comes from.
    pub fn find(&self, tensor: &Tensor) -> Option<Value> {
        self.values.get(&tensor.id()).copied()
    }

    fn push<'a>(&mut self, op: Op, inputs: impl Iterator<Item = &'a Tensor>, result: &Tensor) {
        let inputs: Vec<Value> = inputs.map(|input| self.value(input)).collect();
        if let (Op::Contiguous, &[same]) = (&op, &inputs[..]) {
            self.values.insert(result.id(), same);
            return;
        }
        let step = Step {
            op,
            inputs,
            shape: result.dims().to_vec(),
        };
        let number = Value::Step(self.steps.len());
        self.steps.push(step);
        self.values.insert(result.id(), number);
    }

    fn value(&mut self, tensor: &Tensor) -> Value {
        *self.values.entry(tensor.id()).or_insert_with(|| {
            self.leaves.push(tensor.clone());
            Value::Leaf(self.leaves.len() - 1)
        })
    }
}

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// Runs `f` and tells what this thread computed in it with the operations of this crate. Candle's own operations are
/// not seen: their results count as leaves.
///
/// # Errors
/// If `f` fails.
pub fn trace<R>(f: impl FnOnce() -> Result<R>) -> Result<(R, Trace)> {
    /// Restores the state before, after a panic too.
    struct Before(Option<Trace>);
    impl Drop for Before {
        fn drop(&mut self) {
            TRACE.set(self.0.take());
        }
    }
    let _before = Before(TRACE.replace(Some(Trace::default())));
    let result = f()?;
    let trace = TRACE.take().unwrap_or_default();
    Ok((result, trace))
}

/// Writes an operation down, if someone asked for it.
pub(crate) fn note<'a>(op: Op, inputs: impl Iterator<Item = &'a Tensor>, result: &Tensor) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.push(op, inputs, result);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tracked;
    use crate::check::constant;

    #[test]
    fn steps_come_in_order_and_name_where_their_inputs_come_from() -> Result<()> {
        let (x, bias) = (constant(0, &[2, 3])?, constant(1, &[3])?);
        let (y, trace) = trace(|| {
            let sum = x.broadcast_add(&bias)?;
            Tracked::cat(&[&sum, &x, &sum], 1)
        })?;
        let inputs = |i: usize| trace.steps()[i].inputs.clone();
        let [a, b] = [Value::Leaf(0), Value::Leaf(1)];
        assert_eq!(inputs(0), [a, b]);
        assert_eq!(inputs(1), [Value::Step(0), a, Value::Step(0)]);
        assert_eq!(trace.steps()[1].shape, [2, 9]);
        assert_eq!(trace.leaves()[1].dims(), [3]);
        assert_eq!(trace.find(y.value()), Some(Value::Step(1)));
        assert_eq!(trace.find(constant(2, &[1])?.value()), None);
        let (y, trace) = super::trace(|| x.permute(&[1, 0])?.contiguous())?;
        assert_eq!(
            trace.find(y.value()),
            Some(Value::Step(0)),
            "a copy is no step"
        );
        Ok(())
    }

    #[test]
    fn nothing_is_written_down_outside_or_after_an_error() -> Result<()> {
        let x = constant(0, &[2, 3])?;
        let failed = trace(|| x.reshape((7, 7)));
        assert!(failed.is_err());
        x.scale(2.0)?;
        let (_, trace) = trace(|| x.scale(3.0))?;
        assert_eq!(trace.steps().len(), 1);
        Ok(())
    }
}
