//! Tensors that remember how they were computed, and the way back to gradients.
//!
//! Candle's own tape keeps every intermediate until the last gradient is there, computes gradients
//! of constants, and adds each one to a tensor of zeros. This one frees what an operation saved as
//! soon as the backward pass has left it, and copies no gradient that is the only one.

use crate::{
    parallel::add_into,
    profile::{Pass, timed},
};
use candle_core::{Result, Tensor, TensorId, Var, bail};
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A tensor with what is needed to take gradients through it: nothing, for a constant.
///
/// The operations of this crate take and give these. Candle's own operations apply to a
/// [`value`](Self::value), which is a constant again: only [`compose`] takes gradients through them.
#[derive(Debug, Clone)]
pub struct Tracked {
    value: Tensor,
    node: Option<Arc<Node>>,
}

/// One operation, or a variable.
struct Node {
    /// Later than that of every input.
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

/// A gradient on its way.
pub(crate) struct Gradient {
    tensor: Tensor,
    /// Whether nobody else holds its memory, so that another gradient may be added in place.
    fresh: bool,
}

impl Gradient {
    /// Memory that was made for this gradient.
    pub(crate) fn fresh(tensor: Tensor) -> Self {
        Self {
            tensor,
            fresh: true,
        }
    }

    /// Memory that others may read: the gradient of the result passed on, or a view of it.
    pub(crate) fn shared(tensor: Tensor) -> Self {
        Self {
            tensor,
            fresh: false,
        }
    }

    fn add(self, other: Self) -> Result<Self> {
        let (to, from) = if self.fresh {
            (self, other)
        } else {
            (other, self)
        };
        if to.fresh && add_into(&to.tensor, &from.tensor)? {
            return Ok(to);
        }
        Ok(Self::fresh((&to.tensor + &from.tensor)?))
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Node {
    fn new(kind: Kind) -> Arc<Self> {
        let order = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { order, kind })
    }
}

/// A variable, or else a constant.
impl From<&Tensor> for Tracked {
    fn from(tensor: &Tensor) -> Self {
        let node = (tensor.is_variable()).then(|| Node::new(Kind::Variable(tensor.id())));
        Self {
            value: tensor.detach(),
            node,
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
    /// A tensor that no gradient is taken of.
    pub fn constant(tensor: &Tensor) -> Self {
        Self {
            value: tensor.detach(),
            node: None,
        }
    }

    /// The tensor, a constant to Candle.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tensor, a constant to Candle; what is needed for gradients is let go.
    pub fn into_value(self) -> Tensor {
        self.value
    }

    /// Whether gradients can be taken through it.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The same tensor, of which [`Gradients::of`] will give the gradient; go on with it, as what is
    /// computed from the original does not pass here. A constant is tracked from here on.
    ///
    /// ```
    /// use candle_core::{Device, Var};
    /// use cass_ops::{Tracked, relu};
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
        }
    }

    /// Its sizes.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }

    /// Whether a kernel over slices computes it, rather than Candle.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.value.device().is_cpu()
    }

    /// The same in rows after each other.
    pub(crate) fn contiguous(&self) -> Result<Self> {
        if self.value.is_contiguous() {
            return Ok(self.clone());
        }
        let value = self.value.contiguous()?;
        Ok(Self::record("contiguous", value, &[self], |dy| {
            Ok(vec![Some(Gradient::shared(dy.clone()))])
        }))
    }

    /// `value`, as the operation `name` computed it from `inputs`.
    pub(crate) fn record(
        name: &'static str,
        value: Tensor,
        inputs: &[&Self],
        backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Gradient>>> + Send + 'static,
    ) -> Self {
        let tracked = inputs.iter().any(|input| input.is_tracked());
        let node = (tracked && is_recording()).then(|| {
            Node::new(Kind::Operation {
                name,
                inputs: inputs.iter().map(|input| input.node.clone()).collect(),
                backward: Mutex::new(Some(Box::new(backward))),
            })
        });
        Self { value, node }
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
        Self { value, node }
    }

    /// Gradients of this one value, a loss.
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

    /// Gradients of whatever has `gradient` with respect to this tensor.
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

/// The gradients of variables, and of the tensors that were watched.
#[derive(Default)]
pub struct Gradients {
    variables: HashMap<TensorId, Gradient>,
    /// By the order of their nodes.
    watched: HashMap<u64, Tensor>,
}

impl fmt::Debug for Gradients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variables, watched) = (self.variables.len(), self.watched.len());
        write!(f, "Gradients({variables} variables, {watched} watched)")
    }
}

