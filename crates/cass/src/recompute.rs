//! `--recompute`.

use clap::ValueEnum;

/// What a backward pass computes again instead of keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recompute {
    /// What the operations themselves do without: the weights of attention are never kept.
    None,
    /// The weights of attention, as always.
    Attention,
    /// Each block of a network: a third more time, a fraction of the memory, the same bits.
    Blocks,
}

impl Recompute {
    /// Whether networks have to compute their blocks again.
    pub fn blocks(self) -> bool {
        self == Self::Blocks
    }
}
