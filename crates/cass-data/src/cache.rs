use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Pixels, Result};

/// Resized pixels by sample and size, as long as a budget of bytes lasts. Nothing is evicted: every
/// epoch reads every sample, so what is in stays useful.
pub(crate) struct PixelCache {
    pub(crate) budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pixels: HashMap<(usize, usize), Arc<Pixels>>,
    bytes: usize,
}

impl PixelCache {
    const DEFAULT_BUDGET: usize = 2 << 30;

    pub(crate) fn new() -> Self {
        Self {
            budget: Self::DEFAULT_BUDGET,
            kept: Mutex::default(),
        }
    }

    /// The pixels of this sample at this size; made, and kept if there is room, when not there.
    pub(crate) fn get_or(
        &self,
        sample: usize,
        size: usize,
        make: impl FnOnce() -> Result<Pixels>,
    ) -> Result<Arc<Pixels>> {
        if let Some(pixels) = self.lock().pixels.get(&(sample, size)) {
            return Ok(pixels.clone());
        }
        // Made outside the lock; two threads may make the same one, and either will do.
        let pixels = Arc::new(make()?);
        let mut kept = self.lock();
        let bytes = pixels.data.len();
        if kept.bytes + bytes <= self.budget
            && kept.pixels.insert((sample, size), pixels.clone()).is_none()
        {
            kept.bytes += bytes;
        }
        Ok(pixels)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A thread that panicked left nothing half-done in here.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PixelCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        f.debug_struct("PixelCache")
            .field("budget", &self.budget)
            .field("images", &kept.pixels.len())
            .field("bytes", &kept.bytes)
            .finish()
    }
}
