//! Tensors that remember how they were computed, and the way back to gradients.
//!
//! Candle's own tape keeps every intermediate until the last gradient is there, computes gradients
//! of constants, and adds each one to a tensor of zeros. This one frees what an operation saved as
//! soon as the backward pass has left it, and copies no gradient that is the only one.

mod compose;
mod gradients;
mod kept;

pub use compose::compose;
pub(crate) use compose::compose_as;
pub(crate) use gradients::Gradient;
pub use gradients::Gradients;
pub(crate) use kept::Kept;

use crate::emulated::is_emulated;
use crate::interrupt;
use crate::op::Op;
use crate::profile::{Pass, timed};
use crate::trace::note;
use candle_core::{Result, Tensor, TensorId, Var, bail};
use kept::Again;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A tensor that remembers how it was computed, unless it is a constant.
///
/// The operations of this crate take and give these. Candle's own operations apply to a
/// [`value`](Self::value), which is a constant again: only [`compose`] takes gradients through them.
#[derive(Debug, Clone)]
pub struct Tracked {
    value: Tensor,
    node: Option<Arc<Node>>,
    again: Option<Again>,
}

/// One operation, or a variable.
struct Node {
    /// Higher than that of every input.
    order: u64,
    kind: Kind,
}

enum Kind {
    Variable(TensorId),
    /// A tensor whose own gradient is wanted, and what it is the same as, if that is tracked.
    Watched(Option<Arc<Node>>),
    Operation {
        name: &'static str,
        inputs: Vec<Option<Arc<Node>>>,
        /// Taken by the backward pass, and what it saved with it.
        backward: Mutex<Option<Backward>>,
    },
    /// A part of a network that the backward pass computes again.
    Again {
        input: Option<Arc<Node>>,
        backward: Mutex<Option<BackwardAgain>>,
    },
}

/// From the gradient of the result to those of the inputs, one each; a constant's is ignored.
type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Gradient>>> + Send>;

/// From the gradient of the result to that of the input, and those of the variables inside.
type BackwardAgain = Box<dyn FnOnce(&Tensor) -> Result<(Option<Gradient>, Gradients)> + Send>;

thread_local! {
    /// Inside [`without_recording`]: whether an operation met a tracked input.
    static UNRECORDED: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Runs `f` and records none of its operations; also tells whether there was one to record.
pub(crate) fn without_recording<R>(f: impl FnOnce() -> Result<R>) -> Result<(R, bool)> {
    let before = UNRECORDED.replace(Some(false));
    let result = f();
    let met = UNRECORDED.replace(before).unwrap_or(false);
    if met && before.is_some() {
        UNRECORDED.set(Some(true));
    }
    Ok((result?, met))
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.order)
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Node {
    fn new(kind: Kind) -> Arc<Self> {
        let order = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { order, kind })
    }
}

/// Tracks a variable; any other tensor is a constant.
impl From<&Tensor> for Tracked {
    fn from(tensor: &Tensor) -> Self {
        let node = (tensor.is_variable()).then(|| Node::new(Kind::Variable(tensor.id())));
        Self {
            value: tensor.detach(),
            node,
            again: None,
        }
    }
}

impl From<&Var> for Tracked {
    fn from(var: &Var) -> Self {
        Self::from(var.as_tensor())
    }
}

/// Whether an operation with a tracked input is recorded; if not, that there was one is noted.
fn is_recording() -> bool {
    let recording = UNRECORDED.get().is_none();
    if !recording {
        UNRECORDED.set(Some(true));
    }
    recording
}

impl Tracked {
    /// A tensor without a gradient.
    pub fn constant(tensor: &Tensor) -> Self {
        Self {
            value: tensor.detach(),
            node: None,
            again: None,
        }
    }

    /// The tensor, a constant to Candle.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tensor, a constant to Candle; what gradients would need is dropped.
    pub fn into_value(self) -> Tensor {
        self.value
    }

    /// Whether gradients can be taken through it.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The same tensor, of which [`Gradients::of`] will give the gradient.
    ///
    /// Continue with what this returns: what is computed from the original does not pass here. A
    /// constant is tracked from here on.
    ///
    /// ```
    /// use candle_core::{Device, Var};
    /// use cass_ops::Tracked;
    /// use cass_ops::nn::relu;
    ///
    /// # fn main() -> candle_core::Result<()> {
    /// let x = Var::new(&[2f32, -3.0], &Device::Cpu)?;
    /// let hidden = Tracked::from(&x).scale(10.0)?.watch();
    /// let y = relu(&hidden)?;
    /// let grads = y.backward_from(x.ones_like()?.as_ref())?;
    /// let dhidden = grads.of(&hidden).map(|g| g.to_vec1::<f32>()).transpose()?;
    /// assert_eq!(dhidden, Some(vec![1.0, 0.0]));
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> Self {
        Self {
            value: self.value.clone(),
            node: Some(Node::new(Kind::Watched(self.node.clone()))),
            again: self.again.clone(),
        }
    }

    /// Sizes along the dimensions.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }

