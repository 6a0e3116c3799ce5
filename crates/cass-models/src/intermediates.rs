//! What a network computes on the way, under timm's names.

use crate::error::{Error, Result};
use crate::text::nearest;
use candle_core::Tensor;
use cass_ops::Tracked;
use cass_ops::scope::recompute;
use std::sync::Arc;

/// Names of the intermediate outputs that [`Model::forward_with`](crate::Model::forward_with) shall
/// give; [`Model::intermediate_names`](crate::Model::intermediate_names) lists them.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    names: Vec<String>,
    gradients: bool,
}

impl Taps {
    /// These names, or none.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            gradients: false,
        }
    }

    /// Keeps the gradients of what is named too, by [`Gradients::of`](cass_ops::Gradients::of).
    ///
    /// A [frozen](crate::Model::frozen) network keeps what a backward pass needs from the first named
    /// output on: all that Grad-CAM takes, at none of the cost of the weights' gradients.
    pub fn with_gradients(self) -> Self {
        Self {
            gradients: true,
            ..self
        }
    }
}

/// Intermediate outputs of one forward pass, in the order in which they were computed.
#[derive(Debug, Clone, Default)]
pub struct Intermediates {
    found: Vec<(String, Tracked)>,
}

impl Intermediates {
    /// The output of this name; none if it was not asked for.
    pub fn get(&self, name: &str) -> Option<&Tracked> {
        self.iter().find(|(n, _)| *n == name).map(|(_, x)| x)
    }

    /// All that were asked for.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tracked)> {
        self.found.iter().map(|(name, x)| (name.as_str(), x))
    }
}

/// Where a network can be tapped: a place in its list of names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tap(usize);

impl Tap {
    /// The next place, which gets this name.
    pub(crate) fn new(names: &mut Vec<String>, name: String) -> Self {
        names.push(name);
        Self(names.len() - 1)
    }
}

#[derive(Debug, Clone)]
enum Slot {
    Idle,
    Wanted,
    Taken(Tracked),
}

/// Goes along a forward pass and takes what was asked for. Where nothing was, it holds no memory
/// and changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// One slot for each tap, or none at all.
    slots: Vec<Slot>,
    gradients: bool,
    recompute: bool,
}

impl Collector {
    /// Takes nothing; `recompute` as in [`Model::set_recompute`](crate::Model::set_recompute).
    pub(crate) fn nothing(recompute: bool) -> Self {
        Self {
            recompute,
            ..Self::default()
        }
    }

    /// Of a network with these `names`; `recompute` as in [`nothing`](Self::nothing).
    pub(crate) fn new(
        taps: &Taps,
        network: &str,
        names: &[String],
        recompute: bool,
    ) -> Result<Self> {
        let mut slots = Vec::new();
        for wanted in &taps.names {
            let Some(at) = names.iter().position(|name| name == wanted) else {
                // Of equally near names the last: a deep network is mostly asked about its end.
                let candidates = names.iter().rev().map(String::as_str);
                return Err(Error::UnknownIntermediate {
                    network: network.to_string(),
                    name: wanted.clone(),
                    nearest: nearest(wanted, candidates).to_string(),
                });
            };
            slots.resize(names.len(), Slot::Idle);
            slots[at] = Slot::Wanted;
        }
        Ok(Self {
            slots,
            gradients: taps.gradients,
            recompute,
        })
    }

    /// `forward` of one of a network's blocks, nothing of which is kept for the backward pass if it
    /// may be computed again. What is asked for is not.
    pub(crate) fn block<B: Send + Sync + 'static>(
        &mut self,
        block: &Arc<B>,
        x: &Tracked,
        forward: impl Fn(&B, &Tracked, &mut Self) -> candle_core::Result<Tracked> + Send + 'static,
    ) -> candle_core::Result<Tracked> {
        if !self.recompute || !self.slots.is_empty() {
            return forward(block, x, self);
        }
        let block = block.clone();
        recompute(x, move |x| forward(&block, x, &mut Self::default()))
    }

    /// Whether this output was asked for.
    pub(crate) fn wants(&self, tap: Tap) -> bool {
        matches!(self.slots.get(tap.0), Some(Slot::Wanted))
    }

    /// Takes the output `x`, if it was asked for, and gives what the network continues with.
    pub(crate) fn take(&mut self, tap: Tap, x: Tracked) -> Tracked {
        if !self.wants(tap) {
            return x;
        }
        let x = if self.gradients { x.watch() } else { x };
        self.slots[tap.0] = Slot::Taken(x.clone());
        x
    }

    /// Takes what is computed for those who ask: the network continues without it, and no gradient
    /// goes through it.
    pub(crate) fn show(
        &mut self,
        tap: Tap,
        compute: impl FnOnce() -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<()> {
        if self.wants(tap) {
            self.slots[tap.0] = Slot::Taken(Tracked::constant(&compute()?));
        }
        Ok(())
    }

    pub(crate) fn finish(self, names: &[String]) -> Intermediates {
        let found = names.iter().zip(self.slots);
        let taken = |(name, slot): (&String, Slot)| match slot {
            Slot::Taken(x) => Some((name.clone(), x)),
            Slot::Idle | Slot::Wanted => None,
        };
        Intermediates {
            found: found.filter_map(taken).collect(),
        }
    }
}
