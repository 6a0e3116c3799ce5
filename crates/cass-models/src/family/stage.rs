use crate::intermediates::{Collector, Tap};
use candle_core::Result;
use cass_ops::Tracked;
use std::sync::Arc;

/// Blocks on maps of one size. What a stage gives can be asked for, as what each block gives.
#[derive(Debug)]
pub(super) struct Stage<B> {
    pub(super) blocks: Vec<Arc<B>>,
    pub(super) tap: Tap,
}

impl<B: Send + Sync + 'static> Stage<B> {
    /// `(B, C, H, W)` → `(B, C', H', W')`, by `block` through each block in turn.
    pub(super) fn forward(
        &self,
        mut x: Tracked,
        taps: &mut Collector,
        block: impl Fn(&B, &Tracked, &mut Collector) -> Result<Tracked> + Copy + Send + 'static,
    ) -> Result<Tracked> {
        for one in &self.blocks {
            x = taps.block(one, &x, block)?;
        }
        Ok(taps.take(self.tap, x))
    }
}
