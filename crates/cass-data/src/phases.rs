//! Where a loader's time goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a loader does for an image.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Read,
    Decode,
    Resize,
    Cache,
    Augment,
    Normalize,
}

/// Time spent in each [`Phase`], on all threads together.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    nanos: [AtomicU64; 6],
}

impl Clock {
    pub(crate) fn time<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let nanos = start.elapsed().as_nanos() as u64;
        self.nanos[phase as usize].fetch_add(nanos, Ordering::Relaxed);
        done
    }

    pub(crate) fn times(&self) -> PhaseTimes {
        let seconds = |phase: Phase| {
            let nanos = self.nanos[phase as usize].load(Ordering::Relaxed);
            nanos as f64 * 1e-9
        };
        PhaseTimes {
            read: seconds(Phase::Read),
            decode: seconds(Phase::Decode),
            resize: seconds(Phase::Resize),
            cache: seconds(Phase::Cache),
            augment: seconds(Phase::Augment),
            normalize: seconds(Phase::Normalize),
        }
    }
}

/// Seconds that a loader's threads spent, all of them together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhaseTimes {
    /// Reading files.
    pub read: f64,
    /// Files to pixels.
    pub decode: f64,
    /// Pixels to the network's size.
    pub resize: f64,
    /// Looking up and keeping resized pixels.
    pub cache: f64,
    /// Drawing and applying the augmentation; DINO's includes normalising.
    pub augment: f64,
    /// Pixels to normalised floats.
    pub normalize: f64,
}

impl PhaseTimes {
    /// What was added since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            read: self.read - earlier.read,
            decode: self.decode - earlier.decode,
            resize: self.resize - earlier.resize,
            cache: self.cache - earlier.cache,
            augment: self.augment - earlier.augment,
            normalize: self.normalize - earlier.normalize,
        }
    }

    /// Each phase's name and its share of the sum, 0 to 1.
    pub fn shares(&self) -> [(&'static str, f64); 6] {
        let all = [
            ("read", self.read),
            ("decode", self.decode),
            ("resize", self.resize),
            ("cache", self.cache),
            ("augment", self.augment),
            ("normalize", self.normalize),
        ];
        let sum: f64 = all.iter().map(|(_, seconds)| seconds).sum();
        all.map(|(name, seconds)| (name, if sum > 0.0 { seconds / sum } else { 0.0 }))
    }
}
