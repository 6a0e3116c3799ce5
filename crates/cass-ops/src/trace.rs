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
//! assert_eq!(steps.find(&y), Some(cass_ops::trace::Value::Step(1)));
//! # Ok(()) }
//! ```

use crate::nn::{Activation, AvgPool2dConfig, Conv2dConfig, MaxPool2dConfig};
use crate::tracked::Tracked;
use candle_core::{Result, Tensor, TensorId};
use std::cell::RefCell;
use std::collections::HashMap;

pub use crate::activation::Function;

/// An operation and its settings. What it computes from stands in a [`Step`]'s inputs, in the order of the function's
/// arguments; tensors that are constants to gradients stand here.
#[derive(Debug, Clone)]
pub enum Op {
    /// [`conv2d`](crate::nn::conv2d).
    Conv2d(Conv2dConfig),
    /// [`max_pool2d`](crate::nn::max_pool2d).
    MaxPool2d(MaxPool2dConfig),
    /// [`avg_pool2d`](crate::nn::avg_pool2d).
    AvgPool2d(AvgPool2dConfig),
    /// [`batch_norm_eval`](crate::nn::batch_norm_eval); a residual is the fourth input.
    BatchNorm {
        /// Running mean, `(C)`.
        mean: Tensor,
        /// Running variance, `(C)`.
        var: Tensor,
        /// Summand to the variance.
        eps: f64,
        /// What follows the sum with the residual.
        activation: Activation,
    },
    /// [`linear_add`](crate::nn::linear_add); what is behind the weight, and behind the bias, is the residual.
    Linear {
        /// Whether the third input is the bias.
        has_bias: bool,
    },
    /// [`layer_norm`](crate::nn::layer_norm).
    LayerNorm {
        /// Summand to the variance.
        eps: f64,
    },
    /// [`attention`](crate::nn::attention), or [`window_attention`](crate::nn::window_attention) where there is a
    /// second input, the bias.
    Attention {
        /// Attention heads.
        heads: usize,
        /// What is added to the scores of every window, `(windows, N, N)`.
        mask: Option<Tensor>,
    },
    /// [`rotary`](crate::nn::rotary).
    Rotary {
        /// Attention heads.
        heads: usize,
        /// Sines of the angles, `(P, D/2)`.
        sin: Tensor,
        /// Their cosines.
        cos: Tensor,
    },
    /// A function of every element.
    Map(Function),
    /// [`scale_add`](crate::nn::scale_add).
    ScaleAdd,
    /// [`gate_planes`](crate::nn::gate_planes).
    GatePlanes,
    /// [`add_planes`](crate::nn::add_planes).
    AddPlanes,
    /// [`Tracked::reshape`], to the step's shape.
    Reshape,
    /// [`Tracked::permute`].
    Permute(Vec<usize>),
    /// [`Tracked::narrow`].
    Narrow {
        /// The dimension.
        dim: usize,
        /// The first place.
        start: usize,
        /// The number of places.
        len: usize,
    },
    /// [`Tracked::pad_with_zeros`].
    Pad {
        /// The dimension.
        dim: usize,
        /// Zeros before it.
        front: usize,
        /// Zeros behind it.
        behind: usize,
    },
    /// [`Tracked::roll`].
    Roll {
        /// The dimension.
        dim: usize,
        /// Places that values move by.
        by: i32,
    },
    /// [`Tracked::rows`] of these numbers (u32).
    Rows(Tensor),
    /// [`Tracked::cat`] along a dimension.
    Cat(usize),
    /// [`Tracked::broadcast_add`].
    Add,
    /// [`Tracked::scale`].
    Scale(f64),
    /// [`Tracked::mean`] along a dimension.
    Mean(usize),
    /// [`Tracked::repeat_first`], to the step's shape.
    RepeatFirst,
    /// The same values in another place of memory: no step of a trace, where the result is the input.
    Contiguous,
    /// Anything else, by its name.
    Other(&'static str),
}

impl From<&'static str> for Op {
    fn from(name: &'static str) -> Self {
        Self::Other(name)
    }
}

impl Op {
    /// The name that profiles have it by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AvgPool2d(_) => "avg_pool2d",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Linear { .. } => "linear",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Attention { .. } => "attention",
            Self::Rotary { .. } => "rotary",
            Self::Map(function) => function.name(),
            Self::ScaleAdd => "scale_add",
            Self::GatePlanes => "gate_planes",
            Self::AddPlanes => "add_planes",
            Self::Permute(_) => "transpose",
            Self::Reshape
            | Self::Narrow { .. }
            | Self::Pad { .. }
            | Self::Roll { .. }
            | Self::Rows(_)
            | Self::Scale(_)
            | Self::Mean(_)
            | Self::RepeatFirst => "movement",
            Self::Cat(_) => "cat",
            Self::Add => "broadcast_add",
            Self::Contiguous => "contiguous",
            Self::Other(name) => name,
        }
    }
}

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
    pub fn find(&self, tensor: &Tracked) -> Option<Value> {
        self.values.get(&tensor.value().id()).copied()
    }

    fn push(&mut self, op: Op, inputs: &[&Tracked], result: &Tensor) {
        let inputs = inputs.iter().map(|input| self.value(input.value()));
        let inputs: Vec<Value> = inputs.collect();
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
pub(crate) fn note(op: Op, inputs: &[&Tracked], result: &Tensor) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.push(op, inputs, result);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(trace.find(&y), Some(Value::Step(1)));
        assert_eq!(trace.find(&constant(2, &[1])?), None);
        let (y, trace) = super::trace(|| x.permute(&[1, 0])?.contiguous())?;
        assert_eq!(trace.find(&y), Some(Value::Step(0)), "a copy is no step");
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
