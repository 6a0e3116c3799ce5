//! What a user decides about a run besides its recipe.

use cass_data::cache::Storage;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a run is done: nothing here changes its result.
#[derive(Debug, Clone, Default)]
pub struct PretrainOptions {
    /// After how many steps a checkpoint is written, each time. By default once a minute, or less
    /// often where writing takes more than a twentieth of the time.
    pub checkpoint_every: Option<NonZeroU64>,
    /// Asks the run to stop.
    pub stop: Stop,
    /// Whether the run ends, unfinished, after an epoch in which an arm's features collapsed.
    pub stop_on_collapse: bool,
    /// Whether networks compute their blocks again in the backward pass, instead of keeping what it
    /// needs; see [`Model::set_recompute`](cass_models::Model::set_recompute).
    pub recompute: bool,
    /// Whether a CPU may compute a recipe of [`Precision::Bf16`](crate::recipe::Precision::Bf16): slower than
    /// f32, in as much memory, to see what bf16 does to a recipe. Otherwise it is refused there.
    pub emulate_bf16: bool,
    /// Where resized pixels are kept between epochs, and which images decode between runs.
    pub storage: Storage,
    /// What is known of the program, such as its `commit`: for `provenance.json`.
    pub program: BTreeMap<String, String>,
}

/// Asks a run to leave the step it is at, to write a checkpoint and to stop. Copies ask the same run.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks; from a signal's handler too.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether anyone has asked, for whoever wants to know later.
    pub(crate) fn asked(&self) -> impl Fn() -> bool + use<> {
        let stop = self.clone();
        move || stop.is_requested()
    }

    /// Whether anyone has asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// When the next checkpoint is due.
pub(super) struct Cadence {
    every: Option<NonZeroU64>,
    last: Instant,
    /// What the last checkpoint took.
    cost: Duration,
}

impl Cadence {
    pub(super) fn new(every: Option<NonZeroU64>) -> Self {
        Self {
            every,
            last: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    pub(super) fn is_due(&self, step: u64) -> bool {
        match self.every {
            Some(every) => step.is_multiple_of(every.get()),
            None => self.last.elapsed() >= (20 * self.cost).max(Duration::from_secs(60)),
        }
    }

    /// Notes that a checkpoint was written.
    pub(super) fn written(&mut self, since: Instant) {
        (self.cost, self.last) = (since.elapsed(), Instant::now());
    }
}
