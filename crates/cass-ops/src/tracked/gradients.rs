//! Gradients on their way, and where they arrive.

use super::Tracked;
use crate::parallel::add_into;
use candle_core::{Result, Tensor, TensorId};
use std::collections::HashMap;
use std::fmt;

/// A gradient on its way.
pub(crate) struct Gradient {
    pub(super) tensor: Tensor,
    /// Whether its memory is held by nothing else, so that another gradient may be added in place.
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

    pub(super) fn add(self, other: Self) -> Result<Self> {
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

/// The gradients of variables, and of the tensors that were watched.
#[derive(Default)]
pub struct Gradients {
    variables: HashMap<TensorId, Gradient>,
    /// Gradients by the order of their nodes.
    pub(super) watched: HashMap<u64, Tensor>,
}

impl fmt::Debug for Gradients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variables, watched) = (self.variables.len(), self.watched.len());
        write!(f, "Gradients({variables} variables, {watched} watched)")
    }
}

impl Gradients {
    /// The gradient of a variable, or none where the loss does not depend on it.
    pub fn get(&self, variable: &Tensor) -> Option<&Tensor> {
        let found = self.variables.get(&variable.id());
        found.map(|gradient| &gradient.tensor)
    }

    /// The gradient of a tensor that [`Tracked::watch`] returned; none of any other, and none where
    /// the loss does not depend on it.
    pub fn of(&self, watched: &Tracked) -> Option<&Tensor> {
        self.watched.get(&watched.node.as_ref()?.order)
    }

    /// Takes out the gradient of a watched tensor.
    pub(crate) fn take(&mut self, watched: &Tracked) -> Option<Gradient> {
        let taken = self.watched.remove(&watched.node.as_ref()?.order);
        taken.map(Gradient::shared)
    }

    pub(super) fn merge(&mut self, other: Self) -> Result<()> {
        self.watched.extend(other.watched);
        for (id, gradient) in other.variables {
            self.add(id, gradient)?;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, id: TensorId, gradient: Gradient) -> Result<()> {
        let sum = match self.variables.remove(&id) {
            Some(before) => before.add(gradient)?,
            None => gradient,
        };
        self.variables.insert(id, sum);
        Ok(())
    }
}
