use super::Key;
use crate::image::Pixels;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pixels by their image and size, as long as a budget of bytes lasts. Nothing is evicted: every epoch
/// reads every sample, so what is in stays useful.
pub(crate) struct Ram {
    budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pixels: HashMap<([u8; 32], usize), Arc<Pixels>>,
    bytes: usize,
    full: bool,
}

impl Ram {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            budget,
            kept: Mutex::default(),
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<Pixels>> {
        self.lock().pixels.get(&(*key.sha256, key.size)).cloned()
    }

    /// Whether the last image fitted.
    pub(super) fn has_room(&self) -> bool {
        !self.lock().full
    }

    /// Keeps the pixels if there is room. Two threads may have made the same ones: either will do.
    pub(super) fn put(&self, key: Key, pixels: &Arc<Pixels>) {
        let mut kept = self.lock();
        let bytes = pixels.data.len();
        let place = (*key.sha256, key.size);
        kept.full = kept.bytes + bytes > self.budget;
        if !kept.full && kept.pixels.insert(place, pixels.clone()).is_none() {
            kept.bytes += bytes;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A thread that panicked left nothing half-done in here.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        f.debug_struct("Ram")
            .field("budget", &self.budget)
            .field("images", &kept.pixels.len())
            .field("bytes", &kept.bytes)
            .finish()
    }
}
