//! What methods share that show one network two views of each image: its step, preset and replay.

mod preset;
mod replay;
mod step;

pub(super) use preset::{
    Siamese, adam, check_views, chosen, draws, forwards, heads, paper_for, preset,
};
pub(super) use replay::{Start, follow};
pub(super) use step::{Heads, Objective, Online, SiameseStep};
