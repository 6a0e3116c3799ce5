//! The variables of a network under timm's names, and how layers get hold of them.

use crate::init::Init;
use crate::intermediates::Tap;
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use cass_ops::Tracked;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// What an optimiser may touch and what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Parameter,
    Buffer,
}

/// Every variable of one network, in timm's order and under timm's names.
///
/// Parameters train; buffers (`running_mean`, `running_var`, `num_batches_tracked`) follow the
/// forward passes.
#[derive(Debug, Default)]
pub struct Params {
    entries: Vec<(String, Kind, Var)>,
    index: HashMap<String, usize>,
}

impl Params {
    fn insert(&mut self, name: String, kind: Kind, var: Var) {
        self.index.insert(name.clone(), self.entries.len());
        self.entries.push((name, kind, var));
    }

    fn of(&self, kind: Kind) -> Vec<(String, Var)> {
        let of_kind = self.entries.iter().filter(|(_, k, _)| *k == kind);
        of_kind.map(|(n, _, v)| (n.clone(), v.clone())).collect()
    }

    /// What an optimiser updates.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.of(Kind::Parameter)
    }

    /// What forward passes in training mode update.
    pub fn buffers(&self) -> Vec<(String, Var)> {
        self.of(Kind::Buffer)
    }

    /// Parameters and buffers.
    pub fn all(&self) -> Vec<(String, Var)> {
        let all = self.entries.iter();
        all.map(|(n, _, v)| (n.clone(), v.clone())).collect()
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.index.get(name).map(|&i| &self.entries[i].2)
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.trainable().iter().map(|(_, v)| v.elem_count()).sum()
    }

    /// Copies of all values, by name; later training does not change them.
    ///
    /// # Errors
    /// If memory cannot be copied on the device.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let all = self.entries.iter();
        all.map(|(name, _, var)| Ok((name.clone(), var.as_tensor().copy()?.detach())))
            .collect()
    }

    /// Takes the values of `other`, name by name, in place.
    ///
    /// # Errors
    /// If `other` lacks a name or has it in another shape.
    pub fn copy_from(&self, other: &Params) -> Result<()> {
        for (name, _, var) in &self.entries {
            match other.get(name) {
                Some(value) => var.set(value.as_tensor())?,
                None => bail!("the other network has no {name}"),
            }
        }
        Ok(())
    }

    /// Forgets the running statistics: mean 0, variance 1, no batch seen
    /// (`torch.nn.BatchNorm2d.reset_running_stats`).
    ///
    /// # Errors
    /// If the device fails.
    pub fn reset_statistics(&self) -> Result<()> {
        for (name, var) in self.buffers() {
            let value = if name.ends_with("running_var") {
                var.ones_like()?
            } else {
                var.zeros_like()?
            };
            var.set(&value)?;
        }
        Ok(())
    }
}

enum Source<'a> {
    /// Draws what is asked for and keeps it.
    Create {
        params: &'a RefCell<Params>,
        seed: u64,
        dtype: DType,
        device: &'a Device,
    },
    /// Hands out what exists, with gradients for the names that `trains` says yes to.
    Attach {
        params: &'a Params,
        trains: &'a dyn Fn(&str) -> bool,
    },
}

/// Where a layer gets its variables: a position in the tree of names.
#[derive(Clone)]
pub(crate) struct Builder<'a> {
    source: Rc<Source<'a>>,
    /// Names of the outputs that can be asked for, in order.
    taps: Rc<RefCell<Vec<String>>>,
    prefix: String,
}

impl<'a> Builder<'a> {
    pub(crate) fn create(
        params: &'a RefCell<Params>,
        seed: u64,
        dtype: DType,
        device: &'a Device,
    ) -> Self {
        Self::root(Source::Create {
            params,
            seed,
            dtype,
            device,
        })
    }

    pub(crate) fn attach(params: &'a Params, trains: &'a dyn Fn(&str) -> bool) -> Self {
        Self::root(Source::Attach { params, trains })
    }

    fn root(source: Source<'a>) -> Self {
        Self {
            source: source.into(),
            taps: Rc::default(),
            prefix: String::new(),
        }
    }

    /// One level down.
    pub(crate) fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self {
            source: self.source.clone(),
            taps: self.taps.clone(),
            prefix: self.path(name),
        }
    }

    /// Lets the output of what stands at this position be asked for, by the position's name. Names
    /// are listed in the order of these calls.
    pub(crate) fn tap(&self) -> Tap {
        Tap::new(&mut self.taps.borrow_mut(), self.prefix.clone())
    }

    /// The names of all taps so far.
    pub(crate) fn tap_names(&self) -> Vec<String> {
        self.taps.borrow().clone()
    }

    fn path(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    /// A trainable parameter.
    pub(crate) fn parameter(&self, name: &str, shape: &[usize], init: Init) -> Result<Tracked> {
        let var = self.variable(name, shape, init, Kind::Parameter, None)?;
        Ok(match *self.source {
            Source::Attach { trains, .. } if !trains(&self.path(name)) => Tracked::constant(&var),
            _ => Tracked::from(&var),
        })
    }

    /// A value that is kept with the parameters but does not train.
    pub(crate) fn buffer(&self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        self.variable(name, shape, init, Kind::Buffer, None)
    }

    /// A whole number that is kept with the parameters.
    pub(crate) fn counter(&self, name: &str) -> Result<Var> {
        self.variable(name, &[], Init::Zeros, Kind::Buffer, Some(DType::I64))
    }

    fn variable(
        &self,
        name: &str,
        shape: &[usize],
        init: Init,
        kind: Kind,
        as_dtype: Option<DType>,
    ) -> Result<Var> {
        let path = self.path(name);
        match &*self.source {
            Source::Create {
                params,
                seed,
                dtype,
                device,
            } => {
                let value = init.draw(shape, *seed, &path, as_dtype.unwrap_or(*dtype), device)?;
                let var = Var::from_tensor(&value)?;
                params.borrow_mut().insert(path, kind, var.clone());
                Ok(var)
            }
            Source::Attach { params, .. } => match params.get(&path) {
                Some(var) if var.dims() == shape => Ok(var.clone()),
                Some(var) => bail!("{path} is {:?}, expected {shape:?}", var.dims()),
                None => bail!("there is no {path}"),
            },
        }
    }
}
