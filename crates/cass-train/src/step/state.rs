//! Tensors of a step's state, under prefixed names.

use crate::error::{Error, Result};
use candle_core::{Tensor, Var};
use std::collections::HashMap;

pub(crate) type Tensors = HashMap<String, Tensor>;

/// Adds variables under `prefix`; they continue to change.
pub(crate) fn put(state: &mut Tensors, prefix: &str, variables: Vec<(String, Var)>) {
    let named = variables.into_iter();
    state.extend(named.map(|(name, var)| (format!("{prefix}{name}"), var.as_detached_tensor())));
}

/// Adds tensors under `prefix`.
pub(crate) fn put_all(state: &mut Tensors, prefix: &str, tensors: Tensors) {
    let named = tensors.into_iter();
    state.extend(named.map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
}

/// Sets variables to what stands under `prefix`.
pub(crate) fn take(state: &Tensors, prefix: &str, variables: Vec<(String, Var)>) -> Result<()> {
    for (name, var) in variables {
        let name = format!("{prefix}{name}");
        match state.get(&name) {
            Some(value) if value.dims() == var.dims() && value.dtype() == var.dtype() => {
                var.set(&value.to_device(var.device())?)?;
            }
            _ => return Err(Error::State(name)),
        }
    }
    Ok(())
}

/// What stands under `prefix`, without it.
pub(crate) fn under(state: &Tensors, prefix: &str) -> Tensors {
    let named = state.iter();
    let named = named.filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
    named
        .map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect()
}