    /// Whether a kernel over slices computes it, rather than Candle.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.value.device().is_cpu() && !is_emulated()
    }

    /// The same values in contiguous memory.
    pub(crate) fn contiguous(&self) -> Result<Self> {
        if self.value.is_contiguous() {
            return Ok(self.clone());
        }
        let value = self.value.contiguous()?;
        Ok(Self::record(Op::Contiguous, value, &[self], |dy| {
            Ok(vec![Some(Gradient::shared(dy.clone()))])
        }))
    }

    /// `value`, as the operation `op` computed it from `inputs`.
    pub(crate) fn record(
        op: impl Into<Op>,
        value: Tensor,
        inputs: &[&Self],
        backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Gradient>>> + Send + 'static,
    ) -> Self {
        let op = op.into();
        let name = op.name();
        note(op, inputs.iter().map(|input| input.value()), &value);
        let tracked = inputs.iter().any(|input| input.is_tracked());
        let node = (tracked && is_recording()).then(|| {
            Node::new(Kind::Operation {
                name,
                inputs: inputs.iter().map(|input| input.node.clone()).collect(),
                backward: Mutex::new(Some(Box::new(backward))),
            })
        });
        Self {
            value,
            node,
            again: None,
        }
    }

    /// `value`, as a part of a network computed it from `input` and variables of its own.
    pub(crate) fn record_again(
        value: Tensor,
        input: &Self,
        backward: impl FnOnce(&Tensor) -> Result<(Option<Gradient>, Gradients)> + Send + 'static,
    ) -> Self {
        let node = is_recording().then(|| {
            Node::new(Kind::Again {
                input: input.node.clone(),
                backward: Mutex::new(Some(Box::new(backward))),
            })
        });
        Self {
            value,
            node,
            again: None,
        }
    }

    /// Gradients of a loss, which is a single value.
    ///
    /// # Errors
    /// If it is not a single value, or the pass has been made before.
    pub fn backward(self) -> Result<Gradients> {
        if self.value.elem_count() != 1 {
            bail!(
                "gradients of a tensor of shape {:?}: expected a single value",
                self.dims()
            );
        }
        let one = self.value.ones_like()?;
        self.backward_from(&one)
    }

    /// Gradients of anything whose gradient with respect to this tensor is `gradient`.
    ///
    /// What the operations saved is freed on the way: the pass can be made once.
    ///
    /// # Errors
    /// If `gradient` has another shape, or the pass has been made before.
    pub fn backward_from(self, gradient: &Tensor) -> Result<Gradients> {
        if gradient.dims() != self.dims() {
            let (found, wanted) = (gradient.dims(), self.dims());
            bail!("a gradient of shape {found:?}: expected {wanted:?}");
        }
        let mut gradients = Gradients::default();
        // By order: an operation's turn comes when all that followed from it had theirs.
        let mut pending = Pending::new();
        if let Some(node) = self.node {
            let gradient = Gradient::shared(gradient.detach());
            pending.insert(node.order, (node, gradient));
        }
        while let Some((_, (node, gradient))) = pending.pop_last() {
            interrupt::check()?;
            let (name, inputs, backward) = match &node.kind {
                Kind::Variable(id) => {
                    gradients.add(*id, gradient)?;
                    continue;
                }
                Kind::Watched(input) => {
                    let kept = gradient.tensor;
                    if let Some(input) = input {
                        let on = Gradient::shared(kept.clone());
                        add_to(&mut pending, input, on)?;
                    }
                    gradients.watched.insert(node.order, kept);
                    continue;
                }
                Kind::Again { input, backward } => {
                    let (found, inside) = taken(backward)?(&gradient.tensor)?;
                    gradients.merge(inside)?;
                    if let (Some(input), Some(gradient)) = (input, found) {
                        add_to(&mut pending, input, gradient)?;
                    }
                    continue;
                }
                Kind::Operation {
                    name,
                    inputs,
                    backward,
                } => (*name, inputs, taken(backward)?),
            };
            let found = timed(name, Pass::Backward, || backward(&gradient.tensor))?;
            drop(gradient);
            for (input, gradient) in inputs.iter().zip(found) {
                if let (Some(input), Some(gradient)) = (input, gradient) {
                    add_to(&mut pending, input, gradient)?;
                }
            }
        }
        Ok(gradients)
    }
}

/// Each backward pass frees what it needs.
fn taken<B>(backward: &Mutex<Option<B>>) -> Result<B> {
    match backward
        .lock()
        .ok()
        .and_then(|mut backward| backward.take())
    {
        Some(backward) => Ok(backward),
        None => bail!("gradients can be taken through an operation once"),
    }
}

/// Nodes whose turn has not come, by their order, with the gradients found so far.
type Pending = BTreeMap<u64, (Arc<Node>, Gradient)>;

fn add_to(pending: &mut Pending, node: &Arc<Node>, gradient: Gradient) -> Result<()> {
    let sum = match pending.remove(&node.order) {
        Some((_, before)) => timed("sum of gradients", Pass::Backward, || before.add(gradient))?,
        None => gradient,
    };
    pending.insert(node.order, (node.clone(), sum));
    Ok(())
}

#[cfg(test)]
mod tests;