impl Gradients {
    /// The gradient of a variable; none where the loss does not depend on it.
    pub fn get(&self, variable: &Tensor) -> Option<&Tensor> {
        let found = self.variables.get(&variable.id());
        found.map(|gradient| &gradient.tensor)
    }

    /// The gradient of a tensor that [`Tracked::watch`] gave; none of any other, and none where the
    /// loss does not depend on it.
    pub fn of(&self, watched: &Tracked) -> Option<&Tensor> {
        self.watched.get(&watched.node.as_ref()?.order)
    }

    /// The same, which is then gone from here.
    pub(crate) fn take(&mut self, watched: &Tracked) -> Option<Gradient> {
        let taken = self.watched.remove(&watched.node.as_ref()?.order);
        taken.map(Gradient::shared)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.watched.extend(other.watched);
        for (id, gradient) in other.variables {
            self.add(id, gradient)?;
        }
        Ok(())
    }

    fn add(&mut self, id: TensorId, gradient: Gradient) -> Result<()> {
        let sum = match self.variables.remove(&id) {
            Some(before) => before.add(gradient)?,
            None => gradient,
        };
        self.variables.insert(id, sum);
        Ok(())
    }
}

/// `f` of the inputs, with the gradients that Candle finds for it.
///
/// `f` is computed at once, under Candle's own tape. It is the path of every operation on devices
/// that have no kernels here, and the way to take gradients through a loss written with Candle.
///
/// ```
/// use candle_core::{Device, Var};
/// use cass_ops::{Tracked, compose};
///
/// # fn main() -> candle_core::Result<()> {
/// let x = Var::new(&[1f32, -3.0], &Device::Cpu)?;
/// let loss = compose(&[&Tracked::from(&x)], |t| t[0].sqr()?.sum_all())?;
/// let dx = loss.backward()?.get(&x).map(|dx| dx.to_vec1::<f32>()).transpose()?;
/// assert_eq!(dx, Some(vec![2.0, -6.0]));
/// # Ok(()) }
/// ```
///
/// # Errors
/// If `f` fails.
pub fn compose(
    inputs: &[&Tracked],
    f: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<Tracked> {
    let variables = inputs.iter().map(|input| match input.is_tracked() {
        true => Var::from_tensor(&input.value).map(Some),
        false => Ok(None),
    });
    let variables = variables.collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = inputs
        .iter()
        .zip(&variables)
        .map(|(input, variable)| match variable {
            Some(variable) => variable.as_tensor().clone(),
            None => input.value.clone(),
        })
        .collect();
    let result = timed("composition", Pass::Forward, || f(&tensors))?;
    Ok(Tracked::record(
        "composition",
        result.detach(),
        inputs,
        move |dy| {
            let gradients = (result * dy)?.sum_all()?.backward()?;
            let of = |variable: Option<Var>| {
                variable.and_then(|variable| gradients.get(&variable).map(Tensor::detach))
            };
            let found = variables.into_iter().map(of);
            Ok(found.map(|found| found.map(Gradient::shared)).collect())
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn variable(values: &[f64]) -> Result<Var> {
        Var::new(values, &Device::Cpu)
    }

    /// `x²`, which counts how many of its kind are alive.
    fn square(x: &Tracked, alive: &Arc<()>) -> Result<Tracked> {
        let (saved, alive) = (x.value().clone(), alive.clone());
        Ok(Tracked::record(
            "square",
            x.value().sqr()?,
            &[x],
            move |dy| {
                let _alive = alive;
                Ok(vec![Some(Gradient::fresh(((saved * 2.0)? * dy)?))])
            },
        ))
    }

    fn value(t: Option<&Tensor>) -> Result<Option<Vec<f64>>> {
        t.map(|t| t.to_vec1()).transpose()
    }

    #[test]
    fn gradients_of_several_paths_add_up() -> Result<()> {
        let (x, alive) = (variable(&[3.0, -2.0])?, Arc::new(()));
        let leaf = Tracked::from(&x);
        let once = square(&leaf, &alive)?; // x²
        let twice = square(&once, &alive)?; // x⁴
        // x² + x⁴ + x, the variable named a second time
        let sum = compose(&[&once, &twice, &Tracked::from(&x)], |t| {
            ((&t[0] + &t[1])? + &t[2])?.sum_all()
        })?;
        let grads = sum.backward()?;
        assert_eq!(value(grads.get(&x))?, Some(vec![115.0, -35.0]));
        Ok(())
    }

    #[test]
    fn what_was_saved_is_freed_on_the_way() -> Result<()> {
        let (x, alive) = (variable(&[2.0])?, Arc::new(()));
        let mut y = Tracked::from(&x);
        for _ in 0..3 {
            y = square(&y, &alive)?;
        }
        assert_eq!(Arc::strong_count(&alive), 4);
        let one = y.value().ones_like()?;
        let grads = y.backward_from(&one)?;
        assert_eq!(Arc::strong_count(&alive), 1);
        assert_eq!(value(grads.get(&x))?, Some(vec![1024.0])); // 8 x⁷
        Ok(())
    }

    #[test]
    fn a_second_pass_is_an_error() -> Result<()> {
        let (x, alive) = (variable(&[2.0])?, Arc::new(()));
        let y = square(&Tracked::from(&x), &alive)?;
        let one = y.value().ones_like()?;
        assert!(y.clone().backward_from(&one).is_ok());
        assert!(y.backward_from(&one).is_err());
        Ok(())
    }

    #[test]
    fn constants_record_nothing() -> Result<()> {
        let (x, alive) = (variable(&[2.0])?, Arc::new(()));
        let y = square(&Tracked::constant(&x), &alive)?;
        assert!(!y.is_tracked());
        assert_eq!(Arc::strong_count(&alive), 1);
        assert!(y.backward()?.get(&x).is_none());
        Ok(())
    }

    /// A gradient that two inputs share must not be changed for one of them.
    #[test]
    fn a_shared_gradient_is_not_added_to_in_place() -> Result<()> {
        let (x, y, alive) = (variable(&[2.0])?, variable(&[5.0])?, Arc::new(()));
        let (tx, ty) = (Tracked::from(&x), Tracked::from(&y));
        let squared = square(&tx, &alive)?;
        let sum = Tracked::record("sum", (x.as_tensor() + y.as_tensor())?, &[&tx, &ty], |dy| {
            let both = Gradient::shared(dy.clone());
            Ok(vec![Some(both), Some(Gradient::shared(dy.clone()))])
        });
        let grads = compose(&[&sum, &squared], |t| (&t[0] + &t[1])?.sum_all())?.backward()?;
        assert_eq!(value(grads.get(&x))?, Some(vec![5.0]));
        assert_eq!(value(grads.get(&y))?, Some(vec![1.0]));
        Ok(())
    }

    #[test]
    fn a_watched_tensor_has_a_gradient_and_passes_it_on() -> Result<()> {
        let (x, alive) = (variable(&[3.0, -2.0])?, Arc::new(()));
        let squared = square(&Tracked::from(&x), &alive)?;
        let watched = squared.watch();
        let again = watched.watch(); // the same place, by another handle
        // x⁴ + x² x, of which the second does not pass through `again`
        let sum = compose(
            &[&square(&again, &alive)?, &watched, &Tracked::from(&x)],
            |t| (&t[0] + (&t[1] * &t[2])?)?.sum_all(),
        )?;
        let grads = sum.backward()?;
        assert_eq!(value(grads.of(&again))?, Some(vec![18.0, 8.0])); // 2 x²
        assert_eq!(value(grads.of(&watched))?, Some(vec![21.0, 6.0])); // and x
        assert_eq!(value(grads.get(&x))?, Some(vec![135.0, -20.0])); // 4 x³ + 3 x²
        assert!(grads.of(&squared).is_none());
        Ok(())
    }

    #[test]
    fn a_watched_constant_is_tracked_from_there_on() -> Result<()> {
        let (x, alive) = (variable(&[3.0])?, Arc::new(()));
        let constant = square(&Tracked::constant(&x), &alive)?; // saves nothing
        let watched = constant.watch();
        let grads = square(&watched, &alive)?.backward()?;
        assert_eq!(value(grads.of(&watched))?, Some(vec![18.0]));
        assert!(grads.get(&x).is_none());
        Ok(())
    }

    #[test]
    fn gradients_of_another_shape_are_errors() -> Result<()> {
        let x = variable(&[2.0, 3.0])?;
        let other = variable(&[1.0])?;
        assert!(Tracked::from(&x).backward().is_err());
        assert!(Tracked::from(&x).backward_from(&other).is_err());
        Ok(())
    }
}
